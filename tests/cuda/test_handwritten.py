"""Each kernel of kernels.cu against float64, at odd sizes, between guard words."""

import numpy as np
import pytest

from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.cuda.guards import guarded, on_device
from xpnet.compiler.cuda.module import handwritten

pytestmark = needs_compiler
KINDS = {"u8": "u1", "f32": "f4", "f64": "f8", "i32": "i4"}


@pytest.fixture
def device(standin):
    """Launches a kernel on host arrays; gives what they hold then."""
    backend = fiber_backend()
    module = backend.driver.load(handwritten())

    def launch(name, grid, block, *values):
        args = [
            on_device(backend, v) if isinstance(v, np.ndarray) else v for v in values
        ]
        function = module.function(name)
        backend.driver.launch(function, grid, (block, 1, 1), tuple(args))
        return [a.get() if hasattr(a, "get") else a for a in args]

    with guarded():
        yield launch


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("kind", ["u8_f32", "f32_f32", "f64_f32", "u8_f64", "f32_f64",
                                  "f64_f64", "i32"])  # fmt: skip
@pytest.mark.parametrize(
    ("samples", "width", "batch"), [(7, 3, 5), (5, 33, 8), (1, 1, 1)]
)
def test_a_batch_is_gathered_in_order(device, kind, samples, width, batch):
    source, _, result = kind.partition("_")
    rows = (rng().normal(size=(samples, width)) * 60 + 100).astype(KINDS[source])
    order = rng().permutation(samples)
    out = np.zeros((batch, width), KINDS[result or source])
    for step in (0, 1, 4, 2**31 - 1):
        grid = (-(-out.size // 32), 1, 1)
        args = (rows, order, np.array([step], np.int32), out)
        sizes = map(np.int32, (samples, width, batch))
        found = device(f"gather_{kind}", grid, 32, *args, *sizes)[3]
        wanted = rows[order[(step * batch + np.arange(batch)) % samples]]
        assert np.array_equal(found, wanted.astype(out.dtype))


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("step", [0, 2, 3, 900])
def test_a_step_has_its_numbers_and_leaves_its_loss(device, kind, step):
    table = rng().normal(size=(4, 35)).astype(KINDS[kind])
    at = np.array([step], np.int32)
    scalars = np.zeros(35, table.dtype)
    found = device(f"load_scalars_{kind}", (2, 1, 1), 32, table, at, scalars,
                   np.int32(35), np.int32(4))  # fmt: skip
    assert np.array_equal(found[2], table[min(step, 3)])
    loss, losses = table[0, :1], table[1, :4]
    arrays = (loss, losses, table, scalars, at)
    found = device(
        f"end_step_{kind}", (1, 1, 1), 32, *arrays, np.int32(35), np.int32(4)
    )
    wanted = losses.copy()
    wanted[step % 4] = loss[0]
    assert np.array_equal(found[1], wanted)
    assert np.array_equal(found[3], table[min(step + 1, 3)])
    assert found[4] == step + 1


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize(
    ("lines", "n", "parts"), [(1, 1, 1), (2, 1023, 1), (3, 5000, 5)]
)
def test_a_scalar_product_is_summed_in_two_stages(device, kind, lines, n, parts):
    dtype = np.dtype(KINDS[kind])
    x, y = (rng().normal(size=(lines, n)).astype(dtype) for _ in range(2))
    y += 1
    scratch = np.zeros((lines, parts), dtype)
    found = device(f"dot_parts_{kind}", (parts, lines, 1), 256, x, y, scratch,
                   np.int64(n))[2]  # fmt: skip
    sums = np.zeros(lines, dtype)
    total = device(f"add_parts_{kind}", (lines, 1, 1), 256, found, sums,
                   np.int32(parts))[1]  # fmt: skip
    wide = x.astype(float) * y
    bound = np.finfo(dtype).eps * np.sqrt(n) * abs(wide).max(axis=-1) * 8
    assert np.all(abs(total - wide.sum(axis=-1)) <= bound)
