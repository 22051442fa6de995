"""Numbers that differ among the networks of a stack, met by a traced equation."""

import math

import numpy as np
import pytest

from tests.cases import in_turns
from tests.standin import standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import compile_tape
from xpnet.trace import PerNetwork, Tape

VALUES = (0.0, 0.25, 3.0)
EQUATIONS = {
    "number first": lambda h, x: h * x + (1.0 - h) * (x * x),
    "array first": lambda h, x: x / (h + 2.0) - x * h,
    "both sides": lambda h, x: np.maximum(np.minimum(x, h), -h),
    "power": lambda h, x: abs(x) ** (h + 1.0),
    "clip": lambda h, x: np.clip(x, -h, h),
    "where": lambda h, x: np.where(x > h, x, h) + np.where(x > 0.0, h, 2.0),
    "comparison": lambda h, x: (x >= h) * x,
    "if any": lambda h, x: x + h if h else x,
}


def column(values, backend, axes=2):
    return PerNetwork.of(values, axes, backend.asarray)


def run(equation, h, x, backend):
    """`equation(h, x)`, recorded and replayed once."""
    tape = Tape()
    with backend.active():
        out = backend.zeros(x.shape, x.dtype)
        leaf = tape.leaf(backend.asarray(x))
        tape.leaf(out)[...] = equation(h, leaf)
        compile_tape(tape, backend, {}, ("",)).run("")
        return backend.to_numpy(out)


@pytest.mark.parametrize(("name", "device", "dtype"), in_turns(
    [name for name in EQUATIONS for _ in "ab"], ["cpu", "cuda"],
    ["float32", "float64", "float64", "float32"],
))  # fmt: skip
def test_each_member_has_the_numbers_of_its_own(standin, name, device, dtype):
    backend = get_backend("cpu") if device == "cpu" else standin_backend(1)
    x = np.random.default_rng(3).normal(size=(3, 7)).astype(dtype)
    found = run(EQUATIONS[name], column(VALUES, backend), x, backend)
    assert found.dtype == dtype
    for i, value in enumerate(VALUES):
        alone = run(EQUATIONS[name], value, x[i : i + 1], backend)
        assert np.array_equal(found[i], alone[0])


def test_numbers_among_themselves_are_computed_in_float64_on_the_host():
    cpu = get_backend("cpu")
    h = 1.0 - column((0.9, 0.999), cpu)
    assert h.values.reshape(-1).tolist() == [1.0 - 0.9, 1.0 - 0.999]
    assert h.array(np.dtype("float32")).dtype == np.float32
    assert h.array(np.dtype("int32")).dtype == np.float64


def test_the_floor_of_numbers_is_compared_with_whole_ones():
    cpu = get_backend("cpu")
    whole = math.floor(column((0.0, 0.3, 1.0 - 2**-30), cpu) * 2**32)
    assert whole.array(np.dtype("uint32")).dtype == np.uint32
    wanted = [math.floor(r * 2**32) for r in (0.0, 0.3, 1.0 - 2**-30)]
    assert whole.array(np.dtype("uint32")).reshape(-1).tolist() == wanted


def test_a_number_is_true_where_any_member_s_is():
    cpu = get_backend("cpu")
    assert column((0.0, 0.1), cpu)
    assert not column((0.0, 0.0), cpu)
    assert column((0.5, 0.1), cpu) > 0.0


def test_what_would_differ_from_member_to_member_is_refused():
    numbers = column((0.0, 0.1), get_backend("cpu"))
    with pytest.raises(TypeError, match="differs among the members"):
        bool(numbers == 0.0)
    for read in (float, int, math.sqrt):
        with pytest.raises(TypeError, match="cannot be read as one"):
            read(numbers)


def test_its_axes_are_those_of_what_it_meets():
    cpu = get_backend("cpu")
    assert column(VALUES, cpu, 3).array(np.dtype("float32")).shape == (3, 1, 1)
    assert repr(column(VALUES, cpu)) == "PerNetwork([0.0, 0.25, 3.0])"
