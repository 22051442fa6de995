"""Loops that Numba has really compiled: they change no bit, and are compiled once."""

import importlib.util
import os
import py_compile
import subprocess
import sys

import numpy as np
import pytest

import xpnet as xn
from xpnet.backend import get_backend
from xpnet.compiler import compile_tape, loops
from xpnet.compiler import jit as replay
from xpnet.trace import Tape

pytestmark = pytest.mark.usefixtures("numba_only")
CPU = get_backend("cpu")
SAMPLES, FEATURES, CLASSES = 37, 5, 3

MODELS = {
    "relu": lambda: [xn.Dense(6, "relu"), xn.Dense(CLASSES)],
    "smooth": lambda: [xn.Dense(6, "silu"), xn.Dense(4, "gelu"), xn.Dense(CLASSES)],
    "noise": lambda: [xn.Dropout(0.3), xn.GaussianNoise(0.2), xn.Dense(CLASSES)],
    "norms": lambda: [
        xn.Dense(6, "leaky_relu"),
        xn.BatchNorm(),
        xn.Dense(4, "elu"),
        xn.LayerNorm(),
        xn.Dense(CLASSES),
    ],
    "own": lambda: [
        xn.Dense(6, lambda z: np.where(z > 0.0, z, z / (1.0 + abs(z)))),
        xn.Dense(CLASSES),
    ],
}
RULES = {
    "relu": lambda: xn.SGD(0.1, momentum=0.9, nesterov=True, l1=1e-3, clip_norm=0.5),
    "smooth": lambda: xn.Adam(0.01, l2=1e-3, clip_value=0.1),
    "noise": lambda: xn.AdamW(0.01),
    "norms": lambda: xn.SGD(0.1),
    "own": lambda: xn.Adam(0.01),
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Loops of these tests are kept apart from the user's."""
    loops.cache_directory.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XPNET_CACHE_DIR", str(tmp_path_factory.mktemp("loops")))
        yield
    loops.cache_directory.cache_clear()


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, SAMPLES)


def trainer(name, **options):
    model = xn.Sequential(MODELS[name]())
    loss = xn.SoftmaxCrossEntropy(label_smoothing=0.1)
    return xn.Trainer(model, loss, RULES[name](), device="cpu", **options)


def everything(t):
    buffers = t.model.buffers
    return [buffers.params, buffers.grads, buffers.state, *t.rule.slots]


def same(a, b):
    return all(map(np.array_equal, everything(a), everything(b)))


@pytest.mark.parametrize("name", MODELS)
def test_compiled_loops_change_no_bit_of_a_training(name):
    x, y = data()
    weights = np.linspace(0.0, 2.0, SAMPLES)
    plain, compiled = trainer(name, jit=False), trainer(name, jit=True)
    for t in (plain, compiled):
        t.fit(x, y, 2, 10, validation=(x, y), sample_weight=weights)
        t.step(x, y)
    assert compiled.last_step.replay.compiled
    assert not plain.last_step.replay.compiled
    assert same(plain, compiled)
    assert plain.loss == compiled.loss
    assert plain.history["val_loss"] == compiled.history["val_loss"]
    assert np.array_equal(plain.predict(x), compiled.predict(x))


def test_compiled_loops_change_no_bit_in_float64():
    x, y = data()
    plain, compiled = (trainer("relu", jit=j, dtype="float64") for j in (False, True))
    for t in (plain, compiled):
        t.fit(x, y, 2, 10)
    assert same(plain, compiled)


@pytest.mark.parametrize("name", ["relu", "noise"])
def test_a_program_that_is_compiled_on_the_way_goes_on_alike(name, monkeypatch):
    monkeypatch.setattr(replay, "WORTH", 0.0)
    monkeypatch.setattr(replay, "SAMPLE", 3)
    x, y = data()
    plain, changing = trainer(name, jit=False), trainer(name)
    losses = [[], []]
    for i in range(12):
        rows = np.roll(x, i, axis=0)  # a new array each step, read in place
        for t, seen in zip((plain, changing), losses, strict=True):
            t.step(rows, y)
            seen.append(t.loss)
    assert changing.last_step.replay.compiled
    assert losses[0] == losses[1]
    assert same(plain, changing)


def test_a_fit_is_compiled_on_the_way_and_goes_on_alike(monkeypatch):
    monkeypatch.setattr(replay, "WORTH", 0.0)
    x, y = data()
    plain, changing = trainer("noise", jit=False), trainer("noise")
    for t in (plain, changing):
        t.fit(x[:35], y[:35], 3, 5)
    assert changing.last_step.replay.compiled
    assert plain.history["loss"] == changing.history["loss"]
    assert same(plain, changing)


