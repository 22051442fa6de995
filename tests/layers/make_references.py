"""Write references.npz: what PyTorch makes of the networks in `cases.py`, in float64.

    python -m tests.layers.make_references          # from the checkout, with torch

For every case the outputs, the loss and the gradients (of each parameter and of x) are
stored as `case/z`, `case/loss`, `case/0.W`, ..., `case/x`. Only the tests that read the
file need it; neither they nor the library need torch. Conventions: torch's Linear
keeps (out, in), xpnet (in, out); gelu is the tanh form; the mean squared error of a
sample is the mean over its outputs, so torch's plain mean is the same number.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from tests.layers.cases import CASES, Case, parameters, samples, targets

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
    "elu": F.elu,
    "gelu": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "softmax": lambda z: F.softmax(z, dim=-1),
}
LOSSES = {
    "mean_squared_error": F.mse_loss,
    "mean_absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "softmax_cross_entropy": F.cross_entropy,
    "smoothed": lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1),
}


def main() -> None:
    """Write the file beside this script."""
    found = {"torch": np.array(torch.__version__)}
    for name, case in CASES.items():
        found |= {f"{name}/{key}": value for key, value in reference(case).items()}
    np.savez_compressed(Path(__file__).with_name("references.npz"), **found)


def reference(case: Case) -> dict[str, np.ndarray]:
    """{"z", "loss", "x", "0.W", ...} of one case."""
    p = {k: torch.tensor(v, requires_grad=True) for k, v in parameters(case).items()}
    x = torch.tensor(samples(case), requires_grad=True)
    mean, variance = torch.zeros(5).double(), torch.ones(5).double()
    z = F.linear(x, p["0.W"].T, p["0.b"][0])
    if case.norm == "BatchNorm":
        gain, shift = p["1.gain"][0], p["1.shift"][0]
        z = F.batch_norm(z, mean, variance, gain, shift, training=True, eps=1e-5)
    elif case.norm == "LayerNorm":
        z = F.layer_norm(z, (5,), p["1.gain"][0], p["1.shift"][0], eps=1e-5)
    z = F.linear(ACTIVATIONS[case.activation](z), p["3.W"].T, p["3.b"][0])
    loss = LOSSES[case.loss](z, torch.tensor(targets(case)))
    loss.backward()
    found = {"z": z, "loss": loss, "x": x.grad}
    found |= {name: value.grad for name, value in p.items()}
    if case.norm == "BatchNorm":
        found |= {"running_mean": mean, "running_variance": variance}
    return {name: value.detach().numpy() for name, value in found.items()}


if __name__ == "__main__":
    main()
