"""The networks of xpnet that the race and the pytest suite time."""

import numpy as np

import xpnet as xn
from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case
from xpnet.compiler import can_compile
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import SoftmaxCrossEntropy


def model(sizes: tuple[int, ...]) -> xn.Sequential:
    """A built ReLU network."""
    hidden = [xn.Dense(n, activation="relu") for n in sizes[1:-1]]
    return xn.Sequential([*hidden, xn.Dense(sizes[-1])]).build(sizes[0])


def rule(case: Case) -> xn.Optimizer:
    """The case's update rule."""
    return xn.SGD(case.rate) if case.optimizer == "sgd" else xn.Adam(case.rate)


def steady(backend: Backend) -> bool:
    """The value of `jit` with which a network runs in its final form from the start."""
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


def stacked(case: Case, networks: int, backend: Backend) -> TrainingStep:
    """A step of several networks at once, with their batches in place."""
    net = model(case.sizes)
    seeds = tuple(range(networks))
    net.allocate(backend, np.dtype("float32"), seeds, (networks,))
    assert net.buffers is not None
    update = UpdateState(rule(case), net.buffers)
    update.write(case.rate, 1)
    x, y = case.data()
    kind = BatchSpec((networks, *x.shape), True, False)
    step = TrainingStep(net, SoftmaxCrossEntropy(), update, kind, jit=steady(backend))
    with backend.active():
        backend.upload(step.batch.x, np.broadcast_to(x, (networks, *x.shape)))
        backend.upload(step.batch.y_rows, np.broadcast_to(y, (networks, *y.shape)))
    return step
