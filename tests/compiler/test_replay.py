"""A compiled program gives what the same Python gives on plain arrays."""

import math

import numpy as np
import pytest

from tests.compiler.hazards import HAZARDS, P, Q
from tests.compiler.programs import draw, draw_training
from tests.standin import standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape, tuning
from xpnet.trace import Tape, TraceError

CPU = get_backend("cpu")
SEEDS = 60
LEADS = [(), (2,), (3, 1)]


class Way:
    """How long elementwise runs are done: whole, in blocks, or in C."""

    def __init__(self, block, native=False):
        self.block, self.native = block, native
        self.seeds = 4 if native else SEEDS  # each a run of the C compiler


WAYS = {"whole": Way(16384), "in blocks of 7": Way(7)}
WAYS["in C"] = Way(16384, native=True)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each way to run elementwise operations; small blocks show on small arrays."""
    chosen = WAYS[request.param]
    monkeypatch.setattr(tuning, "BLOCK_ELEMENTS", chosen.block)
    if chosen.native and not native.available():
        pytest.skip("there is no C compiler")
    return chosen


def record(function, *arrays, backend=CPU, segments=("all",), way=WAYS["whole"]):
    """The program of `function`, with its result as output "result"."""
    tape = Tape()
    tape.segment = segments[0]
    result = function(*map(tape.leaf, arrays))
    outputs = {} if result is None else {"result": result}
    return compile_tape(tape, backend, outputs, segments, way.native)


def normal(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def same(got, wanted):
    return (
        got.shape == wanted.shape
        and got.dtype == wanted.dtype
        and np.array_equal(got, wanted, equal_nan=True)
    )


def assert_replays(function, *arrays, times=3, way=WAYS["whole"]):
    """Replayed on ever new contents, the program does what the function does."""
    leaves = [array.copy() for array in arrays]
    program = record(function, *leaves, way=way)
    for seed in range(times):
        for leaf, array in zip(leaves, arrays, strict=True):
            leaf[...] = np.roll(array, seed)
        plain = [leaf.copy() for leaf in leaves]
        wanted = function(*plain)
        program.run("all")
        if wanted is not None:
            wanted = np.asarray(wanted)
            assert same(program.outputs["result"], wanted)
        assert all(map(same, leaves, plain))


def assert_drawn_replays(drawn, seed, orders, way, times=3):
    leaves = [leaf.copy() for leaf in drawn.leaves]
    program = drawn.compiled(CPU, leaves, way.native)
    rng = np.random.default_rng(seed)
    for i in range(times):
        for leaf in leaves:
            leaf[...] = rng.normal(size=leaf.shape)
        plain = [leaf.copy() for leaf in leaves]
        with np.errstate(all="ignore"):
            wanted = drawn.on_arrays(plain)
            for segment in orders[i % len(orders)]:
                program.run(segment)
        got = [program.outputs[str(place)] for place in drawn.outputs]
        wrong = [
            f"value {place}"
            for place, a, b in zip(drawn.outputs, got, wanted, strict=True)
            if not same(a, b)
        ]
        wrong += [f"leaf {j}" for j in range(6) if not same(leaves[j], plain[j])]
        assert not wrong, f"seed {seed}, replay {i}: {wrong} differ"


# Random programs.


def test_random_programs_replay_to_the_last_bit(way):
    for seed in range(2 * way.seeds):
        sizes, dtype = (3, 5, 8)[seed // 3 % 3], ("float32", "float64")[seed % 2]
        drawn = draw(seed, LEADS[seed % 3], dtype, n=sizes, steps=10)
        assert_drawn_replays(drawn, seed, [("first", "second", "third")], way)


def test_independent_segments_run_in_either_order(way):
    orders = [("gradients", "update", "loss"), ("gradients", "loss", "update")]
    for seed in range(way.seeds):
        drawn = draw_training(seed, LEADS[seed % 3], n=(3, 5)[seed % 2], steps=8)
        assert_drawn_replays(drawn, seed, orders, way, times=4)


def test_random_programs_give_the_same_on_the_stand_in(standin):
    backend = standin_backend()
    for seed in range(SEEDS):
        drawn = draw(seed, LEADS[seed % 3], "float32", n=5, steps=10)
        host = [leaf.copy() for leaf in drawn.leaves]
        device = [backend.asarray(leaf) for leaf in drawn.leaves]
        programs = drawn.compiled(CPU, host), drawn.compiled(backend, device)
        with standin.counting() as counts, np.errstate(all="ignore"):
            for segment in drawn.segments:
                for program in programs:
                    program.run(segment)
        assert counts == type(counts)(launches=len(programs[1])), f"seed {seed}"
        for name, wanted in programs[0].outputs.items():
            assert same(programs[1].outputs[name].get(), wanted), f"seed {seed}"
        for a, b in zip(device, host, strict=True):
            assert same(a.get(), b), f"seed {seed}"


@pytest.mark.parametrize("function", HAZARDS, ids=lambda f: f.__name__)
def test_memory_hazards_change_no_number(way, function):
    assert_replays(function, P, Q, way=way)


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_a_value_is_converted_when_it_is_stored(way, dtype):
    def function(x, leaf):
        value = x * 2.5
        leaf[...] = value
        return value - 1.0

    assert_replays(function, P, np.zeros((8, 8), dtype), way=way)


def test_an_output_is_not_the_leaf_that_it_was_stored_into(way):
    leaf = normal(8, 8)

    def function(p):
        value = p * 2.0
        p[...] = value
        return value

    wanted = leaf * 2.0
    program = record(function, leaf, way=way)
    program.run("all")
    leaf[...] = 0.0  # as the next batch does
    assert same(program.outputs["result"], wanted)


@pytest.mark.parametrize(
    ("power", "op"), [(2, np.square), (0.5, np.sqrt), (-1, np.reciprocal)]
)
def test_a_power_takes_the_short_cut_of_numpys_arrays(power, op):
    assert (Tape().leaf(P) ** power).op is op


# What else may differ from NumPy's own arrays.

X, MASK = normal(6, 4, dtype="float32"), normal(6, 4) > 0.0
WHOLE = np.arange(24, dtype=np.int32).reshape(6, 4) - 7
NUMPY_AGREES = {
    "the sum of a mask counts": lambda x, m, i: m.sum(axis=0),
    "the mean of a mask is a share": lambda x, m, i: m.mean(),
    "the largest of a mask": lambda x, m, i: m.max(axis=1),
    "a comparison's mean": lambda x, m, i: (x > 0.25).mean(axis=-1, keepdims=True),
    "the sum of whole numbers": lambda x, m, i: i.sum(axis=1),
    "the mean of whole numbers": lambda x, m, i: i.mean(axis=0),
    "whole numbers divided": lambda x, m, i: i / (i * i + 1),
    "whole and real numbers": lambda x, m, i: x * i,
    "masks combined": lambda x, m, i: (m & (x > 0.0)) | ~m,
    "a mask times a number": lambda x, m, i: x * m + m,
    "bits": lambda x, m, i: ((i.astype("uint32") >> 3) ^ 0x7FEB352D) * 0x846CA68B,
    "a NumPy number": lambda x, m, i: x * np.float32(0.5) + np.int64(2) * i,
    "a NumPy float64 number": lambda x, m, i: (i * np.sqrt(2.0)) + np.float64(1.0),
    "a power of a number": lambda x, m, i: 2.0**x,
    "a sign": lambda x, m, i: +x,
    "a square in place": lambda x, m, i: x.__ipow__(2) * 1.0,
    "where on a number": lambda x, m, i: np.where(m, 1, 0),
    "where of masks": lambda x, m, i: np.where(m, x > 0.0, False),
    "where of a real number": lambda x, m, i: np.where(x, x, 2.0),
    "clip by name": lambda x, m, i: np.clip(x, a_min=-0.5, a_max=0.5),
    "several axes": lambda x, m, i: i[None].sum(axis=(0, -1)),
    "expand_dims": lambda x, m, i: np.expand_dims(x, -1) * x[:, None],
    "powers": lambda x, m, i: (x**2, x**1, x**3.0, abs(x) ** 0.5)[i.ndim - 2],
    "a root": lambda x, m, i: abs(x) ** 0.5,
    "a reciprocal": lambda x, m, i: (x + 9.0) ** -1,
    "a remainder": lambda x, m, i: i % 5 + x // 0.5,
    "steps and negative places": lambda x, m, i: x[::-2, -1] * x[1::2, 0],
}


@pytest.mark.parametrize("case", NUMPY_AGREES)
def test_numbers_and_dtypes_are_those_of_numpy(case):
    assert_replays(NUMPY_AGREES[case], X, MASK, WHOLE)


@pytest.mark.parametrize("axis", [2, -3, (0, 2), 5])
@pytest.mark.parametrize("name", ["sum", "max", "mean"])
def test_an_axis_that_is_not_there_is_an_error(axis, name):
    with pytest.raises(ValueError, match="axis"):
        record(lambda x: getattr(x, name)(axis=axis), X)


def test_the_transpose_of_a_stack_is_refused_or_numpys():
    stack = X.reshape(2, 3, 4)
    try:
        program = record(lambda x: x.T * 1.0, stack)
    except TraceError:
        return
    program.run("all")
    assert same(program.outputs["result"], stack.T * 1.0)


def test_axes_that_are_not_there_are_not_swapped():
    with pytest.raises(ValueError, match="axis"):
        record(lambda x: x.swapaxes(0, 2), X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smooth_functions_run_block_by_block(way, dtype):
    def function(x, y):
        z = np.tanh(x) * np.exp(-y * y) + np.log1p(abs(x))
        y[...] = np.cos(z) + x[:1]
        return np.sqrt(z * z + 1.0) ** 1.5

    leaves = [normal(40, 11, dtype=dtype, seed=i) for i in (0, 1)]
    plain = [leaf.copy() for leaf in leaves]
    program = record(function, *leaves, way=way)
    program.run("all")
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(
        program.outputs["result"], function(*plain), rtol=tolerance
    )
    np.testing.assert_allclose(leaves[1], plain[1], rtol=tolerance)


def test_a_long_array_runs_in_blocks_of_the_size_of_the_cache():
    def function(x):
        x[...] = np.square(x) * 0.5 + 0.25

    whole = record(function, normal(100))
    blocked = record(function, normal(40_000))
    assert len(whole) == 3
    assert len(blocked) == 3 * math.ceil(40_000 / 16384)
    assert_replays(function, normal(40_000))
    # The temporary is a block's, not the array's.
    assert blocked.nbytes <= 2 * 16384 * 8


def test_a_product_and_sums_cut_runs(way):
    def function(x, w):
        z = x @ w
        e = np.maximum(z - z.max(axis=-1, keepdims=True), -3.0)
        s = e / (1.0 - e.sum(axis=-1, keepdims=True))
        w[...] = x.swapaxes(-1, -2) @ s
        return s

    x, w = np.rint(normal(9, 5) * 3), np.rint(normal(5, 4) * 3)
    assert_replays(function, x, w, times=1, way=way)


# Segments.


@pytest.mark.parametrize("lead", LEADS)
def test_a_column_times_a_row_is_no_product_and_joins_a_loop(lead):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(*lead, 7, 1)), rng.normal(size=(*lead, 5, 1))
    tape = Tape()
    tape.segment = "all"
    x, y = tape.leaf(a), tape.leaf(b)
    out = (x @ y.swapaxes(-1, -2)) * (x > 0.0)
    assert "matmul" not in {node.op for node in tape.nodes}
    program = compile_tape(tape, CPU, {"out": out}, ("all",))
    program.run("all")
    expected = (a @ b.swapaxes(-1, -2)) * (a > 0.0)
    assert np.array_equal(program.outputs["out"], expected)
    with pytest.raises(ValueError, match="matmul of shapes"):
        _ = x @ y


def test_an_expression_met_first_in_a_later_segment_is_not_shared_with_an_earlier_run():
    x, p, out = normal(4, 3), normal(4, 3, seed=1), np.zeros((1, 3))
    tape = Tape()
    leaf = {id(a): tape.leaf(a) for a in (x, p, out)}
    tape.segment = "gradients"
    z = leaf[id(x)] * 2.0
    tape.segment = "update"
    leaf[id(p)][...] = leaf[id(p)] - z * z
    tape.segment = "loss"
    leaf[id(out)][...] = (z * z).sum(axis=0, keepdims=True)
    program = compile_tape(tape, CPU, {}, ("gradients", "update", "loss"))
    for segment in ("gradients", "loss", "update"):
        program.run(segment)
    np.testing.assert_allclose(out[0], (4.0 * x * x).sum(axis=0), rtol=1e-14)


def test_a_value_that_crosses_into_another_segment_keeps_its_memory():
    x, a, b = normal(20, 3), np.zeros((20, 3)), np.zeros((20, 3))
    tape = Tape()
    x_, a_, b_ = map(tape.leaf, (x, a, b))
    tape.segment = "first"
    kept = x_ + 1.0
    a_[...] = kept * 2.0
    tape.segment = "second"
    b_[...] = (x_ * 3.0) * (x_ - 1.0) + kept
    program = compile_tape(tape, CPU, {}, ("first", "second"))
    program.run("first")
    for _ in range(2):
        program.run("second")
        assert same(b, (x * 3.0) * (x - 1.0) + (x + 1.0))
    assert same(a, (x + 1.0) * 2.0)


def test_an_output_outlives_a_segment_that_runs_after_its_own():
    x = normal(40, 30)
    tape = Tape()
    leaf = tape.leaf(x)
    tape.segment = "update"
    leaf[...] = (np.tanh(leaf.copy()) @ leaf.T @ leaf) * 0.5
    tape.segment = "loss"
    result = leaf * 2.0
    program = compile_tape(tape, CPU, {"result": result}, ("update", "loss"))
    wanted = x * 2.0
    program.run("loss")
    program.run("update")
    assert same(program.outputs["result"], wanted)


def test_an_empty_segment_runs():
    program = record(lambda x: x * 2.0, X.copy(), segments=("all", "none"))
    program.run("none")
    assert program.segments["none"] == []


# What a replay costs.


# What a recorded step cannot contain.
