"""A product of any view comes to arguments that mean the same to cuBLAS."""

import ctypes

import numpy as np
import pytest

from tests.cuda import emulated_gemm
from xpnet.compiler.cuda.gemm import Gemm, ProductError

ROOM = 7  # elements of every buffer that no product may touch


class OnDevice:
    """A view of memory, as far as a product looks at it."""

    def __init__(self, host):
        self.host = host
        self.shape, self.strides = host.shape, host.strides
        self.ndim, self.size, self.dtype = host.ndim, host.size, host.dtype
        self.__cuda_array_interface__ = host.__array_interface__


def spread(values, layout):
    """`values` in a buffer of NaN, lying there as `layout` says."""
    *lead, m, n = values.shape
    lies = {
        "rows": ((m, n), (..., slice(None), slice(None)), False),
        "column slice": ((m, n + 3), (..., slice(None), slice(2, 2 + n)), False),
        "row slice": ((m + 2, n), (..., slice(1, 1 + m), slice(None)), False),
        "every second row": (
            (2 * m, n),
            (..., slice(None, None, 2), slice(None)),
            False,
        ),
        "transposed": ((n, m), (..., slice(None), slice(None)), True),
        "transposed slice": ((n, m + 2), (..., slice(None), slice(1, 1 + m)), True),
    }
    shape, part, turned = lies[layout]
    whole = np.full((*lead, *shape), np.nan, values.dtype)
    view = whole[part].swapaxes(-1, -2) if turned else whole[part]
    view[...] = values
    return whole, view


LAYOUTS = [
    "rows",
    "column slice",
    "row slice",
    "every second row",
    "transposed",
    "transposed slice",
]
SHAPES = [(4, 3, 5), (1, 3, 5), (4, 3, 1), (4, 1, 5), (1, 1, 1), (1, 6, 1), (17, 9, 2)]
# Bounds of the sums' own rounding: k terms of order 1, from NumPy's order to another.
BOUNDS = {np.float32: 1e-5, np.float64: 1e-13}


def check(a, b, out, dtype, whole=None, **options):
    before = None if whole is None else whole.copy()
    wanted = options.get("alpha", 1.0) * (a.astype(np.float64) @ b.astype(np.float64))
    if options.get("beta"):
        wanted = wanted + options["beta"] * out.astype(np.float64)
    gemm = Gemm(OnDevice(a), OnDevice(b), OnDevice(out), **options)
    emulated_gemm.run(gemm)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=BOUNDS[dtype])
    if whole is not None:
        # Nothing beside the view was written.
        touched = np.zeros(whole.nbytes, bool).reshape(*whole.shape, -1)
        start = out.__array_interface__["data"][0] - whole.ctypes.data
        mark = np.lib.stride_tricks.as_strided(
            touched.reshape(-1)[start:], out.shape, out.strides
        )
        mark[...] = True
        kept = ~touched.any(axis=-1)
        np.testing.assert_array_equal(whole[kept], before[kept])
    return gemm


@pytest.mark.parametrize("layout_a", LAYOUTS)
@pytest.mark.parametrize("layout_b", LAYOUTS)
def test_every_pair_of_layouts_and_every_shape(layout_a, layout_b):
    places = LAYOUTS.index(layout_a) + LAYOUTS.index(layout_b)
    dtype = list(BOUNDS)[places % 2]
    rng = np.random.default_rng(0)
    for m, k, n in SHAPES:
        for layout_out in LAYOUTS:
            _, a = spread(rng.uniform(-1, 1, (m, k)).astype(dtype), layout_a)
            _, b = spread(rng.uniform(-1, 1, (k, n)).astype(dtype), layout_b)
            whole, out = spread(np.full((m, n), np.nan, dtype), layout_out)
            gemm = check(a, b, out, dtype, whole)
            assert [call.function for call in gemm.calls] == ["cublasGemmEx"]


