"""Data larger than memory is read batch by batch, and no input is written to."""

import copy
import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES, data, in_turns, rng
from tests.training.examples import trainer, weights
from tests.ways import same

MEGABYTE = 1 << 20


def on_disk(path, values):
    """`values` as a read-only memory map."""
    array = np.lib.format.open_memmap(path, "w+", values.dtype, values.shape)
    array[...] = values
    array.flush()
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize(
    ("kind", "batch_size"),
    in_turns(["float32", "float64", ">f4", "uint8", "int64"], [5, None]),
)
def test_a_memory_map_trains_as_the_array_in_memory(kind, batch_size, tmp_path):
    x, y = data()
    x = (10.0 + 5.0 * x).clip(0.0, 255.0).astype(kind)
    x_map, y_map = on_disk(tmp_path / "x.npy", x), on_disk(tmp_path / "y.npy", y)
    here, there = trainer("dropout"), trainer("dropout")
    one = here.fit(x, y, 3, batch_size, validation=(x, y))
    two = there.fit(x_map, y_map, 3, batch_size, validation=(x_map, y_map))
    assert same(weights(here), weights(there))
    assert one["val_loss"] == two["val_loss"]
    assert same([here.predict(x)], [there.predict(x_map)])
    assert here.evaluate(x, y) == there.evaluate(x_map, y_map)
    here.step(x, y)
    there.step(x_map, y_map)
    assert same(weights(here), weights(there))


@pytest.mark.parametrize(
    ("kind", "width", "limit"), [("float32", 256, 11), ("uint8", 1024, 24)]
)
def test_a_memory_map_is_never_copied_whole(kind, width, limit, tmp_path):
    rows = 50_000  # 49 MiB, of which the file holds only what is written
    x = np.memmap(tmp_path / "x.bin", kind, "w+", shape=(rows, width))
    assert x.nbytes > 48 * MEGABYTE
    y = (np.arange(rows) % 2).astype(np.int32)
    x[:: rows // 10] = 1
    t = trainer("none", outputs=2)
    tracemalloc.start()
    try:
        t.fit(x, y, 1, 1000)
        t.evaluate(x, y)
        t.predict(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit * MEGABYTE
    assert t.steps_done == 50


@pytest.mark.parametrize(
    ("batch_size", "dtype"), [(1, "float64"), (5, "float32"), (None, "float64")]
)
def test_inputs_are_never_written_to(dtype, batch_size):
    x, y = data()
    x = x.astype(dtype)  # of the model's own dtype, so that no copy protects it
    w = rng(6).uniform(0.5, 2.0, SAMPLES).astype(dtype)
    one_hot = np.eye(3, dtype=dtype)[y]
    kept = [copy.deepcopy(a) for a in (x, y, w, one_hot)]
    for array in (x, y, w, one_hot):
        array.flags.writeable = False
    for target in (y, one_hot):
        t = trainer("noise", dtype=dtype)
        t.fit(x, target, 2, batch_size, validation=(x, target, w), sample_weight=w)
        t.step(x, target, w)
        t.evaluate(x, target, w)
        t.predict(x)
    model = trainer("noise").model
    xn.check_gradients(model, "softmax_cross_entropy", x, y, sample_weight=w)
    assert same([x, y, w, one_hot], kept)


def test_lists_and_other_arguments_stay_as_they_are():
    x, y = data()
    arguments = {
        "x": x.tolist(),
        "y": y.tolist(),
        "sample_weight": [1.0] * SAMPLES,
        "class_weight": {0: 2.0},
        "validation": (x.tolist(), y.tolist()),
        "callbacks": [xn.Callback()],
    }
    callbacks = arguments["callbacks"][:]
    kept = {k: copy.deepcopy(v) for k, v in arguments.items() if k != "callbacks"}
    layers = [xn.Dense(4), xn.Dense(3)]
    t = xn.Trainer(xn.Sequential(layers), "softmax_cross_entropy", device="cpu")
    t.fit(**arguments, epochs=2, batch_size=5)
    assert {k: arguments[k] for k in kept} == kept
    assert arguments["callbacks"] == callbacks
    assert len(layers) == 2
    arrays = xn.Trainer(
        xn.Sequential([xn.Dense(4), xn.Dense(3)]), "softmax_cross_entropy", device="cpu"
    )
    arrays.fit(x, y, 2, 5, class_weight={0: 2.0}, sample_weight=np.ones(SAMPLES))
    assert same(t.parameters(), arrays.parameters())


def test_what_is_given_out_is_not_overwritten_later():
    x, y = data()
    t = trainer()
    t.build(x.shape[1])
    first = t.predict(x)
    kept = first.copy()
    history = t.fit(x, y, 2, 5)
    rows = copy.deepcopy(history.rows)
    t.fit(x, y, 2, 5)
    t.predict(x)
    assert same([first], [kept])
    assert history.rows == rows


def test_a_full_batch_is_not_kept_after_its_fit():
    """Nor is another one taken for it that lies where it lay."""
    x, y = np.ones((40, 4), np.float32), np.arange(40) % 3
    t = trainer()
    t.fit(x, y, 2, None, verbose=False)
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None
    other = np.zeros((40, 4), np.float32)
    t.fit(other, y, 1, None, verbose=False)
    assert not t.last_step.batch.x.any()
