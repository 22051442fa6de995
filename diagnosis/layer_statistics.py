"""What the doctor measures: the equations of a few samples, run on a copy.

The copy takes over the weights, so that the training's own arrays, masks and running
statistics are read and never written: its numbers stay as they are.
"""

import math
from typing import Any

import numpy as np

from xpnet.backend import Array, generator
from xpnet.common.arrays import NDArray
from xpnet.execution.batch import Batch
from xpnet.layers import ACTIVATIONS, Activation, Layer, Slot
from xpnet.training.data import Samples
from xpnet.training.state import TrainingState

Row = dict[str, list[float]]

DOCTOR = 5  # the stream that the samples are drawn from
MOST = 256  # samples looked at: a share of units is then known to about ±3%
FLAT = 0.05  # of the steepest slope: below it an activation counts as saturated
MOSTLY = 0.5  # of the samples: a unit that is flat for so many is saturated
STEEPEST = {"sigmoid": 0.25, "tanh": 1.0}

# What is measured in each layer; NaN where a layer has none of it.
SIZES = ("z", "a", "delta", "gradient", "update")
SHARES = ("dead", "saturated")


class LayerStatistics:
    """A few samples, and a copy of the model that they run through.

    Attributes:
        names: "layer 0 (Dense, relu)", one a layer.
        samples: how many are looked at.
        x, y: the samples and their targets, on the host.
    """

    def __init__(self, trainer: TrainingState, samples: Samples) -> None:
        self._backend, self._loss = trainer.backend, trainer.loss_function
        self.model = trainer.model.copy()
        self.model.allocate(trainer.backend, trainer.dtype, (trainer.seed,))
        self.samples = min(MOST, samples.count)
        rng = generator(trainer.seed, DOCTOR)
        rows = np.sort(rng.permutation(samples.count)[: self.samples])
        with trainer.backend.active():
            self._batch = Batch(samples.kind(self.samples), self.model)
            samples.gather(trainer.backend.asarray(rows), self._batch)
        self.x, self.y = self._host(self._batch.x), self._host(self._batch.y)
        self._functions = [_activation(layer) for layer in self.model.layers]
        for function in filter(None, self._functions):
            _remember_delta(function)
        self.names = [
            _name(i, layer, function)
            for i, (layer, function) in enumerate(
                zip(self.model.layers, self._functions, strict=True)
            )
        ]

    def take(self, trainer: TrainingState) -> None:
        """Take over the trainer's weights, running statistics and step."""
        for mine, theirs in zip(self._arrays(self), self._arrays(trainer), strict=True):
            mine[...] = theirs

    @staticmethod
    def _arrays(owner: Any) -> tuple[Array, ...]:
        buffers = owner.model.buffers
        return buffers.params, buffers.state, owner.model.step

    def measure(self, trainer: TrainingState) -> tuple[float, Row]:
        """(loss, a row of numbers a layer) of the weights that `take` took.

        The trainer has made one step since: "update" is ‖ΔW‖ / ‖W‖ of it. The other
        sizes are roots of mean squares, δ that of each sample's own loss.
        """
        with self._backend.active(), np.errstate(all="ignore"):
            outputs, loss = self._forward()
            found = self._sizes(outputs, self._backward(outputs[-1]))
            before = self._backend.to_numpy(self.model.buffers.params)  # type: ignore[union-attr]
            after = self._backend.to_numpy(trainer.model.buffers.params)  # type: ignore[union-attr]
        found["update"] = [
            _rms(part(after) - part(before)) / max(_rms(part(before)), 1e-30)
            if part
            else math.nan
            for part in map(self._weights, range(len(outputs)))
        ]
        return loss, found

    def _forward(self) -> tuple[list[Array], float]:
        """The output of each layer, and the loss."""
        batch, x = self._batch, self._batch.x
        outputs = []
        for layer in self.model.layers:
            x = layer.forward(x, training=True)
            outputs.append(x)
        t = batch.targets(batch.y, x.dtype)
        rows = self._host(self._loss.rows(x, t))
        return outputs, float((rows * self._host(batch.shares(batch.w))).sum())

    def _backward(self, z: Array) -> list[Array]:
        """δ of each layer's z, or of its output where it has no activation."""
        batch, found = self._batch, []
        t = batch.targets(batch.y, z.dtype)
        grad = self._loss.gradient(z, t) * batch.shares(batch.w)
        for layer, f in reversed(
            list(zip(self.model.layers, self._functions, strict=True))
        ):
            below = layer.backward(grad)
            found.append(grad if f is None else vars(f)["delta"])
            grad = below
        return found[::-1]

    def _sizes(self, outputs: list[Array], deltas: list[Array]) -> Row:
        found: Row = {name: [] for name in (*SIZES, *SHARES)}
        grads = self._host(self.model.buffers.grads)  # type: ignore[union-attr]
        for i, f in enumerate(self._functions):
            part = self._weights(i)
            z, a = (None, outputs[i]) if f is None else (self._host(f.z), f.a)
            found["z"].append(math.nan if z is None else _rms(z))
            found["a"].append(_rms(self._host(a)))
            found["delta"].append(self.samples * _rms(self._host(deltas[i])))
            found["gradient"].append(_rms(part(grads)) if part else math.nan)
            found["dead"].append(_dead(f, self._host(a)))
            found["saturated"].append(_saturated(f, z, self._host(a)))
        return found

    def _weights(self, layer: int) -> Any:
        """What cuts the layer's weights, or all it has, from a flat array; or None."""
        own = [s for s in self.model.layout.trained if s.layer == layer]
        own = [s for s in own if s.parameter.penalized] or own
        return (lambda flat: _cut(flat, own)) if own else None

    def _host(self, array: Any) -> NDArray:
        if isinstance(array, float):  # the share of each sample, without weights
            return np.asarray(array)
        return self._backend.to_numpy(array)


def _cut(flat: NDArray, slots: list[Slot]) -> NDArray:
    return np.concatenate([flat[s.start : s.start + s.size] for s in slots])


def _rms(values: NDArray) -> float:
    """√ of the mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _activation(layer: Layer) -> Activation | None:
    """The layer itself, or the activation inside it; None where there is none."""
    parts = (layer, *vars(layer).values())
    return next((part for part in parts if isinstance(part, Activation)), None)


def _remember_delta(function: Activation) -> None:
    """Let `function`, of the copy, keep the δ that it computes."""
    backward = function.backward

    def kept(grad: Array) -> Array:
        vars(function)["delta"] = backward(grad)
        return vars(function)["delta"]

    vars(function)["backward"] = kept


def _kind(function: Activation | None) -> str:
    """The activation's name in the table; empty for another."""
    if function is None:
        return ""
    return next((n for n, row in ACTIVATIONS.items() if row is function.row), "")


def _name(i: int, layer: Layer, function: Activation | None) -> str:
    kind = _kind(function)
    inner = f", {kind}" if kind and kind != "identity" else ""
    return f"layer {i} ({type(layer).__name__}{inner})"


def _dead(function: Activation | None, a: NDArray) -> float:
    """The share of rectified units that are 0 for every sample."""
    return float((a == 0.0).all(axis=0).mean()) if _kind(function) == "relu" else np.nan


def _saturated(function: Activation | None, z: NDArray | None, a: NDArray) -> float:
    """The share of sigmoid or tanh units that are flat for most samples."""
    kind = _kind(function)
    if function is None or kind not in STEEPEST:
        return np.nan
    flat = function.row.derivative(z, a) < FLAT * STEEPEST[kind]
    return float((flat.mean(axis=0) >= MOSTLY).mean())
