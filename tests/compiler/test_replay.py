"""A compiled program gives what the same Python gives on plain arrays."""

import math
import tracemalloc

import numpy as np
import pytest

from tests.compiler.hazards import HAZARDS, P, Q
from tests.compiler.programs import draw, draw_training
from tests.standin import capture, cupy, standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape, tuning
from xpnet.trace import Tape, TraceError, batch_sum

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


# A source that the program reads where it is.


def recorded_over(function, x, *others):
    tape = Tape()
    tape.segment = "all"
    leaves = [tape.leaf(a) for a in (x, *others)]
    result = function(*leaves)
    return compile_tape(tape, CPU, {"result": result}, ("all",), source=leaves[0])


PRODUCTS_ONLY = {
    "a product": lambda x, w: x @ w,
    "a turned product": lambda x, w: (x.swapaxes(-1, -2) @ x) @ w,
    "a product with a computed value": lambda x, w: x @ (w * 2.0),
    "a reshaped product": lambda x, w: x.reshape(2, 3, 4) @ w,
    "several products": lambda x, w: (x @ w) * (x @ (w + 1.0)),
}
OTHER_READERS = {
    "a sum": lambda x, w: x.sum() + x @ w,
    "arithmetic": lambda x, w: (x + 1.0) @ w,
    "a slice": lambda x, w: x[:3] @ w,
    "a sum over the batch": lambda x, w: batch_sum(x) @ w,
}


@pytest.mark.parametrize("case", PRODUCTS_ONLY)
def test_a_source_that_only_products_read_may_be_another_array(case):
    function = PRODUCTS_ONLY[case]
    x, w = normal(6, 4), normal(4, 4, seed=1)
    program = recorded_over(function, x, w)
    assert program.readers
    for other in (normal(6, 4, seed=2), normal(6, 4, seed=3), x):
        program.rebind(other)
        before = other.copy()
        program.run("all")
        np.testing.assert_allclose(
            program.outputs["result"], function(other, w), rtol=1e-12
        )
        assert same(other, before)


@pytest.mark.parametrize("case", OTHER_READERS)
def test_a_source_that_anything_else_reads_must_be_copied(case):
    program = recorded_over(OTHER_READERS[case], normal(6, 4), normal(4, 4))
    assert program.readers is None


# What a replay costs.


def training(x, w, g, y):
    """Every kind of call, in float32."""
    z = np.maximum(x @ w, 0.0)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    delta = (p - (y > 0.0).astype(p.dtype)) * (1.0 / x.shape[0])
    delta = np.where(z > 0.5, delta, delta * 0.5)
    g[...] = x.swapaxes(-1, -2) @ delta
    w -= 0.1 * g + 0.01 * np.sign(w)


def training_arrays(lead):
    shapes = [(500, 300), (300, 200), (300, 200), (500, 200)]
    return [normal(*lead, *s, seed=i, dtype="float32") for i, s in enumerate(shapes)]


@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
def test_a_replay_allocates_nothing(lead):
    program = record(training, *training_arrays(lead))
    program.run("all")
    tracemalloc.start()
    try:
        program.run("all")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # NumPy's own loops buffer 8192 elements at a time; the smallest array is larger.
    assert peak < 100_000 < training_arrays(lead)[1].nbytes


@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
def test_a_replay_on_a_device_only_launches(standin, lead):
    backend = standin_backend()
    host = training_arrays(lead)
    device = [backend.asarray(array) for array in host]
    program = record(training, *device, backend=backend)
    for _ in range(3):
        with standin.counting() as counts:
            program.run("all")
        assert counts == type(counts)(launches=len(program))
        training(*host)
    np.testing.assert_allclose(device[1].get(), host[1], rtol=1e-5, atol=1e-6)


def test_elementwise_work_can_be_captured_and_a_product_cannot(standin):
    backend = standin_backend()
    x = backend.asarray(X)
    with capture():
        record(lambda x: np.where(x > 0.0, x, x * x).sum(), x, backend=backend).run(
            "all"
        )
        with pytest.raises(NotImplementedError):
            record(lambda x: x @ x.T, x, backend=backend).run("all")


def test_what_nobody_wants_is_not_computed():
    def function(x, y):
        unwanted = np.exp(x) @ y.T
        unwanted = unwanted.sum(axis=0) + unwanted[0]
        wanted = x * 2.0
        y[...] = wanted + 1.0
        return None if unwanted.ndim == 1 else unwanted

    assert len(record(function, X.copy(), X.copy())) == 2


def test_the_same_operation_on_the_same_arguments_is_done_once():
    def function(x):
        return (np.exp(x) + 1.0) * (np.exp(x) + 1.0) + np.exp(x).sum() * (x > 0.0)

    assert len(record(function, X.copy())) == 7


def test_a_gradient_is_computed_where_it_is_wanted():
    def function(x, w, g):
        g[...] = x.T @ (x @ w)
        w[...] = w - 0.1 * g

    x, w = normal(6, 4), normal(4, 2)
    program = record(function, x, w, np.zeros((4, 2)))
    assert len(program) == 4  # two products, 0.1 g, w - 0.1 g, and no copy
    assert program.nbytes <= (6 * 2 + 4 * 2) * 8


