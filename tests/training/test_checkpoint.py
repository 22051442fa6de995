"""Files: what is saved comes back bit by bit, and damage is told, never run."""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors

import xpnet as xn
from tests.cases import FEATURES, RULES, TARGETS, data
from tests.training.examples import trainer, weights
from tests.ways import curves, same

PARTS = ("optimizer", "weights")
KINDS = ["model", *PARTS]


def trained(
    hidden="dropout", optimizer="adam", loss="softmax_cross_entropy", **options
):
    x, y = data(TARGETS[loss])
    t = trainer(hidden, loss, RULES[optimizer](1), **options)
    t.fit(x, y, 2, 5)
    return t


def load(directory):
    return xn.Trainer.load(directory, "cpu")


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@cache
def files_of(*arguments):
    """{name: contents} of a saved trainer."""
    with TemporaryDirectory() as folder:
        return contents(trained(*arguments).save(Path(folder) / "model"))


def place(directory, *arguments):
    """What saving `trained(...)` into `directory` would leave there."""
    for name, content in files_of(*(arguments or ("dense",))).items():
        (directory / name).write_bytes(content)


def file_of(directory, part):
    """The file of a part: the description, or the tensors that it names."""
    if part == "model":
        return directory / "model.json"
    (path,) = directory.glob(f"{part}-*.safetensors")
    return path


def assert_complete(directory):
    """Three files, and nothing that an earlier save or a broken one has left."""
    names = {file_of(directory, part).name for part in KINDS}
    assert set(contents(directory)) == names


def alike(a, b):
    """Whether two trainers are in the same state."""
    return (
        same(weights(a), weights(b))
        and same(a.parameters(), b.parameters())
        and same(a.rule.slots, b.rule.slots)
        and a.learning_rate == b.learning_rate
        and (a.steps_done, a.epochs_done) == (b.steps_done, b.epochs_done)
        and (a.seed, a.dtype, a.notes) == (b.seed, b.dtype, b.notes)
        and repr(a.model) == repr(b.model)
        and repr(a.loss_function) == repr(b.loss_function)
        and repr(rule(a)) == repr(rule(b))
    )


def rule(t):
    """The optimiser's arguments, a constant rate in either spelling."""
    rest = {k: v for k, v in t.optimizer.config().items() if k != "learning_rate"}
    return type(t.optimizer), t.optimizer.schedule, rest


def goes_on_alike(a, b, loss="softmax_cross_entropy"):
    """Whether both train on alike from where they are."""
    x, y = data(TARGETS[loss], seed=3)
    rows = [curves(t.fit(x, y, 2, 5, validation=(x, y))) for t in (a, b)]
    for t in (a, b):
        t.step(x, y)
    return rows[0] == rows[1] and a.loss == b.loss and alike(a, b)


@pytest.mark.parametrize(("optimizer", "hidden", "dtype"), [
    ("adam", "all", "float32"), ("noisy", "max norm", "float64"),
    ("rmsprop with all", "leaky", "float32"),
])  # fmt: skip
def test_a_saved_trainer_comes_back_and_goes_on_as_if_never_saved(
    hidden, optimizer, dtype, tmp_path
):
    t = trained(hidden, optimizer, dtype=dtype, seed=5)
    t.learning_rate = 0.02
    t.notes = {"classes": ["a", "ü"], "scale": [0.1, 1e-300], "deep": {"none": None}}
    assert t.save(tmp_path / "new" / "model") == tmp_path / "new" / "model"
    back = load(tmp_path / "new" / "model")
    assert alike(t, back)
    x, _ = data()
    assert same([t.predict(x)], [back.predict(x)])
    assert goes_on_alike(t, back)


def test_a_second_trainer_of_a_model_with_noise_goes_on_alike(tmp_path):
    first = trained("dropout")
    t = xn.Trainer(first.model, "softmax_cross_entropy", device="cpu", seed=1)
    x, y = data()
    t.fit(x, y, 1, 5)
    back = load(t.save(tmp_path))
    assert goes_on_alike(t, back)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    one = contents(trained().save(tmp_path / "a"))
    assert_complete(tmp_path / "a")
    assert contents(trained().save(tmp_path / "b")) == one
    assert contents(load(tmp_path / "a").save(tmp_path / "c")) == one
    assert contents(trained(seed=1).save(tmp_path / "d")) != one


