"""PyTorch with the forward pass and loss, hence the backward pass, compiled."""

from collections.abc import Callable
from typing import Any

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.rivals.torch_ import parts

PACKAGES = ("torch",)


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """torch.compile of model and loss; the optimiser's step is not compiled."""
    import torch

    model, rule, loss, x, y = parts(case)

    def forward(x: Any, y: Any) -> Any:
        return loss(model(x), y)

    objective: Any = torch.compile(forward)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        objective(x, y).backward()
        rule.step()

    def value() -> float:
        with torch.no_grad():
            return float(loss(model(x), y))

    return step, value