def looped(function, *arrays):
    """The results of `function` by NumPy and by a compiled loop."""
    tape = Tape()
    tape.segment = "all"
    out = function(*map(tape.leaf, arrays))
    program = compile_tape(tape, CPU, {"out": out}, ("all",), loops=True)
    program.run("all")
    return function(*arrays), program.outputs["out"]


# What NaN, infinity and the sign of 0 tell apart.
AT_THE_EDGES = (
    lambda z: np.maximum(z, 0.0) + np.minimum(z, 1.0),
    lambda z: np.maximum(z, z[::-1]) * 1.0,
    lambda z: np.sign(z) * 2.0,
    lambda z: np.sqrt(abs(z)) - 1.0,
    lambda z: z - z.max(axis=-1, keepdims=True),
    lambda z: np.where(z > 0.0, z, -z) * 0.5,
)


def test_nan_and_infinity_pass_through_a_loop_as_through_numpy():
    z = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0], np.float32)
    z = np.stack([z, z[::-1], np.roll(z, 2)])
    for function in AT_THE_EDGES:
        with np.errstate(all="ignore"):
            wanted, got = looped(function, z)
        assert np.array_equal(wanted, got, equal_nan=True)


@pytest.mark.parametrize("shape", [(1000,), (40, 25), (5, 8, 25)], ids=str)
def test_threads_share_a_loop_and_change_no_bit(shape, monkeypatch):
    monkeypatch.setattr(loops, "SHARED", 10)
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 3)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    row = rng.normal(size=shape[-1:]).astype(np.float32)
    wanted, got = looped(lambda a, b, row: (a * b + row) / (1.0 + b * b), a, b, row)
    assert np.array_equal(wanted, got)


SCRIPT = """
import sys, numpy as np, xpnet as xn
from xpnet.backend import native
native.available = lambda: False
x = np.ones((4, 3), np.float32)
model = xn.Sequential([xn.Dense(4, "relu"), xn.Dense(2)])
t = xn.Trainer(model, "softmax_cross_entropy", "sgd", device="cpu", jit=True)
t.step(x, np.array([0, 1, 0, 1]))
from xpnet.backend import loops
found = [m for m in sys.modules.values() if m.__name__.startswith("xpnet_loop")]
print(len(found), sum(sum(m.loop.stats.cache_hits.values()) for m in found))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    environment = {**os.environ, "XPNET_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(tuple(map(int, run.stdout.split())))
    count = found[0][0]
    assert count > 2
    assert found == [(count, 0), (count, count)]


def test_files_of_numba_that_were_changed_are_made_anew(cache_folder, monkeypatch):
    a = np.linspace(-1.0, 1.0, 99, dtype=np.float32)
    for spoil in ("nothing", "compiled", "index", "source", "bytecode", "nothing"):
        monkeypatch.setattr(loops, "_LOADED", {})
        bad = b"raise SystemExit('run')\n"
        for path in [*cache_folder.glob("*.py"), *cache_folder.glob("*/*.nb?")]:
            if spoil == "source" and path.suffix == ".py":
                path.write_bytes(bad)
            elif spoil == "bytecode" and path.suffix == ".py":
                path.write_bytes(bad)
                py_compile.compile(path, importlib.util.cache_from_source(path))
            elif spoil[0] == {".nbi": "i", ".nbc": "c"}.get(path.suffix):
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
        wanted, got = looped(lambda a: np.maximum(a * 3.0, a + 0.25), a)
        assert np.array_equal(wanted, got), spoil
    made = [m for m in sys.modules.values() if m.__name__.startswith("xpnet_loop")]
    assert sum(made[-1].loop.stats.cache_hits.values())  # the untouched are read


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XPNET_CACHE_DIR", str(tmp_path / "file" / "below"))
    loops.cache_directory.cache_clear()
    assert loops.cache_directory().is_dir()
    loops.cache_directory.cache_clear()


def test_without_numba_everything_works_but_jit_true(monkeypatch):
    monkeypatch.setattr(replay, "available", lambda: False)
    x, y = data()
    t = trainer("relu")
    t.fit(x, y, 1, 10)
    assert not t.last_step.replay.compiled
    with pytest.raises(ImportError, match=r"jit=True needs a C compiler .* or Numba"):
        trainer("relu", jit=True).fit(x, y, 1, 10)
