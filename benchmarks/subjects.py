"""xpnet's networks for a case, as the race and the pytest suite time them."""

import numpy as np

import xpnet as xn
from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case
from xpnet.compiler import can_compile
from xpnet.execution.step import Kind, TrainingStep
from xpnet.execution.update import Rule
from xpnet.layers import SoftmaxCrossEntropy


def model(sizes: tuple[int, ...]) -> xn.Sequential:
    """A built ReLU network."""
    hidden = [xn.Dense(n, activation="relu") for n in sizes[1:-1]]
    return xn.Sequential([*hidden, xn.Dense(sizes[-1])]).build(sizes[0])


def rule(case: Case) -> xn.Optimizer:
    """The case's update rule."""
    return xn.SGD(case.rate) if case.optimizer == "sgd" else xn.Adam(case.rate)


def steady(backend: Backend) -> bool:
    """The value of `jit` with which a network is at once what it ends as."""
    return backend.is_host and can_compile()


def trainer(
    case: Case, device: str | Backend = "cpu", jit: bool | None = None
) -> xn.Trainer:
    """A Trainer with the case's weights."""
    made = xn.Trainer(
        model(case.sizes), "softmax_cross_entropy", rule(case), device=device, jit=jit
    )
    parameters = made.parameters()
    with made.backend.active():
        for i, pair in enumerate(case.weights()):
            for name, values in zip("Wb", pair, strict=True):
                parameters[f"{i}.{name}"][...] = made.backend.asarray(values)
    return made


def stacked(case: Case, members: int, backend: Backend) -> TrainingStep:
    """A step of `members` networks at once, their batches in place."""
    net = model(case.sizes)
    seeds = tuple(range(members))
    net.allocate(backend, np.dtype("float32"), seeds, (members,))
    assert net.buffers is not None
    at_work = Rule(rule(case), net.buffers)
    at_work.write(case.rate, 1)
    x, y = case.data()
    kind = Kind((members, *x.shape), True, False)
    step = TrainingStep(net, SoftmaxCrossEntropy(), at_work, kind, jit=steady(backend))
    with backend.active():
        backend.upload(step.batch.x, np.broadcast_to(x, (members, *x.shape)))
        backend.upload(step.batch.y_rows, np.broadcast_to(y, (members, *y.shape)))
    return step
