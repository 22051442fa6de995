"""The gradient check: backpropagation against differences of the loss itself."""

from typing import Any

import numpy as np

from xpnet.backend import Array, Shape, generator, get_backend
from xpnet.common import check_whole, explains_arguments
from xpnet.common.arrays import NDArray
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import Layer, Loss, Sequential, Slot, get_loss
from xpnet.optim import SGD
from xpnet.training import inputs

CHECK = 3  # the stream of the directions
STEP = 1e-4  # h, with parameters and inputs of order 1
# A gradient that is 0 but for rounding (a bias in front of BatchNorm) is compared with
# this share of what the others are like.
NEGLIGIBLE = 1e-3


class _Shift(Layer):
    """a = x + s, with one s for all samples: ∂J/∂s = Σ_batch ∂J/∂x of the input."""

    shift: Array
    dshift: Array

    def build(self, shape: Shape) -> Shape:
        """One number for each of a sample's."""
        self.sample = shape
        self.declare("shift", (1, *shape), "zeros")
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        """Give x + s."""
        return x + self.shift

    def backward(self, grad: Array) -> Array:
        """Σ_batch ∂J/∂a."""
        self.dshift[...] = grad.sum(axis=-1 - len(self.sample), keepdims=True)
        return grad


@explains_arguments
def check_gradients(
    model: Sequential,
    loss: str | Loss,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    directions: int = 4,
    seed: int = 0,
    lead: Shape = (),
) -> dict[str, float]:
    """Relative error of each parameter's gradient, in float64.

    For random directions v with ‖v‖ = 1 in the space of one parameter, ⟨∂J/∂θ, v⟩ by
    backpropagation is compared with the five-point central difference

        [8 (J(θ + hv) - J(θ - hv)) - (J(θ + 2hv) - J(θ - 2hv))] / 12h,   h = 10⁻⁴

    whose error is of order h⁴. The difference is divided by ‖∂J/∂θ‖ / √n, the typical
    size of such a product for n entries (or by a thousandth of that size over all
    parameters, where that is larger). A right gradient gives 1e-8 or less where the
    functions are smooth; at a kink (relu at 0, |e| at 0) the difference itself is
    wrong, so draw inputs away from kinks. The gradient of the input is checked as "x",
    through a shift added to every sample. Parameters that start all equal (a bias at 0,
    a gain at 1) are moved a little first: there a missing factor would not show. The
    model is copied, not changed; masks and noise are those of one fixed step. Press et
    al., Numerical Recipes, 5.7.

    Args:
        model: built or not; with its own weights if it has some.
        loss: a name or a `Loss`.
        x, y, sample_weight: one batch, as for `Trainer.step`; for stacked networks
            (*lead, batch, ...) each.
        directions: how many v for each parameter.
        seed: of the directions, and of the weights where the model has none.
        lead: leading axes of stacked networks, such as (3,).

    Returns:
        {"x": error, "0.W": error, ...}, the largest over the directions.

    Raises:
        ValueError, TypeError: unfit data.
    """
    directions = check_whole("", "directions", directions, 1)
    seed = check_whole("", "seed", seed, 0)
    if not isinstance(model, Sequential):
        raise TypeError(f"model: expected a Sequential, got {model!r}")
    step = _prepared(model, get_loss(loss), x, y, sample_weight, seed, lead)
    buffers = step.model.buffers
    assert buffers is not None
    state = buffers.state.copy()
    step.run("gradients")
    slots = sorted(step.model.layout.trained, key=lambda s: s.layer)
    gradients = [buffers.views[s.layer, "d" + s.parameter.name].copy() for s in slots]
    floor = NEGLIGIBLE * _typical(np.concatenate([g.ravel() for g in gradients]))
    errors = {}
    for slot, gradient in zip(slots, gradients, strict=True):
        rng = generator(seed, CHECK, slot.start)
        size = max(_typical(gradient), floor)
        found = [_error(step, slot, gradient, rng, state) for _ in range(directions)]
        name = "x" if slot.layer == 0 else f"{slot.layer - 1}.{slot.parameter.name}"
        errors[name] = max(found) / size if size > 0.0 else max(found)
    return errors


def _typical(values: NDArray) -> float:
    """Root of the mean square: what a product with a random direction is like."""
    return float(np.sqrt(np.mean(np.square(values))))


