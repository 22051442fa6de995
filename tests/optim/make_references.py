"""Write references.npz: the trajectories of PyTorch's optimisers, in float64.

    python -m tests.optim.make_references           # from the checkout, with torch

For every setting of `settings.py` the parameters after the steps of `KEPT` are stored:
`setting/flat` (steps, 12) for the flat problem and `setting/0.W`, ... for the network.
Only the tests that read the file need it; neither they nor the library need torch.

Where xpnet's convention is another, torch is set up so that it follows: decay and l2
in a parameter group of the weights alone; l1, and the decoupled decay that most of
torch's rules have not, by hand; the norm is clipped with torch's arithmetic but without
the 1e-6 that `clip_grad_norm_` adds to it. Lion, which torch has not, is written out
from the paper. What a setting leaves out is left to torch's own defaults.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from tests.optim.settings import (
    KEPT,
    SETTINGS,
    STEPS,
    WEIGHTS,
    flat_problem,
    network_problem,
)
from xpnet.optim import Cosine, ExponentialDecay, StepDecay

Parameters = list[torch.Tensor]


def main() -> None:
    """Write the file beside this script."""
    torch.set_default_dtype(torch.float64)  # NAdam's own product, too
    found = {"torch": np.array(torch.__version__)}
    for name in SETTINGS:
        found |= {f"{name}/{key}": values for key, values in trajectory(name).items()}
    np.savez_compressed(Path(__file__).with_name("references.npz"), **found)


def trajectory(name: str) -> dict[str, np.ndarray]:
    """The kept parameters of both problems."""
    start, a = flat_problem()
    weights, biases = tensors([start[:WEIGHTS], start[WEIGHTS:]])

    def flat() -> torch.Tensor:
        p = torch.cat([weights, biases])
        return 0.5 * p @ torch.tensor(a) @ p + (p**4).sum() / 4 - p.sum()

    kept = follow(name, [weights], [biases], flat)
    found = {"flat": np.array([np.concatenate(row) for row in kept])}
    arrays, x, y = network_problem()
    p = dict(zip(arrays, tensors(list(arrays.values())), strict=True))

    def network() -> torch.Tensor:
        hidden = torch.tanh(torch.tensor(x) @ p["0.W"] + p["0.b"])
        z = hidden @ p["1.W"] + p["1.b"]
        return torch.nn.functional.mse_loss(z, torch.tensor(y))

    kept = follow(name, [p["0.W"], p["1.W"]], [p["0.b"], p["1.b"]], network)
    for i, key in enumerate(("0.W", "1.W", "0.b", "1.b")):
        found[key] = np.array([row[i] for row in kept])
    return found


def tensors(arrays: list[np.ndarray]) -> Parameters:
    """Copies that require gradients."""
    return [torch.tensor(a.copy(), requires_grad=True) for a in arrays]


def follow(
    name: str, weights: Parameters, biases: Parameters, objective: Callable[[], Any]
) -> list[list[np.ndarray]]:
    """The parameters, weights first, after each kept step."""
    row, arguments = SETTINGS[name]
    optimizer, scheduler = torch_optimizer(row, arguments, weights, biases)
    kept = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        objective().backward()
        prepare(arguments, weights, biases, row, optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler:
            scheduler.step()
        if step in KEPT:
            kept.append([p.detach().numpy().copy() for p in (*weights, *biases)])
    return kept


def prepare(
    arguments: dict[str, Any],
    weights: Parameters,
    biases: Parameters,
    row: str,
    rate: float,
) -> None:
    """Clip the gradients, then what torch's optimiser does not know."""
    every = [*weights, *biases]
    if limit := arguments.get("clip_value"):
        torch.nn.utils.clip_grad_value_(every, limit)
    if limit := arguments.get("clip_norm"):
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in every))
        for p in every:
            p.grad *= min(limit / norm, 1.0)
    with torch.no_grad():
        for w in weights:
            w.grad += arguments.get("l1", 0.0) * torch.sign(w)
            if row != "adamw" and "weight_decay" in arguments:
                w.grad += arguments.get("l2", 0.0) * w  # of W before the decay
                w *= 1.0 - rate * arguments["weight_decay"]


class Lion(torch.optim.Optimizer):
    """Chen et al. (2023), arXiv:2302.06675, algorithm 2, without its decay."""

    def __init__(self, params: Any, lr: float, betas: tuple[float, float]):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = torch.lerp(p.grad, m, beta1)
                p -= group["lr"] * torch.sign(c)
                m.lerp_(p.grad, 1.0 - beta2)


KINDS: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "amsgrad": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "lion": Lion,
}
SAME = [
    "momentum",
    "nesterov",
    "eps",
    "centered",
    "initial_accumulator_value",
    "momentum_decay",
]


def torch_optimizer(
    row: str, arguments: dict[str, Any], weights: Parameters, biases: Parameters
) -> tuple[Any, Any]:
    """(optimiser, scheduler or None), decay in the group of the weights alone."""
    rate = arguments.get("learning_rate")
    options = {name: arguments[name] for name in SAME if name in arguments}
    if rate is not None:
        options["lr"] = getattr(rate, "rate", rate)
    if "rho" in arguments:
        options["alpha" if row == "rmsprop" else "rho"] = arguments["rho"]
    if row == "amsgrad":
        options["amsgrad"] = True
    if "beta1" in arguments or "beta2" in arguments or row == "lion":
        second = 0.99 if row == "lion" else 0.999
        options["betas"] = (
            arguments.get("beta1", 0.9),
            arguments.get("beta2", second),
        )
    coupled = 0.0 if "weight_decay" in arguments else arguments.get("l2", 0.0)
    decay = arguments.get("weight_decay", 0.01) if row == "adamw" else coupled
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    optimizer = KINDS[row](groups, **options)
    return optimizer, torch_scheduler(optimizer, rate)


def torch_scheduler(optimizer: Any, rate: Any) -> Any:
    """torch's scheduler for a schedule of xpnet; None for a number."""
    if isinstance(rate, StepDecay):
        return lr_scheduler.StepLR(optimizer, rate.every, rate.factor)
    if isinstance(rate, ExponentialDecay):
        gamma = rate.factor ** (1 / rate.every)
        return lr_scheduler.ExponentialLR(optimizer, gamma)
    if isinstance(rate, Cosine):
        return lr_scheduler.CosineAnnealingLR(optimizer, rate.steps, rate.final)
    return None


if __name__ == "__main__":
    main()
