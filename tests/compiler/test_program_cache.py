"""A tape that has been known before: the same program on other arrays."""

import errno
import mmap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xpnet as xn
from tests.cases import TARGETS, data
from tests.compiler.programs import draw
from tests.training.examples import trainer
from tests.ways import curves, everything, same
from xpnet.backend import Backend
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape, tuning
from xpnet.compiler.c import cache_key, program_cache
from xpnet.compiler.c.lower import CLowering
from xpnet.compiler.lowering import Recording
from xpnet.compiler.row_partition import RowPartition
from xpnet.trace import Tape

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
SAMPLES, BATCH = 23, 5
CPU = Backend("numpy", "cpu", np)


@pytest.fixture(autouse=True)
def nothing_known(cache_folder):
    """Neither in this process nor in a file."""
    return cache_folder


def compile_nothing(monkeypatch):
    """From now on every program must be one that is program_cache."""

    def refuse(*args):
        raise AssertionError("compiled once more")

    monkeypatch.setattr(CLowering, "plan", refuse)


def trained(hidden="deep", weighted=True, seed=0, **options):
    """(all that a training has left, its curves, its predictions)."""
    x, y = data(TARGETS[options.get("loss", "softmax_cross_entropy")], SAMPLES)
    t = trainer(hidden, jit=True, seed=seed, **options)
    w = np.linspace(0.0, 2.0, SAMPLES) if weighted else None
    t.fit(x, y, 3, BATCH, sample_weight=w)
    t.step(x[:BATCH].astype(t.dtype), y[:BATCH])  # read in place, where that is done
    return everything(t), curves(t.history), t.predict(x)


def assert_again(monkeypatch, train):
    """A second training is the first to the bit, and compiles nothing."""
    first = train()
    compile_nothing(monkeypatch)
    second = train()
    assert same(first[0], second[0])
    assert first[1] == second[1]
    assert np.array_equal(first[2], second[2])


def test_another_process_finds_it_in_a_file(monkeypatch):
    def train():
        program_cache._KNOWN.clear()
        return trained()

    assert_again(monkeypatch, train)


def test_two_that_share_a_program_share_no_memory():
    x, y = data(samples=SAMPLES)
    alone = [trained(seed=seed) for seed in (1, 2)]
    pair = [trainer("deep", jit=True, seed=seed) for seed in (1, 2)]
    for t in pair:
        t.build(x.shape[1:])
    w = np.linspace(0.0, 2.0, SAMPLES)
    for _ in range(3):  # in turns
        for t in pair:
            t.fit(x, y, 1, BATCH, sample_weight=w)
    for t, (expected, _, _) in zip(pair, alone, strict=True):
        t.step(x[:BATCH].astype(t.dtype), y[:BATCH])
        assert same(everything(t), expected)


@pytest.mark.slow
@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
def test_random_programs_are_the_same_on_other_arrays(lead):
    again = 0
    for seed in range(12):
        drawn = draw(seed, lead, "float32", n=5, steps=8)
        found = []
        for factor in (1.0, -0.5):  # the second time on other numbers
            leaves = [np.array(leaf * factor) for leaf in drawn.leaves]
            plain = [leaf.copy() for leaf in leaves]
            known_before = len(program_cache._KNOWN)
            program = drawn.compiled(CPU, leaves, loops=True)
            for name in drawn.segments:
                program.run(name)
            with np.errstate(all="ignore"):
                outputs = drawn.on_arrays(plain)
            got = [program.outputs[str(i)] for i in drawn.outputs]
            for a, b in zip([*outputs, *plain], [*got, *leaves], strict=True):
                assert np.array_equal(a, b, equal_nan=True), seed
            found.append(known_before)
        again += found[0] < found[1] == len(program_cache._KNOWN)
    assert again > 2


# What a program is known by.


def key(outputs=("sum",), segments=("a",), crew=None, members=None, **other):
    """Of out = (x + number) * y, recorded on arrays as `other` says."""
    make = {"shape": (4, 6), "dtype": "float32", "number": 0.25, "op": np.add, **other}
    tape, zeros = Tape(), np.zeros
    tape.segment = segments[0]
    x, y = (tape.leaf(zeros(make["shape"], make["dtype"])) for _ in range(2))
    out = make.get("out", lambda: zeros(make["shape"], make["dtype"]))()
    total = make["op"](x, make["number"])
    tape.leaf(out)[...] = total * y
    names = dict.fromkeys(outputs, total)
    found = cache_key.recorded(Recording(tape, CPU, names, segments, x, members, crew))
    return found if found is None else found.key


def test_equal_tapes_have_one_key():
    assert key() == key()


def wide():
    return np.zeros((4, 12), np.float32)[:, ::2]


