"""A Trainer on a device does what it does on the CPU, and waits for nothing.

tests/cases.py has its trainings in float64; here is what else differs on a device.
"""

import numpy as np
import pytest

import xpnet as xn
from tests import ways
from tests.cases import LAYERS, RULES
from tests.standin import cupy, standin_backend
from tests.ways import host
from xpnet.execution.batch import BatchSpec
from xpnet.layers import LOSSES

SAMPLES, CLASSES = 46, 3  # 46 = 2 batches of 16 and one of 14
W = np.linspace(0.1, 2.0, SAMPLES)


def data(loss="softmax_cross_entropy", seed=0, samples=SAMPLES):
    """(x, y) with samples of two axes, and what y the loss wants."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 2, 3))
    if LOSSES[loss].targets == "classes":
        return x, rng.integers(CLASSES, size=samples)
    y = rng.normal(size=(samples, CLASSES))
    return x, (y > 0.0).astype(float) if LOSSES[loss].targets == "binary" else y


def trainer(device, loss="softmax_cross_entropy", optimizer="adam", **options):
    model = xn.Sequential([*LAYERS["all"](0), xn.Dense(CLASSES)])
    options = {"dtype": "float64", "seed": 5, **options}
    return xn.Trainer(model, loss, RULES[optimizer](1), device, **options)


def everything(trained):
    """All that training has changed, and the last gradients, on the host."""
    gradients = {f"d{k}": host(v) for k, v in trained.gradients().items()}
    return ways.everything(trained) | gradients


def size(array, least=1e-3):
    return abs(np.asarray(array)).max(initial=least)


def assert_close(device, cpu, allowed=1e-12):
    """Relative to the size of the array that an entry belongs to."""
    assert set(device) == set(cpu)
    for name, wanted in cpu.items():
        np.testing.assert_allclose(
            device[name], wanted, rtol=0, atol=size(wanted) * allowed, err_msg=name
        )


# Adam turns the rounding of a gradient near 0 into a step of full length, and its
# float32 trainings part without a fault.
@pytest.mark.parametrize(("loss", "optimizer"), [
    ("mean_squared_error", "momentum"), ("softmax_cross_entropy", "sgd"),
])  # fmt: skip
def test_training_in_float32_is_that_of_the_cpu(standin, loss, optimizer):
    x, y = data(loss)
    found, labels = [], loss == "softmax_cross_entropy"
    for device, dtype in (
        (standin_backend(1), "float32"), ("cpu", "float32"), ("cpu", "float64"),
    ):  # fmt: skip
        trained = trainer(device, loss, optimizer, dtype=dtype)
        balanced = "balanced" if labels else None
        trained.fit(x, y, 1, 16, sample_weight=W, class_weight=balanced)
        scores = trained.evaluate(x, y, batch_size=8)
        trained.step(x[:5], y[:5])
        scored = {"scores": np.array([scores[k] for k in sorted(scores)])}
        found.append(everything(trained) | scored | {"loss": trained.loss})
        assert type(trained.predict(x)) is np.ndarray
        assert not labels or trained.predict_classes(x).dtype.kind == "i"
    device, cpu, exact = found
    # How far they may part says the CPU: it too has rounded, to where BLAS has led it.
    rounded = max(size(cpu[k] - exact[k], 0) / size(exact[k]) for k in exact)
    assert rounded < 1e-5
    assert_close(device, exact, 1e-6 + 2.0 * rounded)


def test_callbacks_stop_restore_and_reduce_as_on_the_cpu(standin):
    x, y = data("mean_squared_error")
    held = data("mean_squared_error", seed=1)
    found = []
    for device in (standin_backend(1), "cpu"):
        trained = trainer(device, "mean_squared_error", average=xn.WeightAverage(0.8))
        watchers = [xn.EarlyStopping(patience=3), xn.ReduceOnPlateau(patience=1)]
        history = trained.fit(x, y, 60, 16, held, callbacks=watchers)
        assert history.stopped
        scores = trained.evaluate(*held)
        assert scores["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-12)
        rates = np.array(history["learning_rate"])
        found.append(everything(trained) | {"rates": rates})
    assert_close(*found)


def test_a_model_moves_from_device_to_device(standin):
    x, y = data()
    model = xn.Sequential([*LAYERS["all"](0), xn.Dense(CLASSES)])
    found = []
    for device in ("cpu", standin_backend(0), standin_backend(1), "cpu"):
        moved = xn.Trainer(model, "softmax_cross_entropy", "adam", device, "float64")
        if not found:
            moved.fit(x, y, epochs=1)
        found.append(moved.predict(x))
    for prediction in found[1:]:
        np.testing.assert_allclose(prediction, found[0], rtol=1e-12)


# What a step costs.


def on_device(ordinal=0, samples=SAMPLES, loss="softmax_cross_entropy", **options):
    """A trainer, and its data on the device."""
    backend = standin_backend(ordinal)
    x, y = data(loss, samples=samples)
    with backend.active():
        there = backend.asarray(x), backend.asarray(y)
    return trainer(backend, loss, **options), *there


@pytest.mark.parametrize(("optimizer", "weights"), [("sgd", None), ("adamw", W)])
def test_replayed_steps_and_evaluations_only_launch(standin, optimizer, weights):
    trained, x, y = on_device(optimizer=optimizer)
    trained.step(x, y, weights)
    trained.evaluate(x, y)
    step = trained.training_step(BatchSpec(x.shape, True, weights is not None))
    assert step is trained.last_step
    for segment in ("gradients", "update", "loss"):
        with standin.counting() as counts:
            step.run(segment)
        calls = len(step.program.segments[segment])
        assert calls > 0
        assert counts == type(counts)(launches=calls), segment
    assert len(step.program) == sum(map(len, step.program.segments.values()))
    scored = trained.evaluation_step(BatchSpec(x.shape, True, False), targets=True)
    with standin.counting() as counts:
        scored.run()
    assert counts == type(counts)(launches=len(scored.program))


def test_a_step_on_device_data_waits_only_for_the_check_of_its_labels(standin):
    trained, x, y = on_device()
    trained.step(x, y)
    with standin.counting() as counts:
        trained.step(x, y)
        arrays = [*trained.parameters().values(), *trained.gradients().values()]
    assert all(map(trained.backend.owns, arrays))
    assert counts.synchronisations <= 2  # the smallest and the largest label
    for waits in (1, 0):  # it is known by the second time
        with standin.counting() as counts:
            assert isinstance(trained.loss, float)
        assert counts.synchronisations == waits


def epoch_counts(standin, batch_size, epochs, samples=240):
    trained, x, y = on_device(samples=samples)
    trained.fit(x, y, 1, batch_size)
    with standin.counting() as counts:
        trained.fit(x, y, epochs, batch_size)
    return counts


def test_an_epoch_waits_once_however_many_steps_it_has(standin):
    few, many = (epoch_counts(standin, size, 3, 120) for size in (60, 4))
    long = epoch_counts(standin, 8, 3, 240)
    for other in (many, long):
        assert other.synchronisations == few.synchronisations
        assert other.allocations == few.allocations
    one = epoch_counts(standin, 4, 1, 120)
    assert many.synchronisations - one.synchronisations <= 2 * 2
    # A step uploads the numbers of its update and nothing else.
    assert many.uploads - few.uploads <= 3 * 120 // 4 - 3 * 120 // 60


def test_the_launches_of_a_step_do_not_depend_on_its_size(standin):
    small, large = (epoch_counts(standin, 8, 1, samples=n) for n in (80, 160))
    trained, x, y = on_device(samples=80)
    trained.fit(x, y, 1, 8)
    step = trained.training_step(BatchSpec((8, 2, 3), labels=True, weighted=False))
    each = (large.launches - small.launches) / 10
    gathered, kept = 3, 1  # row numbers, x, y; the loss of the step
    assert each == len(step.program) + gathered + kept


def test_no_program_computes_the_gradient_of_the_input(standin):
    """With one layer a step has two products: x W and xᵀ δ."""
    model = xn.Sequential([xn.Dense(2)])
    trained = xn.Trainer(model, "mean_squared_error", "sgd", standin_backend())
    trained.step(np.ones((4, 3)), np.ones((4, 2)))
    calls = [f for f, _ in trained.last_step.program.segments["gradients"]]
    assert calls.count(cupy.matmul) == 2


# What comes in.


@pytest.mark.parametrize(("loss", "ordinal"), [
    ("softmax_cross_entropy", 1), ("binary_cross_entropy", 0), ("huber", 1),
])  # fmt: skip
def test_what_is_on_the_device_is_used_where_it_is_and_the_rest_follows(
    standin, loss, ordinal
):
    found = []
    for here in ((), "xyw", "xw", "y"):
        trained, *_ = on_device(ordinal, loss=loss)
        arrays = dict(zip("xyw", (*data(loss), W), strict=True))
        with trained.backend.active():
            there = {k: trained.backend.asarray(a) for k, a in arrays.items()}
        x, y, w = (there[k] if k in here else a.tolist() for k, a in arrays.items())
        trained.fit(x, y, 1, 16, (x, y, w), sample_weight=w)
        trained.step(x, y, w)
        scores, prediction = trained.evaluate(x, y, w), trained.predict(x)
        assert type(prediction) is np.ndarray
        owned = (*trained.parameters().values(), trained.last_step.batch.y)
        assert all(map(trained.backend.owns, owned))
        found.append(everything(trained) | {"p": prediction, "loss": scores["loss"]})
        for name, array in there.items():  # no input is written to
            assert np.array_equal(host(array), arrays[name])
    for other in found[1:]:
        assert_close(other, found[0])


@pytest.mark.parametrize("model_on", ["cpu", "cuda:0"])
def test_an_array_of_another_device_is_refused_in_words_that_name_both(
    standin, model_on
):
    other = standin_backend(1)
    trained = trainer(model_on if model_on == "cpu" else standin_backend(0))
    plain = dict(zip(("x", "y", "sample_weight"), (*data(), W), strict=True))
    for name in plain:
        with other.active():
            arguments = plain | {name: other.asarray(plain[name])}
        told = rf"^{name}: .*cuda:1.*{model_on}"
        for method in ("fit", "step", "evaluate"):
            with pytest.raises(ValueError, match=told):
                getattr(trained, method)(**arguments)
        if name == "x":
            with pytest.raises(ValueError, match=told):
                trained.predict(arguments["x"])


@pytest.mark.parametrize(("name", "at", "value", "told"), [
    ("x", (7, 1, 2), np.nan, r"x: expected finite numbers.*\[7, 1, 2\]"),
    ("x", (7, 1, 2), np.inf, r"x: expected finite numbers.*\[7, 1, 2\]"),
    ("y", 3, CLASSES, r"y: expected labels 0\.\.2"),  # before it wraps
])  # fmt: skip
def test_what_is_wrong_on_the_device_is_found_there(standin, name, at, value, told):
    trained, *_ = on_device(1)
    arrays = dict(zip("xy", data(), strict=True))
    arrays[name][at] = value
    with trained.backend.active():
        there = {k: trained.backend.asarray(v) for k, v in arrays.items()}
    with pytest.raises(ValueError, match=told):
        trained.fit(**there)


def test_a_step_that_diverges_on_a_device_leaves_the_weights_of_before(standin):
    x, y = data("mean_squared_error")
    x = x.reshape(SAMPLES, -1)
    model = xn.Sequential([xn.Dense(6, activation="relu"), xn.Dense(CLASSES)])
    device, rule = standin_backend(1), xn.SGD(1e-3)
    trained = xn.Trainer(model, "mean_squared_error", rule, device, "float64")
    trained.fit(x, y, epochs=1)
    before = ways.everything(trained)
    trained.learning_rate = 1e200
    with pytest.raises(xn.DivergenceError, match="layer"):
        trained.fit(x, y, epochs=3, batch_size=8)
    assert ways.same(ways.everything(trained), before)
