"""A step that diverges leaves all as it was; weights that are lost are not used."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.ways import everything, same
from xpnet.optim import descend

draw = np.random.default_rng(0)
X = draw.normal(size=(24, 3)).astype(np.float32)
Y = draw.integers(0, 3, 24)
WAYS = {"calls": {"jit": False}, "C": {"jit": True}, "eager": {"eager": True}}


class Wild(xn.Layer):
    """Its δ overflows."""

    def forward(self, x, training):
        return x

    def backward(self, grad):
        return grad * 1e30 * 1e30


def network(rule=None, how="calls", layers=(), **options):
    model = xn.Sequential([xn.Dense(5, "relu"), xn.BatchNorm(), *layers, xn.Dense(3)])
    rule = rule or xn.Adam(0.01)
    return xn.Trainer(
        model, "softmax_cross_entropy", rule, "cpu", **WAYS[how], **options
    )


@pytest.mark.parametrize("how", WAYS)
def test_a_step_with_gradients_that_are_not_finite_changes_nothing(how):
    trainer = network(how=how, layers=[Wild()])
    trainer.build(3)
    before = everything(trainer)
    for _ in range(2):
        with pytest.raises(xn.DivergenceError, match="at step 1: a gradient is not"):
            trainer.step(X, Y)
        with pytest.raises(xn.DivergenceError, match="at step 1: a gradient is not"):
            _ = trainer.loss
    assert same(everything(trainer), before)
    assert trainer.steps_done == 0


@pytest.mark.parametrize("how", WAYS)
def test_good_steps_go_on_after_a_bad_one(how):
    """As if it had not been: also on other arrays, which are read in place."""
    bad, good = np.full_like(X, 3e38), [X + i for i in range(4)]
    trainer, plain = network(how=how), network(how=how)
    for i, x in enumerate(good):
        trainer.step(x, Y)
        plain.step(x, Y)
        assert trainer.loss == plain.loss
        if i == 2:
            with pytest.raises(xn.DivergenceError, match="diverged at step 4: "):
                trainer.step(bad, Y)
    assert same(everything(trainer), everything(plain))
    assert trainer.steps_done == 4


@pytest.mark.parametrize("how", ["calls", "C"])
def test_the_last_update_of_a_fit_is_looked_at(how):
    def plain(rate):
        model = xn.Sequential([xn.Dense(3)])
        rule, own = xn.SGD(rate), WAYS[how]
        return xn.Trainer(model, "softmax_cross_entropy", rule, "cpu", **own)

    x, trainer = 100 * X, plain(3e38)
    with pytest.raises(xn.DivergenceError) as caught:
        trainer.fit(x, Y, 1, None, verbose=False)
    assert "at step 1: its update overflows float32; first seen in" in str(caught.value)
    assert "a learning rate of 3e+37 instead of 3e+38" in str(caught.value)
    stack = xn.Stack([plain(3e38), plain(0.1)])
    stack.fit(x, Y, 1, None, verbose=False)
    assert list(stack.errors) == [0]
    assert stack.trainers[0].history.stopped.startswith("diverged: training diverged")


def spoilt(name, value):
    trainer = network()
    trainer.fit(X, Y, 1, verbose=False)
    trainer.predict(X)
    layer, parameter = name.split(".")
    array = trainer.model.buffers.views[int(layer), parameter]
    array[(0,) * array.ndim] = value
    return trainer


USES = {
    "predict": lambda t, folder: t.predict(X),
    "predict_classes": lambda t, folder: t.predict_classes(X),
    "evaluate": lambda t, folder: t.evaluate(X, Y),
    "save": lambda t, folder: t.save(folder),
    "stack: predict": lambda t, folder: xn.Stack([network(), t]).predict(X),
    "ensemble": lambda t, folder: xn.Ensemble([t]).predict(X),
}


@pytest.mark.parametrize(
    ("use", "name"), in_turns(USES, ["0.W", "1.running_mean", "2.b"])
)
def test_weights_that_are_not_numbers_are_refused(use, name, tmp_path):
    trainer = spoilt(name, np.nan)
    layer, parameter = name.split(".")
    words = f"expected finite weights, got NaN or infinity in {parameter} of layer "
    with pytest.raises(ValueError, match=rf"{words}{layer} \("):
        USES[use](trainer, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_file_of_lost_weights_does_not_replace_a_good_one(tmp_path):
    trainer = network()
    trainer.fit(X, Y, 1, verbose=False)
    trainer.save(tmp_path)
    wanted = trainer.predict(X)
    trainer.parameters()["0.W"][0, 0] = np.inf
    with pytest.raises(ValueError, match="save: expected finite weights"):
        trainer.save(tmp_path)
    assert np.array_equal(xn.Trainer.load(tmp_path, "cpu").predict(X), wanted)


def test_outputs_that_overflow_are_refused():
    model = xn.Sequential([xn.Dense(4), xn.Dense(1)])
    trainer = xn.Trainer(model, "mean_squared_error", device="cpu")
    trainer.build(3)
    trainer.parameters()["0.W"][...] = 1e20
    trainer.parameters()["1.W"][...] = 1e20
    x = np.ones((3, 3))
    with pytest.raises(ValueError, match="predict: expected outputs within float32"):
        trainer.predict(x)
    x[0] = 1e-10
    with pytest.raises(ValueError, match="for sample 1; scale the inputs"):
        trainer.predict(x)


# Schedules.

BAD = {
    "negative": (lambda t: -1.0, ValueError, "got -1.0 for step 0"),
    "not a number": (lambda t: np.nan, ValueError, "got nan for step 0"),
    "infinite": (lambda t: np.inf, ValueError, "got inf for step 0"),
    "later": (lambda t: 0.1 if t < 5 else -0.1, ValueError, "got -0.1 for step 5"),
    "in an array": (lambda t: np.array(-1.0), ValueError, "got -1.0 for step 0"),
    "beyond float32": (lambda t: 1e39, ValueError, "within float32, got 1e.39"),
    "overflow": (xn.ExponentialDecay(0.1, 1, 1e99), ValueError, "within float32"),
    "text": (lambda t: "0.1", TypeError, "got '0.1' for step 0"),
    "nothing": (lambda t: None, TypeError, "got None for step 0"),
    "yes": (lambda t: True, TypeError, "got True for step 0"),
    "several": (lambda t: np.ones(2), TypeError, r"got array\(\[1., 1.\]\) for step 0"),
    "warm-up to it": (xn.WarmUp(lambda t: -1.0, 3), ValueError, "for step 0"),
}
TRAININGS = {
    "fit": lambda rule: network(rule).fit(X, Y, 3, 8, verbose=False),
    "fit, eager": lambda rule: network(rule, "eager").fit(X, Y, 3, 8, verbose=False),
    "fit in C": lambda rule: network(rule, "C").fit(X, Y, 3, 8, verbose=False),
    "step": lambda rule: steps(network(rule)),
    "stack": lambda rule: xn.Stack([network(rule), network(rule)]).fit(
        X, Y, 3, 8, verbose=False
    ),
    "descend": lambda rule: descend(rule, lambda x: 0.0 * x, [1.0], 9),
}


def steps(trainer):
    for _ in range(9):
        trainer.step(X, Y)


@pytest.mark.parametrize(
    ("schedule", "training"), in_turns([name for name in BAD for _ in "ab"], TRAININGS)
)
def test_a_schedule_must_give_rates(schedule, training):
    function, error, words = BAD[schedule]
    if training == "descend" and "float32" in words:
        training = "step"  # descend is in float64
    with pytest.raises(error, match=words) as caught:
        TRAININGS[training](xn.SGD(function))
    assert str(caught.value).startswith("learning_rate: expected ")


def test_a_rate_of_nothing_leaves_the_weights():
    trainer = network(xn.SGD(lambda t: 0.0))
    trainer.build(3)
    before = trainer.parameters()["0.W"].copy()
    trainer.fit(X, Y, 2, 8, verbose=False)
    assert np.array_equal(trainer.parameters()["0.W"], before)


def test_a_rate_beyond_the_dtype_is_refused():
    for make in (
        lambda: network(xn.SGD(1e39)),
        lambda: setattr(network(), "learning_rate", 1e39),
    ):
        with pytest.raises(ValueError, match="learning_rate: expected a rate within f"):
            make()
    network(xn.SGD(1e39), dtype="float64")


def test_advice_has_no_rate_where_there_is_none():
    trainer = network(xn.SGD(lambda t: 0.0))
    trainer.build(3)
    trainer.parameters()["0.W"][0, 0] = np.nan
    with pytest.raises(xn.DivergenceError) as caught:
        trainer.fit(X, Y, 1, verbose=False)
    assert "try clip_norm=1.0, or standardised inputs" in str(caught.value)
