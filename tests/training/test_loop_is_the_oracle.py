"""Each way in which a Trainer trains ends in the bits of the plain loop."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import LAYERS, RULES, data
from tests.training.examples import trainer
from xpnet.training.data import Orders, samples_of
from xpnet.training.loop import plain_loop

EPOCHS, BATCH = 4, 6  # of 23 samples: three batches of 6 and a short one of 5


def everything(trained):
    """Copies of all that training changes."""
    arrays = {name: np.array(array) for name, array in trained.arrays().items()}
    return arrays | {"done": np.array([trained.steps_done, trained.epochs_done])}


def fitted(trained, x, y, w):
    history = trained.fit(
        x, y, EPOCHS, BATCH, sample_weight=w, verbose=False, callbacks=Patient()
    )
    return history["loss"]


def looked_at(trained, x, y, w):
    """Epoch by epoch: a validation that has to see each of them."""
    held = (x[:3], y[:3])
    history = trained.fit(
        x, y, EPOCHS, BATCH, held, sample_weight=w, verbose=False, diagnose=True
    )
    return history["loss"]


def stepped(trained, x, y, w):
    """One call of `step` for each batch."""
    orders, curve = Orders(trained.seed, BATCH), []
    for epoch in range(EPOCHS):
        rows, losses, weights = orders.of(epoch, len(x)), [], []
        for start in range(0, len(x), BATCH):
            part = rows[start : start + BATCH]
            given = None if w is None else w[part]
            trained.step(x[part], y[part], given)
            losses.append(trained.loss)
            weights.append(len(part) if w is None else given.astype(np.float32).sum())
        trained.epochs_done += 1
        curve.append(np.average(losses, weights=weights))
    return curve


class Patient(xn.Callback):
    """Lets several epochs be taken together."""

    def patient_for(self, trainer):
        return 100


WAYS = {
    "eager": (fitted, {"eager": True}),
    "calls": (fitted, {"jit": False}),
    "compiled": (fitted, {"jit": True}),
    "looked at": (looked_at, {"jit": True}),
    "step": (stepped, {"jit": False}),
    "compiled step": (stepped, {"jit": True}),
}
CASES = {  # layers, rule, loss, targets, further options, whether samples have weights
    "plain": ("none", "sgd", "softmax_cross_entropy", "labels", {}, False),
    "deep": ("deep", "adam", "softmax_cross_entropy", "shares", {}, True),
    "noisy": ("dropout", "momentum", "huber", "values", {}, False),
    "statistics": ("batch norm", "adamw", "binary_cross_entropy", "binary", {}, True),
    "averages": (
        *("layer norm", "nesterov", "mean_squared_error", "values"),
        {"average": xn.WeightAverage(0.9)},
        False,
    ),
    "float64": ("noise", "adam", "softmax_cross_entropy", "labels", {}, True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_way_to_train_is_the_plain_loop_to_the_bit(case, way):
    hidden, rule, loss, targets, options, weighted = CASES[case]
    dtype = "float64" if case == "float64" else "float32"
    x, y = data(targets)
    w = np.random.default_rng(1).uniform(0.1, 2.0, len(x)) if weighted else None

    def made(**more):
        options_ = {**options, "dtype": dtype, "seed": 5, **more}
        return trainer(hidden, loss, RULES[rule](0), **options_)

    oracle = made(eager=True)
    wanted = plain_loop(oracle, samples_of(oracle, x, y, w), BATCH, EPOCHS)
    train, how = WAYS[way]
    trained = made(**how)
    curve = train(trained, x, y, w)
    found = everything(trained)
    for name, values in everything(oracle).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    tolerance = 1e-6 if train is stepped else 0.0  # its means are taken here
    np.testing.assert_allclose(curve, wanted, rtol=tolerance)


def test_the_cases_reach_every_kind_of_state():
    """What the oracle is compared in is there: slots, statistics, noise, averages."""
    assert {c[0] for c in CASES.values()} <= set(LAYERS)
    names = set()
    for hidden, rule, loss, _, options, _ in CASES.values():
        trained = trainer(hidden, loss, RULES[rule](0), **options)
        trained.build(5)
        names |= {name for name, array in trained.arrays().items() if array.size}
    assert names >= {"model.params", "model.state", "model.step", "m", "v", "average"}
