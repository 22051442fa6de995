"""Launches are checked against the C signature: no wrong bytes get through."""

import numpy as np
import pytest

from tests.cuda.guards import on_device
from tests.standin import standin_backend
from xpnet.compiler.cuda.launch import (
    LaunchError,
    Parameter,
    Strided,
    bind,
    check_grid,
    signatures,
)
from xpnet.compiler.cuda.module import handwritten

SOURCE = """
extern "C" __global__ void scale(
    const float* __restrict__ x, double* out, const unsigned char* u, int n,
    const float factor, long long m, bool last) {}
extern "C" __global__ void none() {}
"""
KNOWN = signatures(SOURCE)
CPU = np.zeros(4, np.float32)


@pytest.fixture
def arrays(standin):
    backend = standin_backend()
    return [on_device(backend, np.zeros((2, 3), d)) for d in ("f4", "f8", "u1")]


def numbers():
    return np.int32(3), np.float32(0.5), np.int64(2), np.bool_(True)


def test_a_signature_is_read_from_the_source():
    assert KNOWN["none"].parameters == ()
    assert KNOWN["scale"].parameters == (
        Parameter("x", np.dtype("f4"), True),
        Parameter("out", np.dtype("f8"), True),
        Parameter("u", np.dtype("u1"), True),
        Parameter("n", np.dtype("i4"), False),
        Parameter("factor", np.dtype("f4"), False),
        Parameter("m", np.dtype("i8"), False),
        Parameter("last", np.dtype("?"), False),
    )


def test_the_kernels_written_by_hand_are_those_that_were_agreed_on():
    found = signatures(handwritten())
    kinds = [f"{a}_{b}" for a in ("u8", "f32", "f64") for b in ("f32", "f64")]
    wanted = {f"gather_{kind}" for kind in kinds} | {"gather_i32"}
    for name in ("load_scalars", "end_step", "dot_parts", "add_parts"):
        wanted |= {f"{name}_f32", f"{name}_f64"}
    assert set(found) == wanted
    assert handwritten().count('extern "C"') == len(wanted) + 1  # a comment says it


def test_an_unknown_type_is_an_error():
    with pytest.raises(ValueError, match=r"k: parameter 'half\* x': expected one of"):
        signatures('extern "C" __global__ void k(half* x) {}')


def test_arguments_that_fit_are_bound_once(arrays):
    bound = bind(KNOWN["scale"], (*arrays, *numbers()), 0)
    assert bound[:3] == tuple(arrays)
    assert bind(KNOWN["scale"], bound, 0) is bound
    with pytest.raises(LaunchError, match="none takes 0 arguments"):
        bind(KNOWN["none"], bound, 0)


def test_a_kernel_that_knows_the_strides_takes_a_view(arrays):
    x, *rest = arrays
    bound = bind(KNOWN["scale"], (Strided(x.T), *rest, *numbers()), 0)
    assert bound[0].strides == x.T.strides


WRONG = {
    "a Python float": (4, 0.5, r"factor: expected np.float32, .* got float 0.5"),
    "a Python int": (3, 3, "n: expected np.int32, a number of exactly that width"),
    "a wider float": (4, np.float64(0.5), "expected np.float32, .* got float64"),
    "a wider int": (3, np.int64(3), "expected np.int32"),
    "a narrower int": (5, np.int32(3), "m: expected np.int64"),
    "an array for a number": (3, np.zeros(1, np.int32), "expected np.int32"),
    "a number for an array": (0, np.float32(1), "expected an array on the device"),
    "a host array": (0, CPU, "x: expected an array on the device, got ndarray"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named(arrays, case):
    place, value, message = WRONG[case]
    args = [*arrays, *numbers()]
    args[place] = value
    with pytest.raises(LaunchError, match=f"scale: .*{message}"):
        bind(KNOWN["scale"], tuple(args), 0)


def test_arrays_of_another_dtype_layout_or_device_are_refused(arrays):
    x, out, u = arrays
    for wrong, message in (
        (out, "expected an array of float32, got float64"),
        (x.T, r"C-contiguous array, got shape \(3, 2\) with strides \(4, 12\)"),
        (x[:, :2], "C-contiguous"),
    ):
        with pytest.raises(LaunchError, match=message):
            bind(KNOWN["scale"], (wrong, out, u, *numbers()), 0)
    with pytest.raises(LaunchError, match="an array on cuda:1, got one on 0"):
        bind(KNOWN["scale"], (x, out, u, *numbers()), 1)
    with pytest.raises(LaunchError, match=r"scale takes 7 arguments .* got 3"):
        bind(KNOWN["scale"], (x, out, u), 0)


@pytest.mark.parametrize(
    ("grid", "block"),
    [
        ((0, 1, 1), (32, 1, 1)),
        ((1, 1, 1), (0, 1, 1)),
        ((1, 1, 1), (1025, 1, 1)),
        ((1, 1, 1), (64, 32, 1)),
        ((1, 65536, 1), (32, 1, 1)),
        ((2**31, 1, 1), (32, 1, 1)),
    ],
)
def test_a_grid_that_no_device_takes_is_refused(grid, block):
    check_grid("scale", (2**31 - 1, 65535, 65535), (32, 32, 1))
    with pytest.raises(LaunchError, match="scale: expected a grid"):
        check_grid("scale", grid, block)
