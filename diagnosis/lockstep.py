"""Two ways to run the same training, in lock-step: where do they part?

A and B start from the same seed and see the same batches. In each step

    1. both compute the loss and the gradients from the same parameters; compared are
       the loss, then ∂J/∂W[l] and ∂J/∂b[l] from the last layer to the first;
    2. B takes A's gradients, both update; compared are the rule's arrays (m, v) and
       the parameters;
    3. B takes A's parameters and rule's arrays.

So what differs is the rounding of one step, whatever came before, and the first tensor
out of bounds is the one that was computed wrongly. Two trainings left to themselves
drift apart without a fault: Adam divides by √v, which turns the rounding of a gradient
near 0 into a step of full length. How far they drift is measured by a third training,
run as B and never corrected, and is not judged.

The bound, for a tensor computed through sums of n terms in all:

    max |a - b|  ≤  8 √n ε s

ε is the machine epsilon of the coarser dtype. Roundings are nearly independent, so the
errors of sums add as squares, hence √n (Higham and Mary, SIAM J. Sci. Comput. 41, 2019,
show that √n holds with high probability where n is the worst case). For losses and
gradients n = batch + Σ (n_in + n_out) over the layers; an update is elementwise, n = 1.
s is the largest entry that the tensor has had so far: near an optimum a gradient is a
small difference of large terms and keeps the rounding of those terms. 8 covers that
both sides round, that functions such as tanh are a few units off in the last place, and
the largest of a million entries. Layers are tanh: at the kink of a ReLU a rounding
moves a gradient by a whole sample's share, which no bound tells from a fault.

What it cannot see: a fault below the bound, about 1e-5 of a gradient's largest entry in
float32; so entries far smaller than their tensor's largest are hardly checked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.diagnosis.execution_modes import ExecutionMode
from xpnet.layers import Dense, Loss, Sequential
from xpnet.optim import Optimizer
from xpnet.training.data import Orders, Samples
from xpnet.training.trainer import Trainer

SAFETY = 8.0
Tensor = tuple[str, NDArray]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is trained: tanh layers of `widths` and a linear one of `outputs`.

    Attributes:
        x, y: samples and targets, on the host.
        optimizer: a rule without clip_norm, whose sum the bound does not count.
    """

    x: NDArray
    y: NDArray
    widths: tuple[int, ...]
    outputs: int
    loss: str | Loss = "softmax_cross_entropy"
    optimizer: str | Optimizer = "adam"
    batch_size: int = 32
    seed: int = 0

    def trainer(self, way: ExecutionMode) -> Trainer:
        """A trainer that runs as `way` says, built."""
        layers = [Dense(n, activation="tanh") for n in self.widths]
        trainer = Trainer(
            Sequential([*layers, Dense(self.outputs)]),
            self.loss,
            self.optimizer,
            way.backend,
            way.dtype,
            self.seed,
            eager=way.eager,
            jit=way.jit,
        )
        trainer.build(self.x.shape[1:])
        return trainer

    def batches(self) -> Iterator[NDArray]:
        """The rows of each batch, epoch after epoch, as `fit` takes them."""
        epoch, count, orders = 0, len(self.x), Orders(self.seed, self.batch_size)
        while True:
            rows = orders.of(epoch, count)
            for start in range(0, count, self.batch_size):
                yield rows[start : start + self.batch_size]
            epoch += 1

    @property
    def terms(self) -> int:
        """Terms in all sums on the way to the first layer's gradient."""
        features: int = math.prod(self.x.shape[1:])
        inner = features + 2 * sum(self.widths) + self.outputs
        return min(self.batch_size, len(self.x)) + inner


class Run:
    """A problem being trained in one way."""

    def __init__(self, problem: Problem, way: ExecutionMode) -> None:
        self.way, self.backend = way, way.backend
        with way.active():
            self.trainer = problem.trainer(way)
            self.samples = Samples(self.trainer, problem.x, problem.y)

    def step(self, rows: Array) -> None:
        """One update on samples `rows`, within `way.active()`."""
        step = self.trainer.training_step(self.samples.kind(len(rows)))
        self.samples.gather(rows, step.batch)
        self.trainer.set_scalars()
        step.run("gradients")
        step.run("update")
        self.trainer.steps_done += 1

    def gradients(self, rows: NDArray) -> list[Tensor]:
        """The loss of samples `rows`, and the gradients from the last layer down."""
        trainer = self.trainer
        with self.way.active():
            self.newest = trainer.training_step(self.samples.kind(len(rows)))
            self.samples.gather(self.backend.asarray(rows), self.newest.batch)
            trainer.set_scalars()
            self.newest.run("gradients")
            self.newest.run("loss")
            found = sorted(trainer.gradients().items(), key=_last_layer_first)
            named = [("loss", self.newest.loss)]
            return self._read(named + [(f"gradient {k}", g) for k, g in found])

    def update(self) -> list[Tensor]:
        """The rule's arrays and the parameters after the update."""
        with self.way.active():
            self.newest.run("update")
        self.trainer.steps_done += 1
        names = self.trainer.optimizer.slots
        slots = zip(names, self.trainer.rule.slots, strict=True)
        return self._read([(f"optimizer {k}", s) for k, s in slots]) + self.parameters()

    def parameters(self) -> list[Tensor]:
        """As they are now, from the first layer up."""
        found = self.trainer.parameters().items()
        return self._read([(f"parameter {name}", p) for name, p in found])

    def copy_from(self, other: "Run", gradients: bool = False) -> None:
        """Take over the gradients of `other`, or all that training changes."""
        mine, theirs = self._arrays(gradients), other._arrays(gradients)
        for target, source in zip(mine, theirs, strict=True):
            values = other.backend.to_numpy(source)
            with self.backend.active():
                self.backend.upload(target, values)

    def _arrays(self, gradients: bool) -> list[Array]:
        if gradients:
            return [self.trainer.flat_gradients]
        return [array for array in self.trainer.arrays().values() if array.size]

    def _read(self, named: list[tuple[str, Array]]) -> list[Tensor]:
        with self.backend.active():
            return [(name, self.backend.to_numpy(array)) for name, array in named]


