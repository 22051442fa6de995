"""When the numbers run away: which step, which layer, and what to try."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from xpnet.backend import Array

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


class Reading(Protocol):
    """A step, as far as this module looks at it."""

    x: Array


class DivergenceError(ArithmeticError):
    """A loss or a gradient became NaN or infinite."""


def divergence(
    trainer: "Trainer", step: Reading, number: int, loss: float
) -> DivergenceError:
    """The error for step `number`, which is in the buffers of `step` now."""
    where, cause = _place(trainer, step)
    rate = trainer.learning_rate
    what = (
        f"the loss is {loss}" if not np.isfinite(loss) else "a gradient is not finite"
    )
    return DivergenceError(
        f"training diverged at step {number}: {what}; first seen in "
        f"{where}; likely cause: {cause}; try a learning rate of {rate / 10:g} instead "
        f"of {rate:g}, clip_norm=1.0, or standardised inputs; "
        "fit(..., diagnose=True) and `xpnet doctor` show each layer on the way there"
    )


def _place(trainer: "Trainer", step: Reading) -> tuple[str, str]:
    """(layer, likely cause): forward first, then the gradients from the output down."""
    model, backend = trainer.model, trainer.backend

    def finite(array: object) -> bool:
        return bool(np.isfinite(backend.to_numpy(array)).all())

    with backend.active(), np.errstate(all="ignore"):
        x = step.x
        for i, layer in enumerate(model.layers):
            before = float(np.abs(backend.to_numpy(x)).max())
            x = layer.forward(x, training=False)
            if not finite(x):
                name = f"layer {i} ({type(layer).__name__})"
                for parameter in layer.declared:
                    if not finite(getattr(layer, parameter.name)):
                        return name, f"its {parameter.name} is no longer finite"
                return name, f"its output overflows (its input reaches {before:.3g})"
        assert model.buffers is not None
        for slot in sorted(model.layout.trained, key=lambda s: -s.layer):
            if not finite(model.buffers.views[slot.layer, "d" + slot.parameter.name]):
                kind = type(model.layers[slot.layer]).__name__
                return f"layer {slot.layer} ({kind})", f"δ overflows in ∂J/∂{slot.key}"
    return "the loss", "the outputs are too far from the targets"
