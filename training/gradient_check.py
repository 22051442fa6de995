"""The gradient check: backpropagation against differences of the loss itself."""

from typing import Any

import numpy as np

from xpnet.backend import Shape, generator, get_backend
from xpnet.layers import Loss, Sequential, Slot, get_loss
from xpnet.optim import SGD
from xpnet.training import checks
from xpnet.training.step import Kind, Rule, TrainingStep

CHECK = 3  # the stream of the directions
STEP = 1e-4  # h, with parameters and inputs of order 1


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
    size of such a product for n entries. A right gradient gives 1e-8 or less where the
    functions are smooth; at a kink (relu at 0, |e| at 0) the difference itself is
    wrong, so draw inputs away from kinks. The model is copied, not changed; masks and
    noise are those of one fixed step. Press et al., Numerical Recipes, 5.7.

    Args:
        model: built or not; with its own weights if it has some.
        loss: a name or a `Loss`.
        x, y, sample_weight: one batch, as for `Trainer.step`; for stacked networks
            (*lead, batch, ...) each.
        directions: how many v for each parameter.
        seed: of the directions, and of the weights where the model has none.
        lead: leading axes of stacked networks, such as (3,).

    Returns:
        {"0.W": error, "0.b": error, ...}, the largest over the directions.

    Raises:
        ValueError, TypeError: unfit data.
    """
    step = _prepared(model, get_loss(loss), x, y, sample_weight, seed, lead)
    buffers = step.model.buffers
    assert buffers is not None
    step.run("gradients")
    state = buffers.state.copy()
    slots = sorted(step.model.layout.trained, key=lambda s: s.layer)
    gradients = [buffers.views[s.layer, "d" + s.parameter.name].copy() for s in slots]
    errors = {}
    for slot, gradient in zip(slots, gradients, strict=True):
        rng = generator(seed, CHECK, slot.start)
        errors[slot.key] = max(
            _error(step, slot, gradient, rng) for _ in range(directions)
        )
        buffers.state[...] = state
    return errors


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
    x = checks.check_x(x, None, lead, backend)
    copy = model.copy().build(x.shape[len(lead) + 1 :])
    samples = x.shape[len(lead)]
    seeds = tuple(seed + i for i in range(int(np.prod(lead, dtype=int))))
    copy.allocate(backend, np.dtype("float64"), seeds, lead)
    if model.buffers is not None and not lead:
        for slot in copy.slots().values():
            old = model.buffers.views[slot.layer, slot.parameter.name]
            copy.buffers.write(slot, model.buffers.backend.to_numpy(old))  # type: ignore[union-attr]
    y = np.asarray(y).reshape((-1, *np.shape(y)[len(lead) + 1 :]))
    members = len(y) // samples if samples else 0
    y = checks.check_y(y, members * samples, loss, copy.n_outputs, backend)
    labels = checks.is_labels(y, loss)
    rule = Rule(SGD(1.0), [], {"rate": np.ones(())})
    kind = Kind(x.shape, labels, sample_weight is not None)
    step = TrainingStep(copy, loss, rule, kind, eager=False)
    step.batch.x[...] = x
    step.batch.y_rows[...] = y.reshape(step.batch.y_rows.shape)
    if step.batch.w_rows is not None:
        step.batch.w_rows[...] = sample_weight
    return step


def _error(
    step: TrainingStep, slot: Slot, gradient: Any, rng: np.random.Generator
) -> float:
    buffers = step.model.buffers
    assert buffers is not None
    theta = buffers.views[slot.layer, slot.parameter.name]
    start = theta.copy()
    v = rng.standard_normal(theta.shape)
    v /= np.linalg.norm(v)

    def objective(h: float) -> float:
        theta[...] = start + h * v
        step.run("gradients")
        step.run("loss")
        return float(step.loss.sum())

    h = STEP
    near = objective(h) - objective(-h)
    far = objective(2 * h) - objective(-2 * h)
    theta[...] = start
    numeric = (8.0 * near - far) / (12.0 * h)
    size = float(np.linalg.norm(gradient)) / np.sqrt(gradient.size)
    difference = abs(numeric - float((gradient * v).sum()))
    return difference / size if size > 0.0 else difference
