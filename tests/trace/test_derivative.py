"""Derivatives of elementwise formulas, derived from their traces."""

import math

import numpy as np
import pytest

from tests.standin import cupy, standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import compile_tape
from xpnet.trace import Tape, derivative
from xpnet.trace.derivative import COMPARISONS, RULES

EVERYWHERE = np.array([-2.7, -1.3, -0.6, -0.2, 0.15, 0.45, 0.9, 1.4, 2.2])
POSITIVE = np.array([0.1, 0.35, 0.8, 1.1, 1.9, 3.3])
H = 1e-3

SMOOTH = {
    "identity": lambda z: z,
    "add": lambda z: z + z + 2.0,
    "subtract": lambda z: (1.0 - z) - (z - 3.0),
    "multiply": lambda z: z * (z * 2.0) * z,
    "divide": lambda z: (z - 1.0) / (2.0 + z * z) + 3.0 / (z * z + 1.0) - z / 4.0,
    "power of a number": lambda z: z**2 + z**3 + z**1,
    "power by name": lambda z: np.power(z * z + 1.0, 1.5),
    "negative power": lambda z: (z * z + 1.0) ** -1 + (z * z + 2.0) ** -0.5,
    "power of powers": lambda z: (z * z + 1.0) ** (z * 0.5),
    "a number to a power": lambda z: 2.0**z + np.power(3.0, -z),
    "negative": lambda z: -(z * z),
    "absolute": lambda z: abs(z) * z + np.abs(np.sin(z) + 2.0),
    "sign": lambda z: np.sign(z) * z * z,
    "exp": lambda z: np.exp(-z * z),
    "expm1": lambda z: np.expm1(0.5 * z),
    "log": lambda z: np.log(1.0 + z * z),
    "log1p": lambda z: np.log1p(z * z * z * z),
    "sqrt": lambda z: np.sqrt(z * z + 0.5),
    "square": lambda z: np.square(z - 0.5),
    "reciprocal": lambda z: np.reciprocal(1.0 + z * z),
    "tanh": lambda z: np.tanh(1.5 * z),
    "sinh and cosh": lambda z: np.sinh(z) * np.cosh(0.5 * z),
    "sin and cos": lambda z: np.sin(z) * np.cos(2.0 * z),
    "arctan": lambda z: np.arctan(z * 3.0),
    "maximum": lambda z: np.maximum(z * z, 0.5 * z + 0.02),
    "minimum": lambda z: np.minimum(z * z * z, z),
    "maximum of itself": lambda z: np.maximum(z, z) + np.minimum(z, z),
    "a kink with a number": lambda z: np.maximum(0.0, z) + np.minimum(1.0, z * 2.0),
    "nested kinks": lambda z: np.maximum(np.minimum(abs(z), 1.0), 0.3 * z),
    "kinks that add up": lambda z: np.maximum(z, 0.0) + np.maximum(z, 0.1) + z,
    "where": lambda z: np.where(z > 0.0, z * z, np.sin(z)),
    "where with a number": lambda z: np.where(z >= 0.3, z**3, 2.0),
    "where with the other number": lambda z: np.where(z < 0.3, 2.0, z),
    "where of where": lambda z: np.where(z > 0.0, np.where(z < 1.0, z, z * z), -z),
    "where between its arguments": lambda z: np.where(z * z > z, z * z, z),
    "where not equal": lambda z: np.where(z != 0.0, np.sin(z) / z, 1.0),
    "a condition that is a dual": lambda z: np.where(np.sign(z), z * z, z),
    "clip": lambda z: np.clip(z, -1.0, 1.0) * z,
    "clip by name": lambda z: np.clip(z * z, a_min=0.3, a_max=1.5),
    "a mask as a factor": lambda z: (z > 0.0) * z * z,
    "a comparison of both": lambda z: ((z > 0.3) & (z < 2.0)) * z,
    "a converted comparison": lambda z: (z <= 0.3).astype(z.dtype) * np.exp(z),
    "a converted value": lambda z: (z * z).astype("float64") + z.astype("float64"),
    "softplus": lambda z: np.maximum(z, 0.0) + np.log1p(np.exp(-abs(z))),
    "gelu": lambda z: 0.5 * z * (1.0 + np.tanh(0.8 * (z + 0.045 * z**3))),
    "silu": lambda z: z / (1.0 + np.exp(-z)),
    "nothing but a sign": lambda z: -z,
    "a plus": lambda z: +z,
}
ONLY_POSITIVE = {
    "log": lambda z: np.log(z) * z,
    "sqrt": lambda z: np.sqrt(z) + z**0.5,
    "power of itself": lambda z: z**z,
    "reciprocal": lambda z: np.reciprocal(z) + z**-1,
}
CONSTANT = {
    "a number": lambda z: 2.0,
    "a number of z's kind": lambda z: z * 0.0 + 3.0,
    "its sign": lambda z: np.sign(z),
    "a comparison": lambda z: np.where(z > 0.3, 1.0, 0.0),
    "a mask": lambda z: z > 0.3,
    "difference": lambda z: z - z,
    "both sides": lambda z: np.where(z > 0.3, z - z, 0.0),
    "a power of nothing": lambda z: z**0,
}
CASES = [(name, f, EVERYWHERE) for name, f in (SMOOTH | CONSTANT).items()]
CASES += [(f"{name}, z > 0", f, POSITIVE) for name, f in ONLY_POSITIVE.items()]


