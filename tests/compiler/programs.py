"""Random programs over arrays, to be run on plain arrays and on a tape alike.

A program is a list of steps, each of which reads earlier values by their place and
appends one. It is drawn while it runs on plain arrays, so that shapes fit and numbers
stay small; running it again on other arrays, or on traced ones, takes the same steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.compiler import Program, compile_tape
from xpnet.trace import Tape, batch_sum, feature_sum


def whole(x: Any) -> Any:
    """Small whole numbers, whose sum is the same in any order."""
    return (np.clip(x, -99.0, 99.0) * 8.0).astype("int32").astype(x.dtype)


# Only operations that IEEE 754 rounds to the last bit, so that results do not depend on
# how an array lies in memory.
UNARY: list[Callable[..., Any]] = [
    np.square, np.negative, abs, np.sign, lambda x: np.sqrt(abs(x)), lambda x: x**2,
    lambda x: 1.0 / (1.0 + x * x), lambda x: x + 0.0, lambda x: x / 3.0,
    lambda x: np.minimum(x, 1.0) * x, lambda x: np.clip(x, -0.5, 0.75),
    lambda x: 1.0 - x,
    lambda x: (x > 0.25).astype(x.dtype), lambda x: x.copy(), lambda x: 0.5 - 2.0 * x,
    lambda x: whole(x) * 0.125, lambda x: x % 0.75,
    lambda x: x.astype("float64").astype(x.dtype), lambda x: x - (x * x - x),
]  # fmt: skip
BINARY: list[Callable[..., Any]] = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum,
    lambda x, y: x / (2 + y * y),
    lambda x, y: np.where(x > y, x, y * 0.5), lambda x, y: np.where(x <= 0.0, 0.25, y),
    lambda x, y: np.where((x < y) & (x > -1.0), x, -1.0), lambda x, y: x * (x >= y),
    lambda x, y: ((x > 0.0) | (y > 0.0)).astype(x.dtype) - y,
    lambda x, y: x % (abs(y) + 1),
    lambda x, y: np.clip(x, -abs(y), abs(y)), lambda x, y: x * 0.5 + y * 0.25,
]  # fmt: skip
REDUCE: list[Callable[..., Any]] = [
    lambda x: whole(x).sum(axis=-1, keepdims=True), lambda x: whole(x).sum(axis=-2),
    lambda x: whole(x).mean(axis=-2, keepdims=True), lambda x: batch_sum(whole(x)),
    lambda x: np.sum(whole(x).swapaxes(-1, -2)), lambda x: feature_sum(whole(x)),
    lambda x: np.mean(whole(x), axis=(-1, -2)), lambda x: whole(x)[..., ::-1, :].sum(),
    lambda x: x.max(axis=-1, keepdims=True), lambda x: x.max(),
    lambda x: x.max(axis=-2) - x[..., 0, :],
]  # fmt: skip
MATMUL: list[Callable[..., Any]] = [
    lambda x, y: 0.125 * (whole(x) @ whole(y)),
    lambda x, y: (whole(x) @ whole(y).swapaxes(-1, -2)) / 9.0,
    lambda x, y: 0.125 * (whole(x).swapaxes(-1, -2) @ whole(y)),
]  # fmt: skip
VIEW: list[Callable[..., Any]] = [
    lambda x: x.swapaxes(-1, -2), lambda x: x.T if x.ndim == 2 else x.swapaxes(-2, -1),
    lambda x: x[..., ::-1], lambda x: x[..., ::-1, :], lambda x: x[..., :1],
    lambda x: x[..., :1, :], lambda x: x[..., 1:, :], lambda x: x[..., :-1, :],
    lambda x: x[..., 1, :],
]  # fmt: skip
RESHAPE: list[Callable[..., Any]] = [
    lambda x: x.reshape((*x.shape[:-2], -1)), lambda x: x.reshape(-1),
    lambda x: x.reshape((*x.shape[:-2], x.shape[-1], x.shape[-2])),
]  # fmt: skip
INPLACE: list[Callable[..., Any]] = [
    lambda x, y: x.__iadd__(y), lambda x, y: x.__imul__(y), lambda x, y: x.__isub__(y)
]  # fmt: skip
TARGETS: list[Callable[..., Any]] = [
    lambda x: x, lambda x: x, lambda x: x[..., 1:, :], lambda x: x[..., :-1, :],
    lambda x: x[..., ::-1, :], lambda x: x.swapaxes(-1, -2), lambda x: x[..., :1, :],
]  # fmt: skip


@dataclass
class Step:
    """`function` of the values at `places`; a store writes the last into the first."""

    function: Callable[..., Any]
    places: tuple[int, ...]
    kind: str = "value"


@dataclass
class Drawn:
    """A random program.

    Attributes:
        leaves: arrays that outlive it, the first values.
        segments: its steps, by segment.
        outputs: places of the values to be read afterwards.
    """

    leaves: list[np.ndarray]
    segments: dict[str, list[Step]] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)

    def take(self, steps: list[Step], values: list[Any]) -> None:
        """The steps on `values`, which they extend."""
        for step in steps:
            take(step, values)

    def on_arrays(self, leaves: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs of the plain Python function; `leaves` are written."""
        values: list[Any] = list(leaves)
        for steps in self.segments.values():
            self.take(steps, values)
        return [np.array(values[i]) for i in self.outputs]

    def compiled(
        self, backend: Backend, leaves: list[Any], loops: bool = False
    ) -> Program:
        """The same, recorded over `leaves`."""
        tape = Tape()
        values: list[Any] = [tape.leaf(leaf) for leaf in leaves]
        for name, steps in self.segments.items():
            tape.segment = name
            self.take(steps, values)
        outputs = {str(i): values[i] for i in self.outputs}
        return compile_tape(tape, backend, outputs, tuple(self.segments), loops)