def test_the_tensors_have_their_names_and_their_order_in_memory(tmp_path):
    t = trained("batch norm", "adam")
    t.save(tmp_path)
    tensors = read_tensors(file_of(tmp_path, "weights").read_bytes())
    running = {"1.running_mean", "1.running_variance"}
    assert set(tensors) == set(t.parameters()) | running
    for name, value in t.parameters().items():
        assert tensors[name].reshape(value.shape).tolist() == value.tolist()
    assert tensors["0.W"].shape == (FEATURES, 6)
    state = read_tensors(file_of(tmp_path, "optimizer").read_bytes())
    assert set(state) == {"m", "v"}


def test_arrays_in_another_order_of_axes_are_saved_right(tmp_path):
    t = trained("dense")
    views = t.model.buffers.views
    views[0, "W"] = np.asfortranarray(views[0, "W"])
    views[1, "W"] = np.repeat(views[1, "W"], 2, axis=1)[:, ::2]
    back = load(t.save(tmp_path))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            t.parameters().values(), back.parameters().values(), strict=True
        )
    )


def test_saving_over_a_model_replaces_it(tmp_path):
    trained("batch norm", "nesterov").save(tmp_path)
    t = trained("dropout", "adam")
    t.save(tmp_path)
    assert alike(load(tmp_path), t)
    assert_complete(tmp_path)


class Mine(xn.Layer):
    """A layer of one's own."""

    def forward(self, x, training):
        return x

    def backward(self, delta):
        return delta


class MyLoss(xn.MeanSquaredError):
    """A loss of one's own."""


class MyRule(xn.SGD):
    """A rule of one's own."""


class Dense(xn.Dense):
    """A layer of one's own with the name of another."""


def of(*layers, loss="mean_squared_error", rule=None):
    return xn.Trainer(xn.Sequential([*layers, xn.Dense(2)]), loss, rule or "sgd", "cpu")


OWN = {
    "layer": (lambda: of(Mine()), r"layer Mine is your own.*Activation, BatchNorm"),
    "namesake": (lambda: of(Dense(3)), r"layer Dense is your own"),
    "activation": (
        lambda: of(xn.Dense(3, activation=lambda z: z * z)),
        r"layer Dense: activation=<function .* is your own",
    ),
    "initializer": (
        lambda: of(xn.Dense(3, initializer=lambda rng, shape: np.ones(shape))),
        r"layer Dense: initializer=<function .* is your own",
    ),
    "loss": (lambda: of(loss=MyLoss()), r"loss MyLoss is your own"),
    "rule": (lambda: of(rule=MyRule(0.1)), r"optimizer MyRule is your own"),
    "schedule": (
        lambda: of(rule=xn.SGD(lambda step: 0.1)),
        r"learning rate <function .* cannot be saved",
    ),
    "inner schedule": (
        lambda: of(rule=xn.SGD(xn.WarmUp(lambda step: 0.1, 3))),
        r"learning rate <function .* cannot be saved",
    ),
}
NOTES = {
    "array": {"scale": np.ones(2)},
    "function": {"f": print},
    "NaN": {"scale": float("nan")},
    "too large": {"text": "x" * (17 << 20)},
    "keys": {1: "a", "b": 2},
}


@pytest.mark.parametrize("own", OWN)
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(own, tmp_path):
    make, message = OWN[own]
    t = make()
    t.build(FEATURES)
    with pytest.raises(ValueError, match=message):
        t.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("notes", NOTES)
def test_notes_that_a_file_cannot_hold_leave_the_old_model(notes, tmp_path):
    t = trained("dense")
    t.save(tmp_path)
    before = contents(tmp_path)
    other = trained("dense", seed=1)
    other.notes = NOTES[notes]
    with pytest.raises((ValueError, TypeError), match="notes"):
        other.save(tmp_path)
    assert contents(tmp_path) == before


# Files are forced to the disk before they get their names, and names after that.
WRITES = [*(("fsync", i) for i in range(6)), *(("replace", i) for i in range(3))]


@pytest.mark.parametrize(("name", "nth"), WRITES)
def test_an_error_while_writing_leaves_the_old_model(name, nth, tmp_path, monkeypatch):
    old = trained("dense")
    old.save(tmp_path)
    real, count = getattr(os, name), iter(range(100))

    def fail(*args, **kwargs):
        if next(count) == nth:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    new = trained("dense", seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(OSError, match="No space left"):
            new.save(tmp_path)
    renamed = (name, nth) == ("fsync", 5)  # the last name is there, perhaps on no disk
    assert alike(load(tmp_path), new if renamed else old)
    assert_complete(tmp_path)
    new.save(tmp_path)
    assert alike(load(tmp_path), new)
    assert_complete(tmp_path)