def difference(function, z):
    """[8 (f(z + h) - f(z - h)) - (f(z + 2h) - f(z - 2h))] / 12h."""

    def f(h):
        return np.broadcast_to(np.asarray(function(z + h), float), z.shape)

    return (8.0 * (f(H) - f(-H)) - (f(2 * H) - f(-2 * H))) / (12.0 * H)


@pytest.mark.parametrize(("name", "function", "z"), CASES, ids=[c[0] for c in CASES])
def test_the_derivative_is_the_limit_of_the_difference(name, function, z):
    slope = derivative(function)(z)
    assert slope.shape == z.shape
    np.testing.assert_allclose(slope, difference(function, z), rtol=1e-7, atol=1e-9)
    single = derivative(function)(z.astype("float32"))
    assert single.dtype == np.float32
    wanted = derivative(function)(z.astype("float32").astype(float))
    np.testing.assert_allclose(single, wanted, rtol=2e-5, atol=2e-5)


def operations(function, z):
    tape = Tape()
    function(tape.leaf(z))
    return {node.op for node in tape.nodes}


def test_the_formulas_above_use_every_rule():
    used = set()
    tables = (SMOOTH | CONSTANT, EVERYWHERE), (ONLY_POSITIVE, POSITIVE)
    for table, z in tables:
        for name, function in table.items():
            if name not in ("a converted value",):
                used |= operations(function, z)
    assert set(RULES) - used == set()
    assert {np.greater, np.less, np.greater_equal, np.less_equal} <= COMPARISONS & used


@pytest.mark.parametrize("op", sorted(RULES, key=lambda op: op.__name__))
def test_each_rule_holds_for_each_argument(op):
    """Also where the other argument is a plain array rather than a number."""
    other = np.linspace(0.31, 2.9, len(POSITIVE))
    for i in range(op.nin):

        def function(z, i=i):
            return op(*(z if j == i else other for j in range(op.nin)))

        slope = derivative(function)(POSITIVE)
        wanted = difference(function, POSITIVE)
        np.testing.assert_allclose(slope, wanted, rtol=1e-7, atol=1e-9)


