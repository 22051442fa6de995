"""PyTorch as in its tutorials, with the fused Adam; eager, and compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from xpnet.benchmarks.cases import Array, Case, Data, Learner, Task

PACKAGES = ("torch",)


def parts(case: Case, device: str = "cpu", capturable: bool = False) -> tuple[Any, ...]:
    """(model, optimizer, loss function, x, y) with the case's weights.

    `capturable`: the optimizer's steps may be part of a CUDA graph.
    """
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


def eager(model: Any, rule: Any, loss: Any, x: Any, y: Any) -> Callable[[], None]:
    """A step: zero the gradients, forward, backward, update."""

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        rule.step()

    return step


def compiled(
    model: Any, rule: Any, loss: Any, x: Any, y: Any, **options: Any
) -> Callable[[], None]:
    """A step with forward pass and loss, hence the backward pass, compiled.

    Args:
        model, rule, loss, x, y: see `parts`.
        options: of `torch.compile`.
    """

    def forward(x: Any, y: Any) -> Any:
        return loss(model(x), y)

    objective: Any = torch.compile(forward, **options)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        objective(x, y).backward()
        rule.step()

    return step


def value(model: Any, rule: Any, loss: Any, x: Any, y: Any) -> float:
    """The loss of the batch."""
    with torch.no_grad():
        return float(loss(model(x), y))


def prepare(
    case: Case, way: Callable[..., Any] = eager
) -> tuple[Callable[[], object], Callable[[], float]]:
    """The step and the loss of the case's network."""
    made = parts(case)
    return way(*made), partial(value, *made)


prepare_compiled = partial(prepare, way=compiled)


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of a Sequential and the fused Adam; no DataLoader slows it."""
    torch.manual_seed(seed)
    n, hidden, outputs = task.sizes
    activation = torch.nn.Tanh() if task.activation == "tanh" else torch.nn.ReLU()
    model = torch.nn.Sequential(
        torch.nn.Linear(n, hidden), activation, torch.nn.Linear(hidden, outputs)
    )
    rule = torch.optim.Adam(model.parameters(), lr=task.rate, fused=True)
    loss = torch.nn.CrossEntropyLoss()
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            order: Any = torch.randperm(len(x))
            for rows in order.split(task.batch):
                eager(model, rule, loss, x[rows], y[rows])()

    def predict(x: Array) -> Array:
        with torch.no_grad():
            found: Array = model(torch.from_numpy(x)).argmax(dim=1).numpy()
        return found

    return fit, predict