def _prepared(
    model: Sequential,
    loss: Loss,
    x: Any,
    y: Any,
    sample_weight: Any,
    seed: int,
    lead: Shape,
) -> TrainingStep:
    """A float64 step over a copy of the model, its batch in place."""
    backend = get_backend("cpu")
    x = inputs.as_array(x, "x", backend)
    x = x if lead else inputs.check_x(x, model.sample_shape, backend)
    if x.ndim < len(lead) + 2 or x.shape[: len(lead)] != lead:
        wanted = ", ".join([*map(str, lead), "samples", "features"])
        raise ValueError(
            f"x: expected shape ({wanted}) for lead={lead}, got {x.shape}; stack one "
            "batch a network"
        )
    batch, sample = x.shape[len(lead)], x.shape[len(lead) + 1 :]
    members = int(np.prod(lead, dtype=int))
    rows = inputs.check_x(x.reshape((-1, *sample)), None, backend)
    inputs.check_finite(rows, "x", backend)
    plain = model.copy().build(sample)
    inputs.check_batch(plain, batch)
    copy = Sequential([_Shift(), *plain.layers]).build(sample)
    copy.allocate(
        backend, np.dtype("float64"), tuple(seed + i for i in range(members)), lead
    )
    if model.buffers is not None and not lead:
        _take_weights(copy, model)
    _unsettle(copy, seed)
    y = inputs.as_array(y, "y", backend)
    y = _flat(y, lead, batch, "y") if lead else y
    y = inputs.check_y(y, members * batch, loss, copy.n_outputs, backend)
    inputs.check_finite(y, "y", backend)
    w: Any = None
    if sample_weight is not None:
        w = inputs.as_array(sample_weight, "sample_weight", backend)
        w = _flat(w, lead, batch, "sample_weight") if lead else w
        w = inputs.check_weights(w, members * batch, backend)
    kind = BatchSpec(x.shape, inputs.is_labels(y, loss), w is not None)
    assert copy.buffers is not None
    step = TrainingStep(
        copy, loss, UpdateState(SGD(1.0), copy.buffers), kind, jit=False
    )
    step.batch.x[...] = x
    step.batch.y_rows[...] = y.reshape(step.batch.y_rows.shape)
    if step.batch.w_rows is not None:
        step.batch.w_rows[...] = np.reshape(w, step.batch.w_rows.shape)
    return step


def _flat(values: Any, lead: Shape, batch: int, name: str) -> Any:
    """(*lead, batch, ...) as (members · batch, ...)."""
    if values.shape[: len(lead) + 1] != (*lead, batch):
        raise ValueError(
            f"{name}: expected one row a sample, shape {(*lead, batch)} and more; got "
            f"{values.shape}"
        )
    return values.reshape((-1, *values.shape[len(lead) + 1 :]))


def _take_weights(copy: Sequential, model: Sequential) -> None:
    assert copy.buffers is not None
    assert model.buffers is not None
    for slot in copy.slots().values():
        if slot.layer > 0:
            old = model.buffers.views[slot.layer - 1, slot.parameter.name]
            copy.buffers.write(slot, model.buffers.backend.to_numpy(old))


def _unsettle(model: Sequential, seed: int) -> None:
    """Move parameters whose entries are all equal by up to ±0.1."""
    assert model.buffers is not None
    for slot in model.layout.trained:
        view = model.buffers.views[slot.layer, slot.parameter.name]
        if slot.layer > 0 and np.ptp(view) == 0.0:
            view += generator(seed, CHECK, slot.start, 1).uniform(-0.1, 0.1, view.shape)


def _error(
    step: TrainingStep,
    slot: Slot,
    gradient: Any,
    rng: np.random.Generator,
    state: Any,
) -> float:
    """|five-point difference - ⟨gradient, v⟩| for one random v with ‖v‖ = 1."""
    buffers = step.model.buffers
    assert buffers is not None
    theta = buffers.views[slot.layer, slot.parameter.name]
    start = theta.copy()
    v = rng.standard_normal(theta.shape)
    v /= np.linalg.norm(v)

    def objective(h: float) -> float:
        theta[...] = start + h * v
        buffers.state[...] = state  # what a forward pass moves must not add up
        step.run("gradients")
        step.run("loss")
        return float(step.loss.sum())

    h = STEP
    near = objective(h) - objective(-h)
    far = objective(2 * h) - objective(-2 * h)
    theta[...], buffers.state[...] = start, state
    numeric = (8.0 * near - far) / (12.0 * h)
    return abs(numeric - float((gradient * v).sum()))
