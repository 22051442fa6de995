"""The gradient check: right gradients pass it, and every planted wrong one fails."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.layers.examples import (
    BATCH,
    OUTPUTS,
    allocated,
    away_from_kinks,
    network,
    rng,
    targets,
)
from tests.layers.mistakes import MISTAKES, WRONG_LOSSES
from xpnet import Activation, Dense, check_gradients
from xpnet.backend import get_backend
from xpnet.layers import ACTIVATIONS, LAYERS, LOSSES, get_loss
from xpnet.lessons.your_own import Scale

RIGHT, WRONG = 1e-7, 1e-5
MSE = "mean_squared_error"
LEADS = [(), (3,)]


def worst(model, loss, lead=(), start=0, **options):
    """The largest error over all parameters, at inputs away from kinks."""
    seed, x, z = away_from_kinks(model, lead, start)
    loss = get_loss(loss)
    t = targets(loss, z, seed)
    errors = check_gradients(
        model, loss, x, t, seed=seed, lead=lead, directions=2, **options
    )
    assert set(errors) == {"x", *(slot.key for slot in model.layout.trained)}
    return max(errors.values())


# Each kind of layer with each activation; losses, biases and leading axes in turn, so
# that two of these meet in some row, whichever they are.
PAIRS = [
    (kind, activation, list(LOSSES)[(i + j) % len(LOSSES)], (i + j // 2) % 2 == 0)
    for i, kind in enumerate(LAYERS)
    for j, activation in enumerate(ACTIVATIONS)
]


@pytest.mark.parametrize(("kind", "activation", "loss", "bias"), PAIRS)
def test_gradients_agree_with_differences(kind, activation, loss, bias):
    lead = LEADS[PAIRS.index((kind, activation, loss, bias)) % 3 % 2]
    assert worst(network(kind, activation, bias), loss, lead) < RIGHT


@pytest.mark.parametrize(("kind", "lead"), in_turns(LAYERS, LEADS))
def test_gradients_agree_for_other_draws(kind, lead):
    for start in (100, 200):
        assert worst(network(kind, "relu"), "huber", lead, start) < RIGHT


@pytest.mark.parametrize("lead", LEADS, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_agree_with_sample_weights(loss, lead):
    weights = rng(5).uniform(0.0, 3.0, (*lead, BATCH))
    weights[..., 0] = 0.0
    for kind in ("Dense", "BatchNorm"):
        assert worst(network(kind), loss, lead, sample_weight=weights) < RIGHT


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("lead", LEADS, ids=str)
def test_gradients_agree_for_labels_and_label_smoothing(lead, smoothing):
    model, loss = network("Dense", "gelu"), xn.SoftmaxCrossEntropy(smoothing)
    seed, x, _ = away_from_kinks(model, lead)
    labels = rng(6).integers(0, OUTPUTS, (*lead, BATCH))
    errors = check_gradients(model, loss, x, labels, seed=seed, lead=lead)
    assert max(errors.values()) < RIGHT
    one_hot = np.eye(OUTPUTS)[labels]
    soft = check_gradients(model, loss, x, one_hot, seed=seed, lead=lead)
    assert soft == errors
    assert worst(model, loss, lead) < RIGHT


@pytest.mark.parametrize("delta", [0.5, 3.0])
def test_gradients_agree_for_other_huber_widths(delta):
    assert worst(network("Dense"), xn.Huber(delta)) < RIGHT


def test_gradients_agree_for_a_deep_network_of_all_kinds():
    layers = [xn.Flatten(), Dense(6, "gelu"), xn.BatchNorm(), xn.Dropout(0.2)]
    layers += [Dense(5, "silu", bias=False), xn.LayerNorm(), xn.GaussianNoise()]
    layers += [Activation("softplus"), Dense(OUTPUTS, "elu")]
    model = xn.Sequential(layers).build((2, 2))
    assert worst(model, MSE) < RIGHT


def test_a_gradient_that_is_exactly_zero_is_right():
    """BatchNorm takes the mean away, so the bias before it moves nothing."""
    model = xn.Sequential([Dense(5), xn.BatchNorm(), Dense(OUTPUTS)]).build(4)
    assert worst(model, "softmax_cross_entropy") < RIGHT


class Centered(xn.Layer):
    """a = x - r with r a running mean of the batches before: a constant of the step."""

    def build(self, shape):
        self.declare_state("r", (1, *shape), "zeros")
        return shape

    def forward(self, x, training):
        a = x - self.r
        self.r[...] = 0.5 * self.r + 0.5 * x.mean(axis=-2, keepdims=True)
        return a

    def backward(self, delta):
        return delta


def test_every_difference_starts_from_the_same_running_statistics():
    model = xn.Sequential([Dense(4, "tanh"), Centered(), Dense(OUTPUTS)]).build(4)
    assert worst(model, MSE) < RIGHT


# What the check catches.


def around(layer):
    """A square network with `layer` in the middle."""
    return xn.Sequential([Dense(4, "tanh"), layer, Dense(OUTPUTS)]).build(4)


@pytest.mark.parametrize("lead", LEADS, ids=str)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_layer_is_caught(mistake, lead):
    wrong, right, argument = MISTAKES[mistake]
    assert worst(around(right(argument)), MSE, lead) < RIGHT
    assert worst(around(wrong(argument)), MSE, lead) > WRONG


@pytest.mark.parametrize("mistake", WRONG_LOSSES)
def test_a_wrong_loss_is_caught(mistake):
    wrong, right = WRONG_LOSSES[mistake]
    assert worst(around(Dense(4)), right) < RIGHT
    assert worst(around(Dense(4)), wrong) > WRONG


def test_an_error_is_found_where_it_is():
    model = around(MISTAKES["W times 1.001"][0](4))
    seed, x, z = away_from_kinks(model)
    y = targets(LOSSES[MSE](), z, seed)
    errors = check_gradients(model, MSE, x, y, seed=seed)
    assert {name for name, error in errors.items() if error > WRONG} == {"1.W"}
    assert 5e-4 < errors["1.W"] < 5e-2


# What the check leaves alone, and what it refuses.


def test_the_model_is_left_unchanged():
    model = allocated(network("BatchNorm", "relu"), 3)
    x, y = rng(8).standard_normal((BATCH, 4)), rng(9).standard_normal((BATCH, OUTPUTS))
    before = [a.copy() for a in (model.buffers.params, model.buffers.state, x, y)]
    views = dict(model.buffers.views)
    check_gradients(model, MSE, x, y)
    after = (model.buffers.params, model.buffers.state, x, y)
    assert all(map(np.array_equal, before, after))
    assert all(model.buffers.views[key] is view for key, view in views.items())
    assert model.layers[0].W is views[0, "W"]


def test_an_unbuilt_model_stays_unbuilt():
    model = xn.Sequential([Dense(OUTPUTS)])
    x = rng(8).standard_normal((BATCH, 4))
    check_gradients(model, MSE, x, x[:, :OUTPUTS])
    assert model.sample_shape is None
    assert model.buffers is None


def test_a_model_is_checked_with_its_own_weights():
    """With b = -x[0] W a relu is at its kink, where differences give one half."""
    model = allocated(xn.Sequential([Dense(4, "relu"), Dense(OUTPUTS)]).build(4))
    x = rng(8).standard_normal((BATCH, 4))
    assert check_gradients(model, MSE, x, x[:, :OUTPUTS])["0.b"] < RIGHT
    views = model.buffers.views
    views[0, "b"][...] = -(x[:1] @ views[0, "W"])
    assert check_gradients(model, MSE, x, x[:, :OUTPUTS])["0.b"] > WRONG


def test_float32_weights_are_checked_in_float64():
    model = network("Dense", "gelu")
    model.allocate(get_backend("cpu"), np.dtype("float32"), (0,))
    x = rng(8).standard_normal((BATCH, 4))
    errors = check_gradients(model, MSE, x, x[:, :OUTPUTS])
    assert max(errors.values()) < RIGHT
    assert model.buffers.dtype == np.float32


def test_the_same_seed_gives_the_same_errors_and_another_seed_others():
    model, x = network("Dense"), rng(8).standard_normal((BATCH, 4))
    first, again, other = (
        check_gradients(model, "huber", x, x[:, :OUTPUTS], seed=s) for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


X = rng(8).standard_normal((BATCH, 4))
T = X[:, :OUTPUTS]
LABELS = np.arange(BATCH) % OUTPUTS
# Samples, targets and weights are checked as at every entrance: tests/training.
REFUSED = {
    "an unknown loss": (("mean_square_error", X, T), {}, MSE),
    "too many labels": (
        ("softmax_cross_entropy", X, np.tile(LABELS, 2)), {}, "y: .*6.*12",
    ),
    "leading axes that x has not": ((MSE, X, T), {"lead": (3,)}, "(x|lead): "),
    "no directions": ((MSE, X, T), {"directions": 0}, "directions: "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_name(case):
    arguments, options, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        check_gradients(network("Dense"), *arguments, **options)


def test_something_else_than_a_model_is_refused():
    with pytest.raises(TypeError, match="model: expected a Sequential"):
        check_gradients([Dense(3)], MSE, X, T)


def test_a_batch_too_small_for_a_layer_is_refused():
    with pytest.raises(ValueError, match=r"BatchNorm.*at least 2"):
        check_gradients(network("BatchNorm"), MSE, X[:1], T[:1])


class Doubled(xn.Layer):
    """a = 2 x, its backward given from outside."""

    def __init__(self, backward):
        self.wrong = backward

    def forward(self, x, training):
        return x * 2.0

    def backward(self, delta):
        return self.wrong(delta)


class Gain(Scale):
    """a = s ⊙ x with s = 1 at the start, its backward without s."""

    def backward(self, grad):
        super().backward(grad)
        return grad


def test_a_wrong_gradient_of_the_input_is_caught_also_in_the_first_layer():
    x, y = rng(0).normal(size=(6, 4)), rng(1).normal(size=(6, 3))
    for backward, right in ((lambda d: 2.0 * d, True), (lambda d: d, False)):
        model = xn.Sequential([Doubled(backward), Dense(3)])
        assert (check_gradients(model, MSE, x, y)["x"] < RIGHT) == right


def test_a_factor_that_is_one_at_the_start_is_not_overlooked():
    x, y = rng(0).normal(size=(6, 4)), rng(1).normal(size=(6, 3))
    errors = check_gradients(xn.Sequential([Dense(4), Gain(), Dense(3)]), MSE, x, y)
    assert errors["0.W"] > 1e-3
    assert errors["1.s"] < RIGHT


def test_a_backward_of_another_shape_is_told_with_its_layer():
    model = xn.Sequential([Doubled(lambda d: d[:, :3]), Dense(3)])
    with pytest.raises(
        ValueError, match=r"layer \d \(Doubled\): backward: expected ∂J/∂x"
    ):
        check_gradients(model, MSE, np.ones((6, 4)), np.ones((6, 3)))
