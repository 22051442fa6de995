"""When the numbers run away: which step, which layer, and what to try."""

from typing import Any, Protocol

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.backend.arrays import all_finite
from xpnet.common.arrays import NDArray
from xpnet.execution.update import UpdateState
from xpnet.layers import Sequential, Slot
from xpnet.training.learning_rate import LearningRate


class Training(Protocol):
    """A training, as far as this module looks at it: see `TrainingState`."""

    model: Sequential
    backend: Backend
    dtype: np.dtype[Any]
    rule: UpdateState
    rates: LearningRate
    steps_done: int
    sound: int | None


class Reading(Protocol):
    """A step, as far as this module looks at it."""

    x: Array


class DivergenceError(ArithmeticError):
    """A loss, a gradient or a weight became NaN or infinite."""


def divergence(
    state: Training, step: Reading, number: int, loss: float
) -> DivergenceError:
    """The error for step `number`, which is in the buffers of `step` now."""
    where, cause = _place(state, step)
    what = (
        f"the loss is {loss}" if not np.isfinite(loss) else "a gradient is not finite"
    )
    return _error(state, number, what, where, cause)


def overflow(state: Training) -> DivergenceError | None:
    """The error where the last update has left weights that are not finite, or None.

    Each step is looked at before its update, so that nothing else finds the last one.
    """
    buffers = state.model.buffers
    assert buffers is not None
    lost = _lost(state, [buffers.params], buffers.layout.trained)
    if lost is None:
        return None
    where, name = lost
    what = f"its update overflows {state.dtype}"
    cause = f"the step is too long; its {name} is no longer finite"
    return _error(state, state.steps_done, what, where, cause)


def _error(
    state: Training, number: int, what: str, where: str, cause: str
) -> DivergenceError:
    rate = state.rates.at(max(number - 1, 0))
    lower = f"a learning rate of {rate / 10:g} instead of {rate:g}, " if rate else ""
    return DivergenceError(
        f"training diverged at step {number}: {what}; first seen in "
        f"{where}; likely cause: {cause}; try {lower}clip_norm=1.0, or standardised "
        "inputs; fit(..., diagnose=True) and `xpnet doctor` show each layer on the "
        "way there"
    )


def check_sound(state: Training, what: str, again: bool = False) -> None:
    """Raises ValueError where a weight or running statistic is NaN or infinite.

    They are looked at once an update.

    Args:
        state: with a built model.
        what: is to be done with the weights: "predict", "save".
        again: look whatever has been seen.
    """
    if state.sound == state.steps_done and not again:
        return
    buffers = state.model.buffers
    assert buffers is not None
    arrays = [buffers.params, buffers.state, *state.rule.averages]
    slots = [*buffers.layout.trained, *buffers.layout.state]
    lost = _lost(state, arrays, sorted(slots, key=lambda slot: slot.layer))
    if lost is not None:
        where, name = lost
        raise ValueError(
            f"{what}: expected finite weights, got NaN or infinity in {name} of "
            f"{where}, as after a training that diverged; load the last good save, or "
            "train a new network with a lower learning rate"
        )
    state.sound = state.steps_done


def check_outputs(state: Training, outputs: NDArray, what: str) -> None:
    """Raises ValueError where predictions are not finite, and says why."""
    if all_finite(outputs):
        return
    check_sound(state, what, again=True)
    row = int(np.argwhere(~np.isfinite(outputs))[0, 0])
    raise ValueError(
        f"{what}: expected outputs within {state.dtype}, got "
        f"{outputs[row].tolist()} for sample {row}; scale the inputs as those of the "
        "training, or use dtype='float64'"
    )


def _lost(
    state: Training, arrays: list[Array], slots: list[Slot]
) -> tuple[str, str] | None:
    """(layer, parameter) of the first that is not finite; None where `arrays` are."""
    buffers = state.model.buffers
    assert buffers is not None
    with state.backend.active(), np.errstate(all="ignore"):
        if all(_finite(state, array) for array in arrays):
            return None
        for slot in slots:
            name = slot.parameter.name
            if not _finite(state, buffers.views[slot.layer, name]):
                kind = type(state.model.layers[slot.layer]).__name__
                return f"layer {slot.layer} ({kind})", name
    return "the averages", "a mean"


def _finite(state: Training, array: Array) -> bool:
    if state.backend.is_host:
        return all_finite(array)
    return bool(state.backend.xp.isfinite(array).all())


def _place(state: Training, step: Reading) -> tuple[str, str]:
    """(layer, likely cause): forward first, then the gradients from the output down."""
    model, backend = state.model, state.backend
    with backend.active(), np.errstate(all="ignore"):
        x = step.x
        for i, layer in enumerate(model.layers):
            before = float(np.abs(backend.to_numpy(x)).max())
            x = layer.forward(x, training=False)
            if not _finite(state, x):
                name = f"layer {i} ({type(layer).__name__})"
                for parameter in layer.declared:
                    if not _finite(state, getattr(layer, parameter.name)):
                        return name, f"its {parameter.name} is no longer finite"
                return name, f"its output overflows (its input reaches {before:.3g})"
        assert model.buffers is not None
        for slot in sorted(model.layout.trained, key=lambda s: -s.layer):
            view = model.buffers.views[slot.layer, "d" + slot.parameter.name]
            if not _finite(state, view):
                kind = type(model.layers[slot.layer]).__name__
                return f"layer {slot.layer} ({kind})", f"δ overflows in ∂J/∂{slot.key}"
    return "the loss", "the outputs are too far from the targets"