DIFFERENT = {
    "shape": {"shape": (6, 4)},
    "dtype": {"dtype": "float64"},
    "number": {"number": 0.5},
    "kind of number": {"number": 0},
    "sign of zero": {"number": -0.0},
    "zero": {"number": 0.0},
    "operation": {"op": np.subtract},
    "segment": {"segments": ("b",)},
    "segments": {"segments": ("a", "b")},
    "outputs": {"outputs": ()},
    "layout": {"out": wide},
    "crew": {"crew": RowPartition(2, 4)},
    "members": {"members": 4},
}


def test_whatever_a_program_depends_on_is_in_its_key():
    keys = [key(**options) for options in ({}, *DIFFERENT.values())]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (tuning, "WORK_PER_THREAD"),
        (tuning, "MAX_WEIGHT_BYTES"),
        (tuning, "ELEMENTS_PER_PART"),
        (tuning, "MIN_ELEMENTS_FOR_THREADS"),
        (cache_key, "FORMAT"),
        (cache_key, "_code"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_so_are_the_limits_and_the_code(where, name, monkeypatch):
    before = key()
    value = (lambda: ("another",)) if name == "_code" else 7
    monkeypatch.setattr(where, name, value)
    assert key() != before


def test_where_leaves_lie_to_each_other_is_in_the_key():
    def pair(gap):
        whole = np.zeros(20, np.float32)
        tape = Tape()
        x, out = tape.leaf(whole[:6]), tape.leaf(whole[gap : gap + 6])
        out[...] = x + 1.0
        return cache_key.recorded(Recording(tape, CPU, {}, ("",), x, None, None)).key

    assert pair(6) == pair(6)
    assert len({pair(gap) for gap in (0, 3, 6, 7)}) == 4


def test_what_a_key_cannot_tell_is_not_kept():
    own = np.frompyfunc(lambda a, b: a + b, 2, 1)
    tape = Tape()
    x = tape.leaf(np.zeros(3))
    tape.leaf(np.zeros(3))[...] = x + 1.0
    tape.nodes[-2].op = own  # as if it could be recorded
    assert cache_key.recorded(Recording(tape, CPU, {}, ("",), x, None, None)) is None

    def foreign():
        return np.frombuffer(mmap.mmap(-1, 96), np.float32).reshape(4, 6)

    assert key(out=foreign) is None


def test_a_program_on_foreign_memory_is_compiled_every_time(nothing_known):
    x = np.frombuffer(mmap.mmap(-1, 24), np.float32)
    for _ in range(2):
        out, tape = np.zeros(6, np.float32), Tape()
        tape.segment = "a"
        tape.leaf(out)[...] = tape.leaf(x) * 2.0 + 1.0
        compile_tape(tape, CPU, {}, ("a",), loops=True).run("a")
        assert np.array_equal(out, np.ones(6))
    assert not program_cache._KNOWN
    assert not list(nothing_known.glob("*.program"))


# Files.


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"\xff\x00",
        lambda data: data[:999],
        lambda data: data.replace(b"1", b"2"),
        lambda data: b"[1, 2]",
    ],
    ids=["empty", "bytes", "cut off", "other numbers", "something else"],
)
def test_a_spoilt_file_is_written_anew(spoil, nothing_known, monkeypatch):
    first = trained()
    files = list(nothing_known.glob("*.program"))
    assert len(files) > 2
    for file in files:
        file.write_bytes(spoil(file.read_bytes()))
    program_cache._KNOWN.clear()
    assert same(trained()[0], first[0])
    program_cache._KNOWN.clear()
    compile_nothing(monkeypatch)
    assert same(trained()[0], first[0])


def test_no_place_for_files_is_no_error(monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(program_cache, "keep", full)
    first = trained()
    compile_nothing(monkeypatch)
    assert same(trained()[0], first[0])


def test_few_programs_are_kept_in_a_process(monkeypatch):
    monkeypatch.setattr(tuning, "MAX_PROGRAMS_IN_MEMORY", 2)
    for seed in range(3):
        trained("dense", optimizer=xn.SGD(0.1, momentum=0.1 * (seed + 1)))
        assert len(program_cache._KNOWN) == 2
    program_cache._KNOWN.clear()
    trained("dense", optimizer=xn.SGD(0.1, momentum=0.1))
    assert len(program_cache._KNOWN) == 2


def test_threads_may_keep_programs_at_once(monkeypatch):
    monkeypatch.setattr(tuning, "MAX_PROGRAMS_IN_MEMORY", 2)
    with ThreadPoolExecutor(8) as pool:
        for made in [pool.submit(program_cache._keep, str(i), {}) for i in range(2000)]:
            made.result()
    assert len(program_cache._KNOWN) == 2
