"""A device whose memory ends: one message that says what fits, and nothing is lost."""

import re

import numpy as np
import pytest

from tests.cuda.fibers import FiberDriver, fiber_backend
from tests.standin import standin_backend
from tests.ways import everything, same
from xpnet.layers import BatchNorm, Dense, Sequential
from xpnet.training.trainer import Trainer

DATA = 4000


def trainer(device, width=64):
    model = Sequential([Dense(width, activation="relu"), BatchNorm(), Dense(3)])
    return Trainer(model, "softmax_cross_entropy", "adam", device, seed=3)


def data(samples=DATA):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, 20)).astype(np.float32)
    return x, rng.integers(3, size=samples)


def test_no_room_for_what_products_need_is_told_like_no_room_for_the_model(
    standin, monkeypatch
):
    def prepare(driver):
        raise MemoryError("Out of memory allocating 33,554,432 bytes")

    monkeypatch.setattr(FiberDriver, "prepare", prepare)
    trained = trainer(fiber_backend())
    with pytest.raises(MemoryError, match=r"the model does not fit: 32.00 MiB more"):
        trained.build(20)
    monkeypatch.undo()
    trained.build(20)
    assert trained.parameters()["0.W"].shape == (20, 64)


def test_a_batch_too_large_is_told_with_one_that_fits(standin):
    x, y = data()
    trained = trainer(standin_backend())
    trained.fit(x, y, epochs=1, batch_size=50)
    before = everything(trained)
    standin.set_free_bytes(2_000_000)
    with pytest.raises(MemoryError) as error:
        trained.fit(x, y, epochs=1, batch_size=None)
    message = str(error.value)
    assert message.startswith("batch_size: a batch of 4000 samples, whose step needs ")
    assert "free on cuda:0" in message
    assert same(everything(trained), before)
    assert trained.steps_done == DATA // 50

    fits = int(re.search(r"batch_size=(\d+) should fit", message)[1])
    assert fits > 100
    for size, room in ((fits, True), (2 * fits, False)):
        standin.set_free_bytes(2_000_000)
        if room:
            trained.step(x[:size], y[:size])
        else:
            with pytest.raises(MemoryError, match="batch_size"):
                trained.step(x[:size], y[:size])


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "step"])
def test_every_way_in_tells_of_it(standin, method):
    x, y = data()
    trained = trainer(standin_backend())
    trained.fit(x[:50], y[:50], epochs=1)
    before = everything(trained)
    standin.set_free_bytes(200_000)
    arguments = (x,) if method == "predict" else (x, y)
    with pytest.raises(
        MemoryError, match=r"does not fit: .*free on cuda:0; \w"
    ) as error:
        getattr(trained, method)(*arguments)
    assert error.value.__context__ is None
    assert same(everything(trained), before)
    standin.set_free_bytes(1 << 30)
    trained.fit(x, y, epochs=1, batch_size=100)
    assert np.isfinite(trained.loss)


def test_a_model_too_large_is_left_unbuilt(standin):
    x, y = data(40)
    trained = trainer(standin_backend(), width=5000)
    standin.set_free_bytes(100_000)
    with pytest.raises(
        MemoryError, match=r"the model does not fit: .* KiB more asked for"
    ):
        trained.fit(x, y)
    assert trained.model.sample_shape is None
    standin.set_free_bytes(1 << 30)
    trained.fit(x[:, :7], y, epochs=1)  # of another width


def test_the_copy_kept_against_divergence_may_be_too_much(standin):
    x, y = data(40)
    trained = trainer(standin_backend(), width=2000)
    trained.fit(x, y, epochs=1)
    standin.set_free_bytes(250_000)
    with pytest.raises(MemoryError, match="a copy of the parameters, in case"):
        trained.fit(x, y, epochs=1)
