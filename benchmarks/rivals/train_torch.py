"""PyTorch trains a network as its tutorials do, without their DataLoader's cost."""

from typing import Any

import torch

from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.tasks import Data, Learner, Task


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of a Sequential and the fused Adam."""
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
                rule.zero_grad(set_to_none=True)
                loss(model(x[rows]), y[rows]).backward()
                rule.step()

    def predict(x: Array) -> Array:
        with torch.no_grad():
            found: Array = model(torch.from_numpy(x)).argmax(dim=1).numpy()
        return found

    return fit, predict