def _last_layer_first(item: tuple[str, Array]) -> int:
    name, _ = item
    return -int(name.partition(".")[0])


@dataclass(frozen=True)
class Difference:
    """max |a - b| of a tensor in a step (0: before the first one), and its bound."""

    tensor: str
    step: int
    size: float
    bound: float

    @property
    def share(self) -> float:
        """Of the bound; infinite where a number is NaN or the bound 0."""
        if self.size == 0.0:
            return 0.0
        share = self.size / self.bound if self.bound > 0.0 else math.inf
        return share if math.isfinite(share) else math.inf


@dataclass
class Agreement:
    """What a lock-step has found.

    Attributes:
        steps: that were taken.
        first: the first difference beyond its bound; None where A and B agree.
        largest: relative to its bound; None where there was no difference.
        equal: whether all was equal to the bit, running freely too.
        drift: max |a - b| / max |a| over the parameters' tensors after those steps,
            each running freely; 0 where they do not agree.
    """

    steps: int = 0
    first: Difference | None = None
    largest: Difference | None = None
    equal: bool = True
    drift: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether every difference is within its bound."""
        return self.first is None


class Lockstep:
    """The comparison above, of ways `a` and `b` to train `problem`."""

    def __init__(self, problem: Problem, a: ExecutionMode, b: ExecutionMode) -> None:
        self.problem = problem
        self.a, self.b, self.free = (Run(problem, way) for way in (a, b, b))
        self.epsilon = max(float(np.finfo(way.dtype).eps) for way in (a, b))
        self._scales: dict[str, float] = {}
        self._found = Agreement()

    def run(self, steps: int) -> Agreement:
        """Take up to `steps` steps; stops at the first difference beyond its bound.

        Raises:
            ArithmeticError: both ways leave the finite numbers, where nothing can be
                compared any more.
        """
        a, b, found = self.a, self.b, self._found
        if self._within(0, a.parameters(), b.parameters(), 1):
            b.copy_from(a)
            for _, rows in zip(range(steps), self.problem.batches(), strict=False):
                if not self._step(found.steps + 1, rows):
                    break
                found.steps += 1
        if found.agrees:
            self._measure_drift()
        return found

    def _step(self, step: int, rows: NDArray) -> bool:
        """One step of all three; whether A and B agree."""
        a, b, free = self.a, self.b, self.free
        with free.way.active():
            free.step(free.backend.asarray(rows))
        if not self._within(
            step, a.gradients(rows), b.gradients(rows), self.problem.terms
        ):
            return False
        b.copy_from(a, gradients=True)
        agree = self._within(step, a.update(), b.update(), 1)
        b.copy_from(a)
        return agree

    def _within(self, step: int, a: list[Tensor], b: list[Tensor], terms: int) -> bool:
        """Whether each of `a` is near its partner; notes the first that is not."""
        found = self._found
        for (name, mine), (_, other) in zip(a, b, strict=True):
            found.equal = found.equal and _identical(mine, other)
            sizes = _largest(mine), _largest(other)
            if not any(map(math.isfinite, sizes)):
                raise ArithmeticError(
                    f"step {step}: {name} is not finite in either way, the training "
                    "diverges; try another optimizer or scale the data"
                )
            scale = max(self._scales.get(name, 0.0), sizes[0])
            self._scales[name] = scale
            bound = SAFETY * math.sqrt(terms) * self.epsilon * scale
            difference = Difference(name, step, _distance(mine, other), bound)
            worst = 0.0 if found.largest is None else found.largest.share
            if difference.share > worst:
                found.largest = difference
            if difference.share > 1.0:
                found.first = difference
                return False
        return True

    def _measure_drift(self) -> None:
        found = self._found
        pairs = zip(self.a.parameters(), self.free.parameters(), strict=True)
        for (_, mine), (_, other) in pairs:
            found.equal = found.equal and _identical(mine, other)
            apart = _distance(mine, other)
            if apart:
                found.drift = max(found.drift, apart / max(_largest(mine), 1e-300))


def _identical(a: NDArray, b: NDArray) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _largest(a: NDArray) -> float:
    return float(np.abs(a).max(initial=0.0))


def _distance(a: NDArray, b: NDArray) -> float:
    """max |a - b|; NaN where one of them is NaN."""
    if _identical(a, b):
        return 0.0
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))