# (lead of a, lead of b, number of calls where every array is contiguous)
LEADS = [
    ((3,), (3,), 1),
    ((3,), (), 1),
    ((), (3,), 1),
    ((1,), (3,), 1),
    ((2, 3), (2, 3), 1),
    ((2, 3), (), 1),
    ((2, 3), (3,), 2),
    ((2, 1), (1, 3), 2),
    ((2, 3), (2, 1), 2),
    ((1,), (1,), 1),
    ((2, 1, 3), (1, 4, 3), 6),
]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(("lead_a", "lead_b", "calls"), LEADS)
def test_stacks_become_strided_batches(lead_a, lead_b, calls, dtype):
    rng = np.random.default_rng(1)
    lead = np.broadcast_shapes(lead_a, lead_b)
    for layout_a, layout_b, layout_out in [
        ("rows", "rows", "rows"),
        ("transposed", "column slice", "rows"),
        ("row slice", "transposed slice", "column slice"),
        ("column slice", "rows", "transposed"),
    ]:
        _, a = spread(rng.uniform(-1, 1, (*lead_a, 4, 3)).astype(dtype), layout_a)
        _, b = spread(rng.uniform(-1, 1, (*lead_b, 3, 2)).astype(dtype), layout_b)
        whole, out = spread(np.full((*lead, 4, 2), np.nan, dtype), layout_out)
        gemm = check(a, b, out, dtype, whole)
        assert len(gemm.calls) == calls


def test_networks_in_one_flat_buffer_are_one_batch():
    """W of k stacked networks: views of (k, parameters), far apart."""
    flat = np.random.default_rng(2).normal(size=(5, 40))
    W = flat[:, 8:20].reshape(5, 4, 3)
    assert not W.flags.c_contiguous
    x = np.random.default_rng(3).normal(size=(5, 6, 4))
    gemm = check(x, W, np.empty((5, 6, 3)), np.float64)
    assert len(gemm.calls) == 1
    check(x[0], W, np.empty((5, 6, 3)), np.float64)
    check(np.ones((5, 6, 3)), W.swapaxes(-1, -2), np.empty((5, 6, 4)), np.float64)


def test_axes_in_another_order_or_direction_take_more_calls():
    rng = np.random.default_rng(4)
    a = rng.normal(size=(2, 3, 4, 5)).swapaxes(0, 1)
    b = rng.normal(size=(3, 2, 5, 2))
    assert len(check(a, b, np.empty((3, 2, 4, 2)), np.float64).calls) == 2
    assert len(check(a[::-1], b, np.empty((3, 2, 4, 2)), np.float64).calls) == 3


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.0), (-0.5, 1.0), (1.0, 0.25)])
@pytest.mark.parametrize("dtype", BOUNDS)
def test_alpha_and_beta(alpha, beta, dtype):
    rng = np.random.default_rng(5)
    a, b, out = (rng.uniform(-1, 1, s).astype(dtype) for s in ((4, 3), (3, 2), (4, 2)))
    check(a, b, out, dtype, alpha=alpha, beta=beta)
    a, b, out = (
        rng.uniform(-1, 1, (3, *s)).astype(dtype) for s in ((4, 3), (3, 2), (4, 2))
    )
    check(a, b, out, dtype, alpha=alpha, beta=beta)


@pytest.mark.parametrize(
    ("m", "n", "lead"), [(0, 3, ()), (3, 0, ()), (0, 0, ()), (2, 3, (0,))]
)
def test_nothing_to_compute_is_no_call(m, n, lead):
    a, b, out = np.ones((*lead, m, 2)), np.ones((*lead, 2, n)), np.ones((*lead, m, n))
    assert Gemm(OnDevice(a), OnDevice(b), OnDevice(out)).calls == ()


