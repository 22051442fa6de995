"""Every layer, loss and update rule on a device against NumPy, tensor by tensor.

A case is trained for a few steps on the device, by NumPy in float32 and by NumPy in
float64. After every half of a step all three take over the numbers of one, so that the
differences are the rounding of that half alone. The two NumPy results show how far
rounding moves each tensor (see `Bound`); the device is compared with the one of its
dtype.
"""

from functools import partial

import numpy as np

from xpnet.backend import Array, Backend, Shape, get_backend
from xpnet.benchmarks.cases import Array as HostArray
from xpnet.benchmarks.gpu.cases import BATCH, OUTPUTS, TABLES, Case, all_cases
from xpnet.benchmarks.gpu.verdicts import (
    Bound,
    Check,
    DifferenceError,
    Figures,
    distance,
)
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import EvaluationStep, TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import Dense, Sequential

STEPS = 3
DTYPES = ("float32", "float64")
LEADS: tuple[Shape, ...] = ((), (3,))
Tensors = dict[str, HostArray]


class Subject:
    """The training of a case on one device in one dtype."""

    def __init__(
        self, case: Case, backend: Backend, dtype: str, lead: Shape, eager: bool = False
    ) -> None:
        self.backend = backend
        self.model = Sequential([*case.layers(), Dense(OUTPUTS)]).build(case.sample)
        seeds = tuple(range(int(np.prod(lead, dtype=int))))
        self.model.allocate(backend, np.dtype(dtype), seeds, lead)
        assert self.model.buffers is not None
        self.buffers = self.model.buffers
        optimizer = case.rule()
        self.rule = UpdateState(optimizer, self.buffers)
        self.schedule = optimizer.schedule
        kind = BatchSpec((*lead, BATCH, *case.sample), case.labels, case.weighted)
        jit = False if backend.is_host else None
        common = (kind, eager, jit)
        self.step = TrainingStep(self.model, case.loss, self.rule, *common)
        self.evaluation = EvaluationStep(self.model, case.loss, kind, True, eager, jit)
        for step in (self.step, self.evaluation):
            x, y, w = data(case, lead)
            self.write(step.batch.x, x)
            self.write(step.batch.y_rows, y)
            if step.batch.w is not None:
                self.write(step.batch.w_rows, w)

    def write(self, array: Array, values: HostArray) -> None:
        """Copy host values into an array on the device."""
        with self.backend.active():
            self.backend.upload(array, values)

    def read(self, array: Array) -> HostArray:
        """A host copy of an array on the device."""
        with self.backend.active():
            return np.array(self.backend.to_numpy(array))

    def gradients(self, t: int) -> Tensors:
        """Loss, gradients and running statistics of step `t` = 1, 2, ..."""
        with self.backend.active(), np.errstate(all="ignore"):
            self.rule.write(self.schedule(t - 1), t)
            self.step.run("gradients")
            self.step.run("loss")
        state = {"running statistics": self.read(self.buffers.state)}
        found = {"loss": self.read(self.step.loss)} | self._named("gradient", "grads")
        return found | (state if self.buffers.state.size else {})

    def update(self) -> Tensors:
        """The rule's arrays and the parameters after the update."""
        with self.backend.active(), np.errstate(all="ignore"):
            self.step.run("update")
        slots = {f"slot {i}": self.read(s) for i, s in enumerate(self.rule.slots)}
        return slots | self._named("parameter", "params")

    def evaluate(self) -> Tensors:
        """The prediction and its loss."""
        with self.backend.active(), np.errstate(all="ignore"):
            self.evaluation.run()
        output, total = self.evaluation.output, self.evaluation.total
        return {"prediction": self.read(output), "evaluated loss": self.read(total)}

    def _named(self, what: str, buffer: str) -> Tensors:
        values = self.read(getattr(self.buffers, buffer))
        return {
            f"{what} {slot.key}": values[..., slot.start : slot.start + slot.size]
            for slot in self.buffers.layout.trained
        }

    def arrays(self) -> list[Array]:
        """The arrays that a step starts from."""
        buffers = self.buffers
        arrays = [buffers.params, buffers.grads, buffers.state]
        arrays += self.rule.arrays().values()
        return [array for array in arrays if array.size]

    def copy_from(self, other: "Subject") -> None:
        """Copy all of these arrays from `other`."""
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            self.write(mine, other.read(theirs))