KINKS = {
    "relu": (lambda z: np.maximum(z, 0.0), [0.0, 1.0]),
    "relu turned round": (lambda z: np.maximum(0.0, z), [0.0, 1.0]),
    "cap": (lambda z: np.minimum(z, 0.0), [0.0, 1.0]),
    "absolute": (lambda z: abs(z), [0.0]),
    "two kinks at one place": (
        lambda z: np.maximum(z, 0.0) + np.maximum(z, 0.0), [0.0, 2.0]
    ),
    "clip": (lambda z: np.clip(z, 0.0, 1.0), [0.0, 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("case", KINKS)
def test_at_a_kink_it_is_one_of_the_one_sided_derivatives(case):
    function, sides = KINKS[case]
    for dtype in ("float32", "float64"):
        (slope,) = derivative(function)(np.zeros(1, dtype))
        assert slope in sides


@pytest.mark.parametrize(("power", "wanted"), [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_a_power_has_its_derivative_at_zero_too(power, wanted):
    (slope,) = derivative(lambda z: z**power)(np.zeros(1))
    assert slope == wanted


def test_true_and_true_add_up_to_two():
    slope = derivative(lambda z: np.maximum(z, 0.0) + np.maximum(z, -1.0))(EVERYWHERE)
    assert slope.tolist() == ((EVERYWHERE > 0) * 1.0 + (EVERYWHERE > -1)).tolist()


@pytest.mark.parametrize("name", SMOOTH)
def test_recorded_and_on_a_device_it_is_the_eager_one(standin, name):
    function = derivative(SMOOTH[name])
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-14)):
        z = EVERYWHERE.astype(dtype)
        tape = Tape()
        tape.segment = "slope"
        result = function(tape.leaf(z))
        program = compile_tape(tape, get_backend("cpu"), {"slope": result}, ("slope",))
        program.run("slope")
        found = program.outputs["slope"]
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, function(z), rtol=tolerance)
    there = standin_backend().asarray(EVERYWHERE)
    with standin.counting() as counts:
        slope = function(there)
    assert type(slope) is cupy.ndarray
    assert counts.synchronisations == counts.uploads == 0
    np.testing.assert_allclose(slope.get(), function(EVERYWHERE), rtol=1e-14)


def test_a_derivative_shares_what_the_function_has_computed():
    def function(z):
        return np.tanh(z)

    tape = Tape()
    z = tape.leaf(EVERYWHERE)
    function(z)
    derivative(function)(z)
    assert [n.op for n in tape.nodes].count(np.tanh) == 1


def test_derivatives_of_any_shape():
    z = EVERYWHERE.reshape(3, 1, 3)
    function = derivative(SMOOTH["gelu"])
    assert np.array_equal(function(z), function(EVERYWHERE).reshape(3, 1, 3))


WRONG = {
    "a reduction": (lambda z: z * np.sum(z), "elementwise; np.sum"),
    "a reduction by a ufunc": (lambda z: np.add.reduce(z), "elementwise"),
    "a product of matrices": (lambda z: z @ z, "no derivative is known for np.matmul"),
    "a sort": (lambda z: np.sort(z), "elementwise; np.sort"),
    "where with one argument": (lambda z: np.where(z), "elementwise; np.where"),
    "no rule": (lambda z: np.floor(z), "no derivative is known for np.floor"),
    "no rule either": (lambda z: np.arcsin(z), "no derivative is known for np.arcsin"),
    "math": (lambda z: math.exp(z), "not math.exp"),
    "float": (lambda z: float(z), "not math.exp"),
    "a branch": (lambda z: z if z > 0.0 else -z, "."),
    "a branch on the value": (lambda z: z if z else -z, "use np.where"),
    "into an output": (lambda z: np.exp(z, out=np.zeros(9)), "elementwise"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_formula_is_refused(case):
    function, reason = WRONG[case]
    with pytest.raises((TypeError, ValueError), match=reason):
        derivative(function)(EVERYWHERE)


def test_an_unknown_function_names_the_known_ones_and_a_way_out():
    with pytest.raises(TypeError) as caught:
        derivative(lambda z: np.floor(z))(EVERYWHERE)
    message = str(caught.value)
    assert all(op.__name__ in message for op in RULES)
    assert "where, clip" in message
    assert "Activation(function, derivative)" in message
