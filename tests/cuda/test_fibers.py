"""The CPU's way to run kernels finds what a GPU would answer with wrong numbers."""

import numpy as np
import pytest

from tests.cuda.fibers import FiberDriver, KernelError, fiber_backend, needs_compiler
from tests.cuda.guards import Guards, guarded, on_device

pytestmark = needs_compiler
HEAD = 'extern "C" __global__ void'
SOURCE = f"""
{HEAD} turn(float* x, int n) {{
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[(threadIdx.x + 1) % n];
}}
{HEAD} some_leave(float* x, int n) {{
    if (threadIdx.x >= n) return;
    __syncthreads();
    x[threadIdx.x] = 1.0f;
}}
{HEAD} lanes_leave(float* x, int n) {{
    if (threadIdx.x >= n) return;
    x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}}
{HEAD} part(float* x, int n) {{
    if (threadIdx.x < n) __syncthreads();
    else x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}}
{HEAD} neighbours(float* x) {{
    x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}}
{HEAD} beyond(float* x, int n) {{ x[n] = 0.0f; }}
{HEAD} where_am_i(int* x) {{
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int inside = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    int at = block * blockDim.x * blockDim.y * blockDim.z + inside;
    x[at] = at;
}}
"""


def launch(name, n, x, grid=(1, 1, 1), block=(64, 1, 1)):
    driver = FiberDriver()
    args = (x,) if n is None else (x, np.int32(n))
    driver.launch(driver.load(SOURCE).function(name), grid, block, args)
    return x.get()


@pytest.fixture
def x(standin):
    with guarded():
        yield on_device(fiber_backend(), np.arange(64, dtype=np.float32))


def test_threads_meet_in_barriers_and_shuffles(x):
    whole = np.arange(64, dtype=np.float32)
    assert np.array_equal(launch("turn", 64, x), np.roll(whole, -1))
    turned = np.roll(whole, -1).reshape(-1, 2)[:, ::-1].reshape(-1)
    assert np.array_equal(launch("neighbours", None, x), turned)


def test_blocks_and_threads_have_three_axes(standin):
    x = on_device(fiber_backend(), np.zeros(2 * 3 * 2 * 4 * 2 * 2, np.int32))
    found = launch("where_am_i", None, x, (2, 3, 2), (4, 2, 2))
    assert np.array_equal(found, np.arange(x.size))


@pytest.mark.parametrize(
    ("name", "n", "problem"),
    [
        ("some_leave", 40, r"some_leave: __syncthreads\(\) after threads have left"),
        ("lanes_leave", 40, "lanes_leave: a shuffle after lanes have left"),
        ("part", 40, "part: deadlock: threads wait for different things"),
    ],
)
def test_threads_that_do_not_meet_are_reported(x, name, n, problem):
    with pytest.raises(KernelError, match=problem):
        launch(name, n, x)


@pytest.mark.parametrize("n", [64, -1])
def test_a_write_beyond_an_array_is_reported(standin, n):
    guards = Guards()
    host = guards.empty(64, np.float32)
    launch("beyond", 5, host, block=(1, 1, 1))
    guards.check()
    launch("beyond", n, host, block=(1, 1, 1))
    with pytest.raises(AssertionError, match="guard words"):
        guards.check()