def test_dying_values_hand_on_their_memory():
    def function(x):
        for _ in range(20):
            x = np.tanh(x) * 0.5
        return x

    program = record(function, normal(100, 30))
    assert program.nbytes <= 2 * 100 * 30 * 8


def test_products_use_the_memory_of_what_is_done_with():
    def function(x, w):
        for _ in range(10):
            x = x @ w
        return x

    program = record(function, normal(100, 30), normal(30, 30))
    assert program.nbytes == 2 * 100 * 30 * 8


def test_a_small_value_does_not_sit_on_a_large_buffer():
    def function(x, w, u, v):
        small = (x @ w).sum(axis=0, keepdims=True) @ v
        return (x @ u).max() + small

    shapes = [(500, 300), (300, 300), (300, 300), (300, 2)]
    program = record(function, *(normal(*shape) for shape in shapes))
    large = 500 * 300 * 8
    assert large <= program.nbytes < large + 10_000


def test_a_choice_over_a_dying_value_is_one_call():
    def function(x):
        mask, other = x > 0.0, x * 2.0
        return np.where(mask, x, other)

    assert len(record(function, X.copy())) == 3


# What a recorded step cannot contain.


def branches(x):
    return x if x.sum() > 0 else -x


def loops(x):
    return sum(row for row in x)


REFUSED = {
    "if": (branches, "a decision on an array's values"),
    "and": (lambda x: x > 0 and x, "a decision on an array's values"),
    "float": (lambda x: float(x.sum()), "reading an array as a Python number"),
    "int": (lambda x: int(x[0, 0]), "reading an array as a Python number"),
    "math": (lambda x: math.exp(x[0, 0]), "reading an array as a Python number"),
    "range": (lambda x: range(x[0, 0]), "reading an array as a Python number"),
    "for": (loops, "a loop over an array's rows"),
    "asarray": (lambda x: np.asarray(x), "conversion to a NumPy array"),
    "array": (lambda x: np.array([1.0, x]), "."),
    "sort": (lambda x: np.sort(x), "np.sort"),
    "argmax": (lambda x: np.argmax(x), "np.argmax"),
    "concatenate": (lambda x: np.concatenate([x, x]), "np.concatenate"),
    "einsum": (lambda x: np.einsum("ij->i", x), "np.einsum"),
    "out": (lambda x: np.add(x, 1.0, out=np.zeros(3)), "np.add with out"),
    "accumulate": (lambda x: np.add.accumulate(x), "np.add with accumulate"),
    "min by reduce": (lambda x: np.minimum.reduce(x), "np.minimum with"),
    "two results": (lambda x: np.modf(x), "np.modf"),
    "a list as index": (lambda x: x[[0, 1]], "indexing by an array"),
    "an array as index": (lambda x: x[np.array([0, 1])], "indexing by an array"),
    "a mask as index": (lambda x: x[x > 0.0], "indexing by an array"),
    "a mask stored": (lambda x: x.__setitem__(x > 0.0, 0.0), "."),
    "a list as operand": (lambda x: np.add(x, [1.0] * 4), "a list"),
    "text as operand": (lambda x: x * "2", "a str"),
    "None as operand": (lambda x: np.maximum(x, None), "a NoneType"),
    "writing a value": (lambda x: (x * 2.0).__setitem__(..., 0.0), "computed array"),
    "a view of a value": (lambda x: (x * 2.0)[0].__iadd__(1.0)[...].__setitem__(
        ..., 1.0), "computed array"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_recorded_says_so_and_names_the_way_out(case):
    function, reason = REFUSED[case]
    with pytest.raises(TraceError, match=reason) as caught:
        record(function, X.copy())
    message = str(caught.value)
    assert "cannot be part of a recorded step" in message
    assert "eager=True" in message


def test_shapes_that_do_not_fit_are_an_error_while_recording():
    wrong = {
        "add": lambda x: x + np.zeros((5, 4)),
        "matmul": lambda x: x @ x,
        "store": lambda x: x.__setitem__(..., np.zeros((7, 6, 4))),
        "reshape": lambda x: x.reshape(5, 5),
    }
    for name, function in wrong.items():
        with pytest.raises(ValueError, match=r".") as caught:
            record(function, X.copy())
        assert not isinstance(caught.value, TraceError), name


def test_a_traced_array_shows_what_it_is():
    tape = Tape()
    node = tape.leaf(X) + 1.0
    assert repr(node) == "<traced add (6, 4) float32>"
    assert (node.ndim, node.size, len(node)) == (2, 24, 6)


def test_constants_become_leaves_and_are_read_at_each_replay():
    table = np.arange(4.0)
    program = record(lambda x: table + x, X.astype(float))
    program.run("all")
    table += 1.0
    program.run("all")
    assert same(program.outputs["result"], np.arange(1.0, 5.0) + X.astype(float))


def test_a_device_program_reads_device_constants_from_either_side(standin):
    backend = standin_backend()
    table, x = cupy.asarray(np.arange(4.0)), cupy.asarray(X.astype(float))
    program = record(lambda x: (table - x) * (x - table), x, backend=backend)
    program.run("all")
    wanted = (np.arange(4.0) - X.astype(float)) * (X.astype(float) - np.arange(4.0))
    assert same(program.outputs["result"].get(), wanted)
