"""Generated kernels give what the recorded NumPy calls give."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.compiler.hazards import HAZARDS, P, Q
from tests.compiler.programs import draw, draw_training
from tests.compiler.test_replay import LEADS, normal, same
from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.cuda.guards import guarded, on_device
from xpnet.backend import get_backend
from xpnet.compiler import compile_tape
from xpnet.layers import ACTIVATIONS, LOSSES, SoftmaxCrossEntropy
from xpnet.layers.activations import get_activation
from xpnet.optim import SGD, Adam, AdamW
from xpnet.trace import Noise, Tape, batch_sum, feature_sum

pytestmark = [needs_compiler, pytest.mark.slow]
CPU = get_backend("cpu")
SEEDS = 8


@dataclass
class Recorded:
    """One function on the CPU's arrays and, as kernels, on the device's."""

    function: Any
    arrays: tuple[np.ndarray, ...]

    def __post_init__(self):
        self.device = fiber_backend()
        self.leaves = [on_device(self.device, a) for a in self.arrays]
        self.program = self._program(self.device, self.leaves, True)
        self.host = [a.copy() for a in self.arrays]
        self.reference = self._program(CPU, self.host, False)

    def _program(self, backend, leaves, loops):
        tape = Tape()
        tape.segment = "all"
        with np.errstate(all="ignore"):
            found = self.function(*map(tape.leaf, leaves))
        results = found if isinstance(found, tuple) else (found,)
        outputs = {str(i): r for i, r in enumerate(results) if r is not None}
        return compile_tape(tape, backend, outputs, ("all",), loops)

    def run(self):
        """(what the kernels give, what NumPy gives): outputs, then leaves."""
        with np.errstate(all="ignore"):
            self.reference.run("all")
            self.program.run("all")
        found = [a.get() for a in (*self.program.outputs.values(), *self.leaves)]
        return found, [*self.reference.outputs.values(), *self.host]

    @property
    def kernels(self):
        """The kinds of the kernels, "flat", "row", "column" or several, in order."""
        return [
            call[1][0].signature.name.rpartition("_")[0]
            for call in self.program.segments["all"]
            if call[0] == self.device.driver.launch
        ]

    @property
    def others(self):
        """How many calls are none of kernels."""
        return len(self.program) - len(self.kernels)


MAKERS: dict[str, tuple[Any, dict[str, Any]]] = {}


def case(**parameters):
    """Programs that are made before any test: the results of a function."""

    def note(make):
        MAKERS[make.__name__] = make, parameters
        return make

    return note


def keys(name):
    """Combinations of the parameters of the case `name`; of three, each pair."""
    values = [list(row) for row in MAKERS[name][1].values()]
    keys = zip(product(*map(range, map(len, values))), product(*values), strict=True)
    return [key for at, key in keys if len(at) < 3 or sum(at) % 2 == 0]


def each(name):
    """A test of each program of the case `name`."""
    label = "-".join
    ids = [label(getattr(v, "__name__", str(v)) for v in key) for key in keys(name)]
    places = [(name, *key) for key in keys(name)]
    return pytest.mark.parametrize("recorded", places, ids=ids, indirect=True)


@pytest.fixture(autouse=True, scope="module")
def guards():
    with guarded() as found:
        yield found


@pytest.fixture(autouse=True, scope="module")
def every(guards):
    """All programs of this module, compiled by one call of g++ when the first runs."""
    made = {(name, *key): make(*key) for name, (make, _) in MAKERS.items()
            for key in keys(name)}  # fmt: skip
    return {**made, "drawn": draw_all()}


@pytest.fixture
def recorded(every, request):
    return every[request.param]


@pytest.fixture(autouse=True)
def checked(standin, guards):
    yield
    guards.check()


def close(recorded, tolerance):
    for found, wanted in zip(*recorded.run(), strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        size = abs(wanted[np.isfinite(wanted)]).max(initial=1e-3)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=size * tolerance)


TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
FLOATS = ["float32", "float64"]
LEADING = [(), (3,)]


# Memory.


OWN: list[Any] = []


def own(function):
    """A hazard of kernels alone: sums, and passes over lines."""
    OWN.append(function)
    return function


@own
def reduced_row_is_stored_over_what_was_summed(p, q):
    p[...] = p - p.max(axis=-1, keepdims=True)


@own
def column_sums_are_stored_where_others_read(p, q):
    p[:1] = batch_sum(q)
    q[...] = q - p[:1]


@own
def running_mean_is_read_and_stored(p, q):
    mean = batch_sum(q) / 8.0
    p[:1] = 0.75 * p[:1] + 0.25 * mean
    q[...] = q - mean


@own
def two_sums_of_columns_share_a_buffer(p, q):
    p[:1] = batch_sum(q)
    p[1:2] = batch_sum(q * q)
    p[2:3] = batch_sum(q)


@own
def a_value_is_read_back_in_a_later_pass(p, q):
    shifted = q - q.max(axis=-1, keepdims=True)
    p[...] = shifted * 2.0
    return shifted / (1.0 - feature_sum(shifted)), shifted + p


@own
def what_dies_is_read_again_in_a_later_pass(p, q):
    a = p @ q
    x, kept = a + 1.0, a * 2.0
    return (x - x.max(axis=-1, keepdims=True)) * kept, kept


@own
def stored_row_is_read_by_all_rows(p, q):
    row = p[:1]
    scaled = q * row
    p[:1] = row + 1.0
    return scaled + row


@own
def sums_over_other_axes(p, q):
    x = (p * q).reshape(2, 4, 8)
    return x.sum(axis=0), x.sum(axis=(0, 2)), x.sum(), x.max(axis=1), x.sum(axis=-2)


@own
def kept_row_is_used_in_a_later_pass(p, q):
    row = q[:1] * 2.0
    x = q + row
    return (x - x.max(axis=-1, keepdims=True)) * row, row


@own
def stored_column_sums_are_used_by_the_column(p, q):
    p[:1] = 0.75 * p[:1] + batch_sum(q)
    q[...] = q - p[:1]


@own
def stored_mean_is_a_value_of_its_column(p, q):
    row = p[:1]
    mean = row + batch_sum(q)
    row[...] = mean
    q[...] = p[1:2] + mean


@own
def neighbours_with_nothing_in_common(p, q):
    p[...] = p * 2.0
    q[:5] = q[:5] + 1.0


@own
def neighbours_that_share_a_row(p, q):
    p[:5] = p[:5] * 2.0
    q[:7] = q[:7] + p[4]


@own
def masks_and_whole_numbers(p, q):
    mask = (p > q) & (q > 0.0)
    return mask.max(axis=-1), mask.sum(axis=0), ~mask, p.astype("int32").max(axis=0)


@case(function=[*HAZARDS, *OWN])
def hazard(function):
    return Recorded(function, (P, Q))


@each("hazard")
def test_memory_hazards_change_no_number(recorded):
    for _ in range(2):
        assert all(map(same, *recorded.run()))


def test_sums_of_the_same_columns_are_one_kernel(every):
    assert every["hazard", two_sums_of_columns_share_a_buffer].kernels == ["column"]


def test_kernels_that_have_nothing_in_common_are_one(every):
    apart = every["hazard", neighbours_that_share_a_row]
    assert apart.kernels == ["flat", "flat"]
    assert every["hazard", neighbours_with_nothing_in_common].kernels == ["flat"]


@pytest.fixture(scope="module")
def drawn(every):
    """Made when all others are made, so that one call compiles them all."""
    return every["drawn"]


def draw_all():
    found: dict[Any, Any] = {}
    backend = fiber_backend()
    for seed in range(SEEDS):
        lead = LEADS[seed % 3]
        programs = {d: draw(seed, lead, d, (3, 5, 8)[seed % 3], 10)
                    for d in ("float32", "float64")}  # fmt: skip
        programs["training"] = draw_training(seed, lead, (3, 5)[seed % 2], 8)
        for kind, program in programs.items():
            leaves = [on_device(backend, leaf) for leaf in program.leaves]
            compiled = program.compiled(backend, leaves, True)
            found[seed, kind] = program, leaves, compiled
    return found


@pytest.mark.parametrize("kind", ["float32", "float64", "training"])
def test_random_programs_replay_to_the_last_bit(drawn, kind):
    for seed in range(SEEDS):
        program, leaves, compiled = drawn[seed, kind]
        rng = np.random.default_rng(seed)
        segments = list(program.segments)
        for _ in range(2):
            for leaf in leaves:
                leaf.set(np.asarray(rng.normal(size=leaf.shape)).astype(leaf.dtype))
            plain = [leaf.get() for leaf in leaves]
            with np.errstate(all="ignore"):
                wanted = program.on_arrays(plain)
                for segment in segments:
                    compiled.run(segment)
            got = [compiled.outputs[str(i)].get() for i in program.outputs]
            assert all(map(same, got, wanted)), f"seed {seed}"
            assert all(same(a.get(), b) for a, b in zip(leaves, plain, strict=True))
            if kind == "training":  # "update" and "loss" in the other order
                segments = [segments[0], *segments[:0:-1]]


# Operations.


EXACT = {
    "arithmetic": lambda x, y: ((x + y) * x - y / x, -x, +x, abs(x), 1.0 / x, x**-1),
    "comparisons": lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y),
    "logic": lambda x, y: (
        np.logical_and(x > 0, y), np.logical_or(x > 0, y > 0), np.logical_not(x),
        np.isfinite(x), np.isnan(x), np.isinf(x)),
    "larger and smaller": lambda x, y: (
        np.maximum(x, y), np.minimum(x, y), np.fmax(x, y), np.fmin(x, y), np.sign(x),
        np.clip(x, -1.0, 0.5)),
    "roots and squares": lambda x, y: (np.sqrt(x), np.square(y), np.reciprocal(x)),
    "quotients": lambda x, y: (x // y, x % y, x // 0.75, x % 0.75, x % -2.0),
    "rounding": lambda x, y: (np.floor(x), np.ceil(x), np.rint(x), np.trunc(x)),
    "where": lambda x, y: (np.where(x > y, x, y), np.where(x, 1.0, y)),
    "extremes": lambda x, y: (x.max(axis=-1), x.max(axis=-2), x.max()),
    "constants": lambda x, y: (x + np.inf, x * np.nan, x - 1e-30, x * 0.1),
    "conversions": lambda x, y: (x.astype("bool"), x.astype("float64") * 0.1,
                                 x.astype("float32") + 0.1),
}  # fmt: skip
SMOOTH = {
    "exponentials": lambda x, y: (np.exp(x), np.expm1(x), np.exp2(x), 2.0**x),
    "logarithms": lambda x, y: (
        np.log(abs(x)), np.log1p(abs(x)), np.log2(abs(x)), np.log10(abs(x))),
    "angles": lambda x, y: (np.sin(x), np.cos(x), np.tan(x), np.arctan(x),
                            np.arctan2(x, y)),
    "hyperbolic": lambda x, y: (np.sinh(x), np.cosh(x), np.tanh(x), np.arcsinh(x)),
    "powers": lambda x, y: (abs(x) ** 1.7, abs(x) ** y, np.cbrt(x), np.hypot(x, y)),
}  # fmt: skip
WHOLE = {
    "wrapping": lambda i, j: (i * j + i - j, -i, abs(i), i * i),
    "quotients": lambda i, j: (i // j, i % j, i // 7, i % -7, i / (j * j + 1)),
    "bits": lambda i, j: (i ^ j, i & j, i | 3, ~i, i << 3, i >> 2, i >> (j & 63)),
    "order": lambda i, j: (np.maximum(i, j), np.sign(i), i < j, i == j),
    "sums": lambda i, j: (i.sum(axis=0), i.max(axis=1), (i > j).sum(), j.max()),
    "mixed": lambda i, j: (i * 0.5, i.astype("float32") * j, (i > 0) * j),
    "the hash of the noise": lambda i, j: (
        ((i.astype("uint32") >> 16) ^ 0x7FEB352D) * 0x846CA68B),
}  # fmt: skip


def special(dtype):
    x, y = normal(9, 14, dtype=dtype) * 3, normal(9, 14, seed=1, dtype=dtype)
    rows = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5]
    x[0, :7], x[1, ::2], y[2, 7:], y[1, 1::2] = rows, rows, rows, rows
    return x, y


def equal(found, wanted):
    """To the bit, but for the sign and payload of NaN."""
    return same(found, wanted) and np.array_equal(
        np.signbit(found) & (found == 0), np.signbit(wanted) & (wanted == 0)
    )


@case(name=EXACT, dtype=FLOATS)
def exact(name, dtype):
    return Recorded(EXACT[name], special(dtype))


@each("exact")
def test_what_ieee_fixes_is_numpys_to_the_bit(recorded):
    assert not recorded.others
    searched = recorded.function is EXACT["extremes"]  # in which order is left open
    for found, wanted in zip(*recorded.run(), strict=True):
        signed = found.dtype.kind == "f" and not searched
        assert (equal if signed else same)(found, wanted), (found, wanted)


@case(name=SMOOTH, dtype=FLOATS)
def smooth(name, dtype):
    return Recorded(SMOOTH[name], special(dtype))


@each("smooth")
def test_smooth_functions_are_those_of_numpy(recorded):
    assert not recorded.others
    rtol = TOLERANCE[recorded.arrays[0].dtype.name]
    for found, wanted in zip(*recorded.run(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)


@case(name=WHOLE, dtype=["int32", "int64", "uint32"])
def whole(name, dtype):
    rng = np.random.default_rng(0)
    bounds = np.iinfo(dtype).min, np.iinfo(dtype).max
    i, j = (rng.integers(*bounds, size=(5, 9), dtype=dtype) for _ in range(2))
    i[0, :4], j[:2, :2] = [bounds[0], bounds[1], 0, 5], 0
    if dtype == "uint32" and name in ("wrapping", "quotients"):
        i, j = i >> 4, (j >> 4) + 1
        function = {"wrapping": lambda i, j: i * j + i, "quotients": lambda i, j: (
            i // j, i % j, i // 7)}[name]  # fmt: skip
    else:
        function = WHOLE[name]
    return Recorded(function, (i, j))


@each("whole")
def test_whole_numbers_wrap_as_numpys_do(recorded):
    assert not recorded.others
    assert all(map(same, *recorded.run()))


def test_noise_is_that_of_the_cpu_to_the_bit():
    step, key = (
        np.array([[[5]], [[9]]], np.uint32),
        np.array([[[77]], [[2**32 - 1]]], np.uint32),
    )

    def on(backend, leaves):
        tape = Tape()
        tape.segment = "all"
        noise = Noise(*map(tape.leaf, leaves), backend.asarray)
        shape = (2, 33, 7)
        results = (
            noise.bits(shape),
            noise.uniform(shape, "float32", 1),
            noise.normal(shape, "float64"),
        )
        outputs = {str(i): r for i, r in enumerate(results)}
        program = compile_tape(tape, backend, outputs, ("all",), not backend.is_host)
        program.run("all")
        return [backend.to_numpy(a) for a in program.outputs.values()]

    device = fiber_backend()
    found = on(device, [on_device(device, a) for a in (step, key)])
    wanted = on(CPU, [step, key])
    assert same(found[0], wanted[0])
    assert same(found[1], wanted[1])
    np.testing.assert_allclose(found[2], wanted[2], rtol=1e-13, atol=1e-14)


# Shapes: lines of one element, shorter and longer than a warp, a block; many, few.

SIZES = [(1, 1), (1, 7), (7, 1), (5, 33), (129, 40), (3, 300), (2, 1500), (1100, 3),
         (2, 17000), (20, 129)]  # fmt: skip


def lines(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    share = shifted / (1.0 - feature_sum(shifted))
    centered = x - x.mean(axis=-2, keepdims=True)
    scale = 1.0 / np.sqrt((centered * centered).mean(axis=-2, keepdims=True) + 1.0)
    return share, centered * scale, batch_sum(share), x.max(axis=-2), x.sum()


@case(size=SIZES, lead=LEADING)
def sized(size, lead):
    small = size[0] * size[1] < 10_000
    x = normal(*(lead if small else ()), *size, dtype="float32")
    return Recorded(lines, (x,))


@each("sized")
def test_lines_of_any_length_are_summed_and_searched(recorded):
    assert not recorded.others
    close(recorded, 1e-5)


@case(lead=[(2,)])
def strided(lead):
    def function(x, y):
        y[..., 1:, ::2] = x.swapaxes(-1, -2)[..., ::-1, :3] * 2.0
        y[..., 0, :] = x[..., 1, :6] + x[..., :6, 0]
        return feature_sum(x[..., ::-2]), batch_sum(x.swapaxes(-1, -2)[..., 1:])

    x, y = np.rint(normal(*lead, 6, 8) * 4), np.zeros((*lead, 9, 6))
    return Recorded(function, (x, y))


@each("strided")
def test_views_of_any_strides_are_read_and_written_where_they_lie(recorded):
    assert not recorded.others
    assert all(map(same, *recorded.run()))


# The formulas of the library.

OWN_FORMULAS = {
    "own softsign": lambda z: z / (1.0 + abs(z)),
    "own swish": lambda z: np.where(z > 3.0, z, z / (1.0 + np.exp(-1.5 * z))),
    "own power": lambda z: np.arctan(z) * np.log1p(z * z) + 1.5 ** np.clip(z, -2, 2),
}


@case(name=[*ACTIVATIONS, *OWN_FORMULAS], dtype=FLOATS, lead=LEADING)
def activation(name, dtype, lead):
    row = get_activation(OWN_FORMULAS.get(name, name))

    def function(x, bias, grad, db):
        z = x + bias
        a = row.function(z)
        delta = row.delta(grad, z, a)
        db[...] = batch_sum(delta)
        return a, delta

    shapes = [(19, 11), (1, 11), (19, 11), (1, 11)]
    arrays = [normal(*lead, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]
    return Recorded(function, tuple(arrays))


@each("activation")
def test_an_activation_is_that_of_the_recorded_calls(recorded):
    """And where no product stands between, one kernel with δ and Σδ, but for lines."""
    close(recorded, TOLERANCE[recorded.arrays[0].dtype.name] * 4)
    assert not recorded.others
    assert recorded.kernels[-1].endswith("column")
    assert len(recorded.kernels) <= 2


@case(name=[*LOSSES, "smoothed"], dtype=FLOATS, lead=LEADING)
def loss(name, dtype, lead):
    chosen = SoftmaxCrossEntropy(0.1) if name == "smoothed" else LOSSES[name]()

    def function(z, t, w, total):
        shares = w / np.maximum(batch_sum(w), 1e-30)
        total[...] = batch_sum(chosen.rows(z, t) * shares)
        return chosen.gradient(z, t) * shares, chosen.link(z)

    z, t = normal(*lead, 21, 5, dtype=dtype) * 9, normal(*lead, 21, 5, dtype=dtype)
    t = np.exp(t) / np.exp(t).sum(axis=-1, keepdims=True)
    w, total = abs(normal(*lead, 21, 1, dtype=dtype)), np.zeros((*lead, 1, 1), dtype)
    return Recorded(function, (z, t.astype(dtype), w, total))


@each("loss")
def test_a_loss_is_that_of_the_recorded_calls(recorded):
    close(recorded, TOLERANCE[recorded.arrays[0].dtype.name] * 4)
    assert not recorded.others


RULES = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9, l1=1e-3, l2=1e-2),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True, clip_value=0.5),
    "clipped": lambda: SGD(0.1, momentum=0.9, l2=1e-3, clip_norm=0.5),
    "adam": lambda: Adam(1e-2),
    "adam, clipped": lambda: Adam(1e-2, clip_norm=0.5, clip_value=1.0, l1=1e-3),
    "adamw": lambda: AdamW(1e-2),
}


@case(name=RULES, dtype=FLOATS, lead=LEADING)
def update(name, dtype, lead):
    rule = RULES[name]()
    names = list(rule.scalars(0.1, 3))

    def function(params, grads, *others):
        slots, numbers = others[: len(rule.slots)], others[len(rule.slots) :]
        scalars = dict(zip(names, numbers, strict=True))
        rule.step(params, grads, list(slots), scalars, 1600)

    arrays = [normal(*lead, 2501, seed=i, dtype=dtype) for i in range(2)]
    arrays += [abs(normal(*lead, 2501, seed=3, dtype=dtype)) for _ in rule.slots]
    one = (*lead, 1) if lead else ()
    arrays += [np.full(one, v, dtype) for v in rule.scalars(0.1, 3).values()]
    return Recorded(function, tuple(arrays))


@each("update")
def test_an_update_is_that_of_the_recorded_calls(recorded):
    close(recorded, TOLERANCE[recorded.arrays[0].dtype.name])
    assert not recorded.others
