"""PyTorch as in its tutorials, with the fused Adam."""

from collections.abc import Callable
from typing import Any

from xpnet.benchmarks.cases import Case

PACKAGES = ("torch",)


def parts(case: Case, device: str = "cpu", capturable: bool = False) -> tuple[Any, ...]:
    """(model, optimizer, loss function, x, y) with the case's weights.

    `capturable`: the optimizer's steps may be part of a CUDA graph.
    """
    import torch

    x, y = (torch.from_numpy(a).to(device) for a in case.data())
    layers: list[Any] = []
    for W, b in case.weights():
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).to(device)
    parameters = model.parameters()
    options: dict[str, Any] = {"capturable": True} if capturable else {}
    rule = (
        torch.optim.SGD(parameters, lr=case.rate)
        if case.optimizer == "sgd"
        else torch.optim.Adam(parameters, lr=case.rate, fused=True, **options)
    )
    return model, rule, torch.nn.CrossEntropyLoss(), x, y


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """Zero the gradients, forward, backward, step."""
    import torch

    model, rule, loss, x, y = parts(case)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        rule.step()

    def value() -> float:
        with torch.no_grad():
            return float(loss(model(x), y))

    return step, value