def test_each_precision_is_its_compute_type():
    a = np.random.default_rng(6).normal(size=(8, 8)).astype(np.float32)
    found = {}
    for precision in ("float32", "tf32", "bfloat16"):
        out = np.empty_like(a)
        gemm = Gemm(OnDevice(a), OnDevice(a), OnDevice(out), precision=precision)
        assert gemm.calls[0].arguments[-2] == gemm.compute
        emulated_gemm.run(gemm)
        found[precision] = abs(out - a.astype(np.float64) @ a).max()
    assert found["float32"] < 1e-5 < found["tf32"] < 0.01 < found["bfloat16"] < 0.2
    double = a.astype(np.float64)
    gemm = Gemm(OnDevice(double), OnDevice(double), OnDevice(double), precision="tf32")
    assert gemm.compute == 70  # float64 stays what it is


@pytest.mark.parametrize("wide", [True, False])
def test_bfloat16_operands_are_summed_in_float32(wide):
    rng = np.random.default_rng(7)
    a, b = (
        emulated_gemm.bfloat16_bits(rng.normal(size=shape))
        for shape in ((6, 300), (300, 4))
    )
    out = np.empty((6, 4), np.float32 if wide else np.uint16)
    gemm = Gemm(OnDevice(a), OnDevice(b), OnDevice(out))
    assert gemm.compute == 68
    emulated_gemm.run(gemm)
    values = [emulated_gemm.bfloat16_values(x).astype(np.float64) for x in (a, b)]
    found = out if wide else emulated_gemm.bfloat16_values(out)
    wanted = values[0] @ values[1]
    np.testing.assert_allclose(found, wanted, atol=1e-4 if wide else 0.3)


def views():
    x = np.zeros((6, 6), np.float32)
    return {
        "no unit stride": (x[::2, ::2], x[:3], np.empty((3, 6), np.float32)),
        "overlapping rows": (
            np.lib.stride_tricks.as_strided(x, (3, 6), (4, 4)),
            x,
            np.empty((3, 6), np.float32),
        ),
        "a row for all": (np.broadcast_to(x[:1], (3, 6)), x, np.empty((3, 6), "f4")),
        "reversed": (x[:, ::-1], x, np.empty((6, 6), np.float32)),
        "out without unit stride": (x[:3], x[:, :3], x[::2, ::2]),
        "dtypes": (x, x.astype(np.float64), np.empty((6, 6))),
        "out of another dtype": (x, x, np.empty((6, 6))),
        "whole numbers": (x.astype(np.int32), x.astype(np.int32), x.astype(np.int32)),
        "shapes": (x, x[:5], np.empty((6, 6), np.float32)),
        "vectors": (x[0], x, np.empty(6, np.float32)),
        "no terms": (x[:, :0], x[:0], np.empty((6, 6), np.float32)),
        "halves of elements": (
            np.zeros((3, 13), np.uint16).view(np.uint8)[:, :24].view(np.float32),
            x,
            np.empty((3, 6), np.float32),
        ),
    }


@pytest.mark.parametrize("name", views())
def test_what_cannot_be_mapped_is_refused_by_name(name):
    with pytest.raises(ProductError, match=r"^(a|b|out|expected|a sum|\()"):
        Gemm(*map(OnDevice, views()[name]))


def test_an_output_whose_networks_share_memory_is_refused():
    out = np.broadcast_to(np.empty((4, 2)), (3, 4, 2))
    with pytest.raises(ProductError, match="overlap"):
        Gemm(OnDevice(np.ones((3, 4, 5))), OnDevice(np.ones((5, 2))), OnDevice(out))


def test_the_emulator_reads_through_addresses_alone():
    """It must see what a wrong leading dimension would read."""
    a, b, out = np.ones((4, 3)), np.ones((3, 2)), np.empty((4, 2))
    (call,) = Gemm(OnDevice(a), OnDevice(b), OnDevice(out)).calls
    address = ctypes.cast(call.arguments[6], ctypes.POINTER(ctypes.c_double))
    assert address[0] == 1.0  # the first operand is b
    b[...] = 5.0
    emulated_gemm.call(*call)
    assert (out == 15.0).all()