def data(case: Case, lead: Shape) -> tuple[HostArray, HostArray, HostArray]:
    """x, y and weights of one batch, exact in float32."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((*lead, BATCH, *case.sample)).astype(np.float32)
    w = rng.uniform(0.1, 2.0, (*lead, BATCH)).astype(np.float32)
    if case.labels:
        return x, rng.integers(0, OUTPUTS, (*lead, BATCH)), w
    y = rng.uniform(0.05, 0.95, (*lead, BATCH, OUTPUTS)).astype(np.float32)
    return x, y, w


class Comparison:
    """The device's tensors against NumPy's; keeps the worst, relative to its bound."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.worst: tuple[float, str] = (0.0, "none")

    def add(self, where: str, terms: int, ours: Tensors, by: list[Tensors]) -> None:
        """Compare tensors that are sums of `terms` with `by`, float32 and float64."""
        narrow, wide = by
        for name, values in ours.items():
            bound = Bound(self.dtype, terms).of(narrow[name], wide[name])
            reference = narrow if self.dtype == "float32" else wide
            apart = distance(values, reference[name])
            share = 0.0 if apart == 0.0 else apart / bound if bound else np.inf
            if share > self.worst[0]:
                words = f"{name} {where}: off by {apart:.2g}, bound {bound:.2g}"
                self.worst = (float(share), words)

    def result(self) -> Figures:
        """The worst tensor and its share of the bound.

        Raises:
            DifferenceError: it is out of bounds.
        """
        share, words = self.worst
        if share > 1.0:
            raise DifferenceError(words)
        return {"share_of_bound": round(share, 4), "worst": words}


def compare(
    case: Case, backend: Backend, dtype: str, lead: Shape, eager: bool
) -> Figures:
    """Train the case for STEPS steps on the device and with NumPy."""
    host = get_backend("cpu")
    narrow, wide = (Subject(case, host, d, lead) for d in DTYPES)
    device = Subject(case, backend, dtype, lead, eager)
    wide.copy_from(narrow)
    device.copy_from(narrow)
    found = Comparison(dtype)
    widths = [int(np.prod(shape)) for shape in device.model.shapes]
    terms = BATCH + int(np.prod(case.sample)) + 2 * sum(widths)
    norm = device.rule.optimizer.clip_norm is not None
    whole = device.model.parameter_count if norm else 1
    for t in range(1, STEPS + 1):
        ours = device.gradients(t)
        found.add(f"in step {t}", terms, ours, [narrow.gradients(t), wide.gradients(t)])
        for other in (wide, device):
            other.copy_from(narrow)
        updated = device.update()
        found.add(f"in step {t}", whole, updated, [narrow.update(), wide.update()])
        for other in (wide, device):
            other.copy_from(narrow)
    evaluated = device.evaluate()
    found.add("at the end", terms, evaluated, [narrow.evaluate(), wide.evaluate()])
    return found.result()


def checks(
    backend: Backend, eager: bool = False, quick: bool = False, table: str = ""
) -> list[Check]:
    """Every case of a table, or of all, × dtype × stack; quick: no stack, float32."""
    chosen = TABLES[table] if table else all_cases()
    return [
        Check(
            f"{case.name}, {dtype}" + (f", {lead[0]} stacked" if lead else ""),
            partial(compare, case, backend, dtype, lead, eager),
        )
        for case in chosen
        for dtype in (DTYPES[:1] if quick else DTYPES)
        for lead in (LEADS[:1] if quick else LEADS)
    ]