def take(step: Step, values: list[Any]) -> None:
    """One step on plain or traced arrays."""
    operands = [values[i] for i in step.places]
    if step.kind == "store":
        target = step.function(operands[0])
        target[...] = operands[1]
    elif step.kind == "inplace":
        values[step.places[0]] = step.function(*operands)
    elif isinstance(operands[0], np.ndarray) and step.kind == "value":
        # Values lie in C order on a tape; sums of floats depend on it.
        values.append(np.asarray(step.function(*operands), order="C"))
    else:
        values.append(step.function(*operands))


class Drawing:
    """Draws a program from a seed, running it as it grows."""

    def __init__(self, seed: int, lead: tuple[int, ...], dtype: str, n: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        shapes = [(*lead, n, n), (*lead, n, n), (*lead, n, n), (*lead, 1, n), (n,), ()]
        self.leaves = [self.fill(shape) for shape in shapes]
        self.values: list[Any] = [leaf.copy() for leaf in self.leaves]
        self.views: set[int] = set()
        self.stored = range(4)  # leaves that stores may write
        self.readable = list(range(len(shapes)))
        self.program = Drawn(self.leaves)

    def fill(self, shape: tuple[int, ...]) -> np.ndarray:
        """New numbers of order 1."""
        return np.asarray(self.rng.normal(size=shape), self.dtype)

    def one(self, items: Any) -> Any:
        """A random item."""
        return items[int(self.rng.integers(len(items)))]

    def place(self) -> int:
        """A value to read: now and then a leaf, more often something recent."""
        n = len(self.readable)
        if self.rng.random() < 0.35:
            return self.readable[int(self.rng.integers(min(n, len(self.leaves))))]
        return self.readable[int(max(self.rng.integers(n), self.rng.integers(n)))]

    def segment(self, name: str, steps: int) -> None:
        """Draw one segment of that many steps."""
        kept = self.program.segments.setdefault(name, [])
        while len(kept) < steps:
            step = self.proposal()
            if step is not None and self.fits(step):
                place = len(self.values)
                take(step, self.values)
                self.readable += range(place, len(self.values))
                if step.kind == "view":
                    self.views.add(place)
                kept.append(step)

    def proposal(self) -> Step | None:
        kind = self.rng.choice(
            ["unary", "binary", "reduce", "view", "matmul", "store", "inplace"],
            p=[0.25, 0.3, 0.08, 0.12, 0.05, 0.15, 0.05],
        )
        a, b = self.place(), self.place()
        x = self.values[a]
        if kind == "unary":
            return Step(self.one(UNARY), (a,))
        if kind == "binary":
            return Step(self.one(BINARY), (a, b))
        if kind == "reduce" and x.ndim > 1:
            return Step(self.one(REDUCE), (a,))
        if kind == "view" and x.ndim > 1:
            # Of a view NumPy's reshape may be a view or a copy.
            some = VIEW if a in self.views else VIEW + RESHAPE
            return Step(self.one(some), (a,), "view")
        if kind == "matmul" and min(x.ndim, self.values[b].ndim) > 1:
            return Step(self.one(MATMUL), (a, b))
        if kind == "store":
            return Step(self.one(TARGETS), (self.one(self.stored), b), "store")
        if kind == "inplace":
            return Step(self.one(INPLACE), (self.one(self.stored), b), "inplace")
        return None

    def fits(self, step: Step) -> bool:
        """Whether the step's shapes fit and its numbers stay small."""
        operands = [self.values[i].copy() for i in step.places]
        try:
            with np.errstate(all="ignore"):
                if step.kind == "store":
                    step.function(operands[0])[...] = operands[1]
                    return True
                result = step.function(*operands)
        except (ValueError, IndexError):
            return False
        if step.kind == "inplace":
            result = operands[0]
        limit = 50.0 if step.kind != "inplace" else 5.0
        return bool(result.size and np.isfinite(result).all()
                    and abs(result).max() < limit)  # fmt: skip

    def finish(self, outputs: int = 4) -> Drawn:
        """The program, with some of its values as outputs."""
        computed = range(len(self.leaves), len(self.values))
        count = min(outputs, len(computed))
        chosen = self.rng.choice(computed, count, replace=False)
        self.program.outputs = sorted(int(i) for i in chosen)
        return self.program


def draw(seed: int, lead: tuple[int, ...], dtype: str, n: int, steps: int) -> Drawn:
    """A program of three segments."""
    drawing = Drawing(seed, lead, dtype, n)
    for name in ("first", "second", "third"):
        drawing.segment(name, steps)
    return drawing.finish()


def draw_training(seed: int, lead: tuple[int, ...], n: int, steps: int) -> Drawn:
    """Segments "gradients", then "update" and "loss", which are independent."""
    drawing = Drawing(seed, lead, "float64", n)
    drawing.segment("gradients", steps)
    known = [i for i in drawing.readable if i > 3]
    known = [i for i in known if i not in drawing.views]
    drawing.readable, drawing.stored = [0, 1, *known], range(2)
    drawing.segment("update", steps)
    drawing.readable, drawing.stored = [2, 3, *known], range(2, 4)
    drawing.segment("loss", steps)
    return drawing.finish()


# What NaN, infinity and the sign of 0 tell apart.
AT_THE_EDGES = (
    lambda z: np.maximum(z, 0.0) + np.minimum(z, 1.0),
    lambda z: np.maximum(z, z[::-1]) * 1.0,
    lambda z: np.sign(z) * 2.0,
    lambda z: np.sqrt(abs(z)) - 1.0,
    lambda z: z - z.max(axis=-1, keepdims=True),
    lambda z: np.where(z > 0.0, z, -z) * 0.5,
)
