"""fit: it learns, every sample counts once an epoch, and seeds decide everything."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, RULES, SAMPLES, TARGETS, data, rng
from tests.training.examples import RATE, Reference, trainer, weights
from tests.ways import curves, same


class Recorder(xn.Layer):
    """Passes x on and keeps the first feature of every training batch."""

    def __init__(self):
        self.seen = []

    def forward(self, x, training):
        if training:
            self.seen.append(x[:, 0].astype(int).tolist())
        return x

    def backward(self, delta):
        return delta


def batches(epochs, batch_size=5, fits=1, seed=0, **options):
    """The sample numbers of every batch, a list an epoch."""
    recorder = Recorder()
    x = np.zeros((SAMPLES, FEATURES))
    x[:, 0] = np.arange(SAMPLES)
    t = xn.Trainer(
        xn.Sequential([recorder, xn.Dense(1)]),
        "mean_squared_error",
        xn.SGD(1e-9),
        "cpu",
        seed=seed,
        eager=True,
    )
    for _ in range(fits):
        t.fit(x, np.zeros(SAMPLES), epochs, batch_size, **options)
    per_epoch = -(-SAMPLES // batch_size)
    cuts = range(0, len(recorder.seen), per_epoch)
    return [recorder.seen[i : i + per_epoch] for i in cuts]


def flat(epoch):
    return [sample for batch in epoch for sample in batch]


@pytest.mark.parametrize(
    ("batch_size", "epochs", "optimizer"),
    [
        (32, 8, xn.Adam(2e-3)),
        (None, 60, xn.Adam(2e-2)),
        (1, 2, xn.SGD(0.02)),
    ],
    ids=["mini-batch", "full batch", "stochastic"],
)
def test_digits_are_learnt(batch_size, epochs, optimizer):
    x, y = xn.datasets.digits()
    (x, y), (xt, yt) = xn.split(x / 16, y, (0.8, 0.2), stratify=True)
    model = xn.Sequential([xn.Dense(64, activation="relu"), xn.Dense(10)])
    t = xn.Trainer(model, "softmax_cross_entropy", optimizer, "cpu")
    history = t.fit(x, y, epochs, batch_size, validation=(xt, yt))
    assert t.evaluate(xt, yt)["accuracy"] > 0.93
    assert history["loss"][-1] < 0.35 * history["loss"][0]
    assert history["val_accuracy"][-1] == t.evaluate(xt, yt)["accuracy"]


@pytest.mark.parametrize("batch_size", [1, 5, 22, SAMPLES, None], ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_epochs_agree_with_gradient_descent_by_hand(batch_size, weighted):
    x, y = data()
    w = rng(1).uniform(0.0, 3.0, SAMPLES) if weighted else np.ones(SAMPLES)
    w[SAMPLES - 1] = 2.0
    t = trainer(dtype="float64")
    t.build(FEATURES)
    reference = Reference(t.parameters())
    given = {"sample_weight": w} if weighted else {}
    if not weighted:
        w = np.ones(SAMPLES)
    history = t.fit(x, y, 3, batch_size, shuffle=False, **given)
    size = batch_size or SAMPLES
    expected = []
    for _ in range(3):
        total = 0.0
        for start in range(0, SAMPLES, size):
            rows = slice(start, start + size)
            loss = reference.step(x[rows], y[rows], w[rows], RATE)
            total += loss * w[rows].sum()
        expected.append(total / w.sum())
    assert history["loss"] == pytest.approx(expected, rel=1e-10)
    for name, value in t.parameters().items():
        np.testing.assert_allclose(value, reference.parameters[name], atol=1e-12)
    for name, value in t.gradients().items():
        np.testing.assert_allclose(value, reference.gradients[name], atol=1e-12)
    assert t.steps_done == 3 * -(-SAMPLES // size)
    assert t.epochs_done == 3


def test_float32_agrees_with_float64_to_its_precision():
    x, y = data()
    losses = {}
    for dtype in ("float32", "float64"):
        t = trainer(dtype=dtype)
        losses[dtype] = t.fit(x, y, 4, 5)["loss"]
        assert t.predict(x).dtype == dtype
        assert all(p.dtype == dtype for p in t.parameters().values())
    assert losses["float32"] == pytest.approx(losses["float64"], rel=1e-4)
    assert losses["float32"] != losses["float64"]


def test_a_batch_whose_weights_are_all_zero_moves_nothing():
    x, y = data()
    w = np.zeros(SAMPLES)
    w[:5] = 1.0
    t, only = trainer(dtype="float64"), trainer(dtype="float64")
    history = t.fit(x, y, 1, 5, sample_weight=w, shuffle=False)
    alone = only.fit(x[:5], y[:5], 1, 5, shuffle=False)
    assert same(t.parameters(), only.parameters())
    assert history["loss"] == alone["loss"]


@pytest.mark.parametrize("labels", [(0, 1, 2), (False, True, 2)], ids=str)
def test_class_weights_are_sample_weights(labels):
    x, y = data()
    table = {labels[0]: 0.5, labels[1]: 4.0}
    per_sample = np.array([0.5, 4.0, 1.0])[y]
    one, other = trainer(), trainer()
    one.fit(x, y, 2, 5, class_weight=table)
    other.fit(x, y, 2, 5, sample_weight=per_sample)
    assert same(one.parameters(), other.parameters())
    plain = trainer()
    plain.fit(x, y, 2, 5)
    assert not same(one.parameters(), plain.parameters())


def test_balanced_class_weights_give_each_class_the_same_sum():
    x, y = data()
    counts = np.bincount(y)
    w = SAMPLES / (len(counts) * counts[y])
    one, other, product = trainer(), trainer(), trainer()
    one.fit(x, y, 2, 5, class_weight="balanced")
    other.fit(x, y, 2, 5, sample_weight=w)
    assert same(one.parameters(), other.parameters())
    twice = np.arange(1.0, SAMPLES + 1)
    product.fit(x, y, 2, 5, class_weight="balanced", sample_weight=twice)
    again = trainer()
    weighed = np.bincount(y, twice)
    w = twice.sum() / (len(counts) * weighed[y])
    again.fit(x, y, 2, 5, sample_weight=w * twice)
    assert same(product.parameters(), again.parameters())


@pytest.mark.parametrize("batch_size", [1, 5, 22])
def test_an_epoch_meets_every_sample_once_in_a_new_order(batch_size):
    epochs = batches(3, batch_size)
    for epoch in epochs:
        assert sorted(flat(epoch)) == list(range(SAMPLES))
        rest = SAMPLES % batch_size or batch_size
        assert [len(b) for b in epoch[:-1]] == [batch_size] * (len(epoch) - 1)
        assert len(epoch[-1]) == rest
    orders = {tuple(flat(epoch)) for epoch in epochs}
    assert len(orders) == 3
    assert tuple(range(SAMPLES)) not in orders


def test_the_order_is_drawn_from_the_seed_and_the_epoch():
    assert batches(3) == batches(3)
    assert batches(3) == batches(1, fits=3)
    assert batches(3, seed=1)[0] not in batches(3, seed=0)
    in_order = list(range(SAMPLES))
    assert [flat(e) for e in batches(2, shuffle=False)] == [in_order] * 2


def run(hidden, loss, optimizer, **options):
    """(parameters, rows of the history, predictions, evaluation) of a short run."""
    x, y = data(TARGETS[loss])
    t = trainer(hidden, loss, RULES[optimizer](1), **options)
    w = rng(2).uniform(0.5, 2.0, SAMPLES)
    history = t.fit(x, y, 3, 5, validation=(x[:9], y[:9]), sample_weight=w)
    t.fit(x, y, 1, 22 if hidden != "batch norm" else 21)
    t.fit(x, y, 2, None)
    t.step(x[:4], y[:4])
    rows = curves(history) + curves(t.history)
    return weights(t), rows, t.loss, t.predict(x), t.evaluate(x, y, w)


def agree(a, b):
    return (
        same(a[0], b[0]) and a[1:3] == b[1:3] and same([a[3]], [b[3]]) and a[4] == b[4]
    )


@pytest.mark.parametrize("hidden", ["deep", "dropout", "noise"])
def test_the_seed_decides_every_number(hidden):
    one = run(hidden, "softmax_cross_entropy", "adam", seed=3)
    assert agree(one, run(hidden, "softmax_cross_entropy", "adam", seed=3))
    other = run(hidden, "softmax_cross_entropy", "adam", seed=4)
    assert not same(one[0], other[0])
    assert one[2] != other[2]


def test_a_second_trainer_goes_on_with_the_weights_of_the_model():
    x, y = data()
    first = trainer("batch norm")
    first.fit(x, y, 2, 5)
    kept = weights(first)
    for dtype in ("float32", "float64"):
        second = xn.Trainer(
            first.model, "softmax_cross_entropy", "sgd", "cpu", dtype, seed=9
        )
        assert all(
            np.array_equal(a, b) for a, b in zip(kept, weights(second), strict=True)
        )
    second.fit(x, y, 1, 5)
    assert not np.array_equal(weights(second)[0], kept[0])


def test_validation_takes_weights():
    x, y = data()
    w = rng(4).uniform(0.1, 5.0, SAMPLES)
    t = trainer()
    history = t.fit(x, y, 2, 5, validation=(x, y, w))
    scores = t.evaluate(x, y, w)
    assert history["val_loss"][-1] == pytest.approx(scores["loss"], rel=1e-6)
    assert history["val_accuracy"][-1] == scores["accuracy"]
    assert scores["loss"] != pytest.approx(t.evaluate(x, y)["loss"], rel=1e-3)


def test_validation_does_not_change_training():
    x, y = data()
    for hidden in ("dropout", "batch norm"):
        one, other = trainer(hidden), trainer(hidden)
        one.fit(x, y, 3, 5)
        other.fit(x, y, 3, 5, validation=(x[:7], y[:7]))
        assert same(weights(one), weights(other))


def test_a_step_taken_by_a_callback_does_not_replace_the_full_batch():
    class Step(xn.Callback):
        def on_epoch_end(self, trainer, row):
            trainer.step(-3.0 * x, y[::-1])

    x, y = data()
    t, by_hand = trainer(dtype="float64"), trainer(dtype="float64")
    t.fit(x, y, 3, None, callbacks=Step())
    for _ in range(3):
        by_hand.step(x, y)
        by_hand.step(-3.0 * x, y[::-1])
    for name, value in t.parameters().items():
        np.testing.assert_allclose(value, by_hand.parameters()[name], atol=1e-12)


@pytest.mark.parametrize("hidden", ["dropout", "batch norm"])
def test_the_gradients_of_a_trained_model_can_be_checked(hidden):
    x, y = data()
    t = trainer(hidden)
    t.fit(x, y, 1, 5)
    before = weights(t)
    errors = xn.check_gradients(t.model, "softmax_cross_entropy", x, y)
    assert set(errors) == {"x", *t.parameters()}
    assert same(weights(t), before)
