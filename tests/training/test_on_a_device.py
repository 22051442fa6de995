"""A Trainer on a device does what it does on the CPU, and waits for nothing."""

import numpy as np
import pytest

from tests import ways
from tests.cases import FIVE, LAYERS, RULES, in_turns
from tests.standin import cupy, standin_backend
from tests.ways import TOLERANCE, host
from xpnet.execution.step import BatchSpec
from xpnet.layers import (
    LOSSES,
    Dense,
    Sequential,
)
from xpnet.optim import SGD
from xpnet.training.callbacks import EarlyStopping, ReduceOnPlateau
from xpnet.training.divergence import DivergenceError
from xpnet.training.trainer import Trainer

SAMPLES, CLASSES = 46, 3  # 46 = 2 batches of 16 and one of 14


def data(loss, seed=0, samples=SAMPLES):
    """(x, y) with samples of two axes, and what y the loss wants."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 2, 3))
    if LOSSES[loss].targets == "classes":
        return x, rng.integers(CLASSES, size=samples)
    y = rng.normal(size=(samples, CLASSES))
    return x, (y > 0.0).astype(float) if LOSSES[loss].targets == "binary" else y


def trainer(device, loss="softmax_cross_entropy", optimizer="adam", **options):
    model = Sequential([*LAYERS["all"](0), Dense(CLASSES)])
    options = {"dtype": "float64", "seed": 5, **options}
    return Trainer(model, loss, RULES[optimizer](1), device, **options)


def everything(trained):
    """All that training has changed, on the host."""
    gradients = {f"d{k}": host(v) for k, v in trained.gradients().items()}
    return ways.everything(trained) | gradients


def size(array):
    return abs(np.asarray(array)).max(initial=1e-3)


def assert_close(device, cpu, dtype, allowed=0.0):
    """Relative to the size of the array that an entry belongs to."""
    assert set(device) == set(cpu)
    allowed += TOLERANCE[dtype]
    for name, wanted in cpu.items():
        np.testing.assert_allclose(
            device[name], wanted, rtol=0, atol=size(wanted) * allowed, err_msg=name
        )


def furthest(found, wanted):
    """How far any array is from what is wanted, likewise."""
    apart = {k: np.abs(found[k] - wanted[k]).max(initial=0.0) for k in wanted}
    return max(apart[k] / size(wanted[k]) for k in wanted)


# What tests/cases.py has is trained in float64: Adam turns the rounding of a gradient
# near 0 into a step of full length, and its float32 trainings part without a fault.
@pytest.mark.parametrize("ordinal", [0, 1])
@pytest.mark.parametrize(("loss", "optimizer", "dtype"), [
    ("mean_squared_error", "momentum", "float32"),
    ("softmax_cross_entropy", "sgd", "float32"),
    ("binary_cross_entropy", "adam", "float64"),
])  # fmt: skip
def test_training_is_that_of_the_cpu(standin, loss, optimizer, dtype, ordinal):
    """Two devices: the second is never the current one outside the backend."""
    x, y = data(loss)
    xv, yv = data(loss, seed=1, samples=21)
    weights = np.linspace(0.1, 2.0, SAMPLES)
    # The devices sum in another order, and every step multiplies what that rounds.
    epochs = {"float32": 1, "float64": 3}[dtype]
    found = []
    for device, kind in (
        (standin_backend(ordinal), dtype), ("cpu", dtype), ("cpu", "float64"),
    ):  # fmt: skip
        trained = trainer(device, loss, optimizer, dtype=kind)
        history = trained.fit(
            x,
            y,
            epochs=epochs,
            batch_size=16,
            validation=(xv, yv),
            sample_weight=weights,
        )
        scores = trained.evaluate(xv, yv, batch_size=8)
        trained.step(x[:5], y[:5])
        found.append(
            {
                **everything(trained),
                "scores": np.array([scores[k] for k in sorted(scores)]),
                "history": np.array(
                    [list(row.values()) for row in ways.curves(history)]
                ),
                "prediction": trained.predict(xv, batch_size=6),
                "loss": trained.loss,
            }
        )
        assert (trained.steps_done, trained.epochs_done) == (3 * epochs + 1, epochs)
        assert type(trained.predict(xv)) is np.ndarray
    device, cpu, exact = found
    # How much that is says the CPU: it too has rounded, to where its BLAS has led it.
    rounded = furthest(cpu, exact)
    assert rounded < 10 * TOLERANCE[dtype]
    assert_close(device, exact, dtype, 2.0 * rounded)


def test_class_weights_and_labels_are_those_of_the_cpu(standin):
    x, y = data("softmax_cross_entropy")
    found = []
    for device in (standin_backend(), "cpu"):
        trained = trainer(device)
        trained.fit(x, y, epochs=2, batch_size=16, class_weight="balanced")
        trained.fit(x, y, epochs=1, batch_size=None, class_weight={0: 2.0, 2: 0.5})
        found.append(everything(trained) | {"labels": trained.predict_classes(x)})
    assert_close(*found, "float64")
    assert found[0]["labels"].dtype.kind == "i"


def test_eager_training_on_a_device_is_that_of_the_recorded_step(standin):
    x, y = data("softmax_cross_entropy")
    found = []
    for eager in (True, False):
        trained = trainer(standin_backend(1), eager=eager)
        trained.fit(x, y, epochs=2, batch_size=16, validation=(x, y))
        found.append(everything(trained))
    assert_close(*found, "float64")


def test_callbacks_stop_restore_and_reduce_as_on_the_cpu(standin):
    x, y = data("mean_squared_error")
    xv, yv = data("mean_squared_error", seed=1)
    found = []
    for device in (standin_backend(1), "cpu"):
        trained = trainer(device, "mean_squared_error", "adam")
        watchers = [EarlyStopping(patience=3), ReduceOnPlateau(patience=1)]
        history = trained.fit(
            x, y, epochs=60, batch_size=16, validation=(xv, yv), callbacks=watchers
        )
        assert history.stopped
        scores = trained.evaluate(xv, yv)
        assert scores["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-12)
        rates = np.array(history["learning_rate"])
        found.append(everything(trained) | {"rates": rates})
    assert_close(*found, "float64")


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_model_saved_on_a_device_goes_on_anywhere(standin, tmp_path, optimizer):
    x, y = data("softmax_cross_entropy")
    trained = trainer(standin_backend(1), optimizer=optimizer)
    trained.fit(x, y, epochs=2, batch_size=16)
    trained.save(tmp_path)
    found = []
    for device in (standin_backend(1), standin_backend(0), "cpu"):
        loaded = Trainer.load(tmp_path, device)
        assert loaded.backend.device == getattr(device, "device", device)
        before = loaded.predict(x)
        np.testing.assert_allclose(before, trained.predict(x), rtol=1e-12)
        loaded.fit(x, y, epochs=1, batch_size=16)
        found.append(everything(loaded))
    trained.fit(x, y, epochs=1, batch_size=16)
    for other in found:
        assert_close(other, everything(trained), "float64")


def test_a_model_moves_from_device_to_device(standin):
    x, y = data("softmax_cross_entropy")
    model = Sequential([*LAYERS["all"](0), Dense(CLASSES)])
    found = []
    for device in ("cpu", standin_backend(0), standin_backend(1), "cpu"):
        moved = Trainer(model, "softmax_cross_entropy", "adam", device, "float64")
        if not found:
            moved.fit(x, y, epochs=1)
        found.append(moved.predict(x))
    for prediction in found[1:]:
        np.testing.assert_allclose(prediction, found[0], rtol=1e-12)


# What a step costs.


def on_device(ordinal=0, samples=SAMPLES, **options):
    """A trainer with one step behind it, and its data on the device."""
    backend = standin_backend(ordinal)
    trained = trainer(backend, **options)
    x, y = data("softmax_cross_entropy", samples=samples)
    with backend.active():
        return trained, backend.asarray(x), backend.asarray(y)


@pytest.mark.parametrize(("optimizer", "weighted"), in_turns(FIVE, [False, True]))
def test_a_replayed_step_only_launches_what_its_program_holds(
    standin, optimizer, weighted
):
    trained, x, y = on_device(optimizer=optimizer)
    w = np.linspace(0.5, 1.5, SAMPLES) if weighted else None
    trained.step(x, y, w)
    step = trained.training_step(BatchSpec(x.shape, labels=True, weighted=weighted))
    assert step is trained.last_step
    for segment in ("gradients", "update", "loss"):
        with standin.counting() as counts:
            step.run(segment)
        calls = len(step.program.segments[segment])
        assert calls > 0
        assert counts == type(counts)(launches=calls), segment
    assert len(step.program) == sum(map(len, step.program.segments.values()))


def test_a_replayed_evaluation_only_launches(standin):
    trained, x, y = on_device()
    trained.evaluate(x, y)
    step = trained.evaluation_step(BatchSpec(x.shape, True, False), targets=True)
    with standin.counting() as counts:
        step.run()
    assert counts == type(counts)(launches=len(step.program))


def test_a_step_on_device_data_waits_only_for_the_check_of_its_labels(standin):
    trained, x, y = on_device()
    trained.step(x, y)
    with standin.counting() as counts:
        trained.step(x, y)
    assert counts.synchronisations <= 2  # the smallest and the largest label
    with standin.counting() as counts:
        assert isinstance(trained.loss, float)
    assert counts.synchronisations == 1
    with standin.counting() as counts:
        assert isinstance(trained.loss, float)  # it is known by now
    assert counts == type(counts)()


def epoch_counts(standin, batch_size, epochs, samples=240):
    trained, x, y = on_device(samples=samples)
    trained.fit(x, y, epochs=1, batch_size=batch_size)
    with standin.counting() as counts:
        trained.fit(x, y, epochs=epochs, batch_size=batch_size)
    return counts


def test_an_epoch_waits_once_however_many_steps_it_has(standin):
    few, many = (epoch_counts(standin, size, epochs=4) for size in (120, 4))
    assert few.synchronisations == many.synchronisations
    assert few.allocations == many.allocations
    one = epoch_counts(standin, 4, epochs=1)
    assert many.synchronisations - one.synchronisations <= 2 * 3
    # A step uploads the numbers of its update and nothing else.
    steps = {size: 4 * 240 // size for size in (120, 4)}
    assert many.uploads - few.uploads <= steps[4] - steps[120]


def test_a_longer_data_set_costs_no_more_waiting(standin):
    short, long = (epoch_counts(standin, 8, 2, samples=n) for n in (48, 480))
    assert short.synchronisations == long.synchronisations
    assert short.allocations == long.allocations


def test_the_launches_of_a_step_do_not_depend_on_its_size(standin):
    small, large = (epoch_counts(standin, 8, 1, samples=n) for n in (80, 160))
    trained, x, y = on_device(samples=80)
    trained.fit(x, y, epochs=1, batch_size=8)
    step = trained.training_step(BatchSpec((8, 2, 3), labels=True, weighted=False))
    each = (large.launches - small.launches) / 10
    gathered, kept = 3, 1  # row numbers, x, y; the loss of the step
    assert each == len(step.program) + gathered + kept


def test_no_program_computes_the_gradient_of_the_input(standin):
    """With one layer a step has two products: x W and xᵀ δ."""
    backend = standin_backend()
    trained = Trainer(Sequential([Dense(2)]), "mean_squared_error", "sgd", backend)
    trained.step(np.ones((4, 3)), np.ones((4, 2)))
    calls = [f for f, _ in trained.last_step.program.segments["gradients"]]
    assert calls.count(cupy.matmul) == 2


# What comes in.


@pytest.mark.parametrize("ordinal", [0, 1])
def test_targets_and_weights_follow_the_model_to_its_device(standin, ordinal):
    trained, x, y = on_device(ordinal)
    weights = np.linspace(0.1, 2.0, SAMPLES)
    trained.fit(x, host(y), epochs=1, sample_weight=weights)
    trained.step(x, host(y).tolist(), weights)
    trained.step(host(x), y)
    trained.fit(host(x), y, epochs=1, validation=(x, host(y), weights))
    for array in (*trained.parameters().values(), trained.last_step.batch.y):
        assert trained.backend.owns(array)
    assert np.isfinite(trained.loss)


@pytest.mark.parametrize("ordinal", [0, 1])
def test_weights_on_the_device_are_used_where_they_are(standin, ordinal):
    weights = np.linspace(0.1, 2.0, SAMPLES)
    found = []
    for here in (True, False):
        trained, x, y = on_device(ordinal)
        with trained.backend.active():
            w = trained.backend.asarray(weights) if here else weights
        trained.fit(x, y, epochs=2, batch_size=16, sample_weight=w)
        trained.step(x, y, w)
        found.append(everything(trained))
    assert_close(*found, "float64")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ordinal", [0, 1])
def test_data_on_the_device_are_used_where_they_are(standin, loss, ordinal):
    x, y = data(loss)
    found = []
    for here in (True, False):
        trained = trainer(standin_backend(ordinal), loss)
        with trained.backend.active():
            there = [trained.backend.asarray(a) if here else a for a in (x, y)]
        trained.fit(*there, epochs=1, batch_size=16)
        scores = trained.evaluate(*there)
        prediction = trained.predict(there[0])
        assert type(prediction) is np.ndarray
        found.append(everything(trained) | {"p": prediction, "loss": scores["loss"]})
    assert_close(*found, "float64")


@pytest.mark.parametrize("method", ["fit", "step", "evaluate"])
@pytest.mark.parametrize("name", ["x", "y", "sample_weight"])
@pytest.mark.parametrize("model_on", ["cpu", "cuda:0"])
def test_an_array_of_another_device_is_refused_in_words_that_name_both(
    standin, method, name, model_on
):
    other = standin_backend(1)
    device = model_on if model_on == "cpu" else standin_backend(0)
    trained = trainer(device)
    x, y = data("softmax_cross_entropy")
    arguments = {"x": x, "y": y, "sample_weight": np.ones(SAMPLES)}
    with other.active():
        arguments[name] = other.asarray(arguments[name])
    with pytest.raises(ValueError, match=rf"^{name}: .*cuda:1.*{model_on}"):
        getattr(trained, method)(**arguments)


def test_predict_refuses_an_array_of_another_device(standin):
    trained, x, _ = on_device(0)
    other = standin_backend(1)
    with other.active():
        there = other.asarray(host(x))
    with pytest.raises(ValueError, match=r"x: .*cuda:1.*cuda:0"):
        trained.predict(there)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_on_the_device_is_found_there(standin, bad):
    trained, x, y = on_device(1)
    values = host(x)
    values[7, 1, 2] = bad
    with trained.backend.active():
        x = trained.backend.asarray(values)
    with pytest.raises(ValueError, match=r"x: expected finite numbers.*\[7, 1, 2\]"):
        trained.fit(x, y)


def test_labels_out_of_range_are_found_before_they_wrap(standin):
    trained, x, y = on_device(1)
    labels = host(y)
    labels[3] = CLASSES
    with trained.backend.active():
        y = trained.backend.asarray(labels)
    with pytest.raises(ValueError, match=r"y: expected labels 0\.\.2"):
        trained.fit(x, y)


def test_a_step_that_diverges_on_a_device_leaves_the_weights_of_before(standin):
    x, y = data("mean_squared_error")
    trained = Trainer(
        Sequential([Dense(6, activation="relu"), Dense(CLASSES)]),
        "mean_squared_error", SGD(1e-3), standin_backend(1), "float64",
    )  # fmt: skip
    trained.fit(x.reshape(SAMPLES, -1), y, epochs=1)
    before = {k: host(v) for k, v in trained.parameters().items()}
    trained.learning_rate = 1e200
    with pytest.raises(DivergenceError, match="layer"):
        trained.fit(x.reshape(SAMPLES, -1), y, epochs=3, batch_size=8)
    for name, array in trained.parameters().items():
        assert np.array_equal(host(array), before[name])


def test_parameters_and_gradients_stay_on_the_device(standin):
    trained, x, y = on_device()
    trained.step(x, y)
    with standin.counting() as counts:
        arrays = [*trained.parameters().values(), *trained.gradients().values()]
    assert all(map(trained.backend.owns, arrays))
    assert counts == type(counts)()


def test_inputs_are_never_written_to(standin):
    trained, x, y = on_device()
    before = host(x), host(y)
    trained.fit(x, y, epochs=2, batch_size=16)
    trained.step(x, y)
    trained.predict(x)
    assert np.array_equal(host(x), before[0])
    assert np.array_equal(host(y), before[1])
