"""What a recorded step may contain, and what its replay costs."""

import math
import tracemalloc

import numpy as np
import pytest

from tests.compiler.test_replay import CPU, X, normal, record, same
from tests.standin import capture, cupy, standin_backend
from xpnet.compiler import compile_tape
from xpnet.trace import Tape, TraceError, batch_sum


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
