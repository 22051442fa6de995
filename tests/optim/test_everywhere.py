"""Each rule of the table moves flat arrays alike, however and wherever it is run."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import RULES, in_turns
from tests.standin import standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import compile_tape
from xpnet.optim import OPTIMIZERS, ClipNorm
from xpnet.trace import Tape

# Each rule of the table; numbers and noise of a transform come from `UpdateState`.
CHAINS = {name: RULES[name](1).chain for name in RULES}
CASES = [name for name in RULES if not any(one.has_scalars for one in CHAINS[name])]
ELEMENTWISE = [
    name for name in CASES if not any(isinstance(one, ClipNorm) for one in CHAINS[name])
]
STEPS, SIZE, PENALIZED = 9, 37, 21  # RAdam goes over to dividing by √v at step 6
MEMBERS = 3


def gradients():
    """Some large, some tiny, some 0 from the start, one after a while."""
    draw = np.random.Generator(np.random.Philox(8))
    g = draw.standard_normal((STEPS, MEMBERS, SIZE)) ** 3
    g[..., :3] = 0.0
    g[..., 3:6] *= 1e-6
    g[4:, ..., 7] = 0.0
    return g


START = np.random.Generator(np.random.Philox(9)).standard_normal((MEMBERS, SIZE))


def moved(rule, dtype, member, backend=None, recorded=False):
    """Parameters and slots of one network, or of all as a stack, on the host."""
    backend = backend or get_backend("cpu")
    shape = (MEMBERS, 1) if member == slice(None) else ()

    def array(values):
        return backend.asarray(np.asarray(values, dtype)).copy()

    with backend.active(), np.errstate(all="raise", under="ignore"):
        p, g = array(START[member]), array(0.0 * START[member])
        slots = [array(0.0 * START[member]) for _ in rule.slots]
        scalars = {n: array(np.zeros(shape)) for n in rule.scalars(1.0, 1)}
        tape = Tape()
        tape.segment = "update"
        leaf = tape.leaf if recorded else lambda array: array

        def step():
            numbers = {name: leaf(value) for name, value in scalars.items()}
            rule.step(leaf(p), leaf(g), list(map(leaf, slots)), numbers, PENALIZED)

        run = step
        if recorded:
            step()
            program = compile_tape(tape, backend, {}, ("update",), False)
            run = lambda: program.run("update")  # noqa: E731
        for t, gradient in enumerate(gradients()):
            backend.upload(g, gradient[member].astype(dtype))
            for name, value in rule.scalars(rule.schedule(t), t + 1).items():
                backend.upload(scalars[name], np.full(shape, value, dtype))
            run()
        found = [backend.to_numpy(a) for a in (p, *slots)]
    assert all(a.dtype == dtype for a in found)
    assert all(np.isfinite(a).all() for a in found)
    return found


@pytest.mark.parametrize(("case", "dtype"), in_turns(CASES, ["float32", "float64"]))
def test_networks_of_a_stack_and_of_a_device_move_as_one_alone(case, dtype, standin):
    """To the bit; a norm alone may be summed in another order on a device."""
    rule = RULES[case](1)
    stacked = moved(rule, dtype, slice(None), recorded=True)
    for member in range(MEMBERS):
        alone = moved(rule, dtype, member)
        for together, wanted in zip(stacked, alone, strict=True):
            np.testing.assert_array_equal(together[member], wanted)
    if rule.clip_norm is None:
        found = moved(rule, dtype, member, standin_backend(1), recorded=True)
        for a, wanted in zip(found, alone, strict=True):
            np.testing.assert_array_equal(a, wanted)


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_a_parameter_that_never_had_a_gradient_stays_where_it_is(row):
    p, *_ = moved(OPTIMIZERS[row](weight_decay=0.0), "float64", 0)
    np.testing.assert_array_equal(p[:3], START[0, :3])
    assert (p[3:] != START[0, 3:]).all()


def test_a_variance_is_not_rounded_below_zero():
    """v - m² of a gradient that stays the same comes to 0, or a rounding below."""
    rule, g = xn.RMSprop(1e-12, rho=0.9, centered=True), np.linspace(0.1, 9.0, 500)
    path = xn.optim.descend(rule, lambda x: g, np.zeros(500), 400)
    assert np.isfinite(path).all()


RATES = {"adadelta": 5.0, "sgd": 0.2, "adagrad": 0.1, "lion": 0.01}


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_every_rule_learns(row):
    draw = np.random.Generator(np.random.Philox(10))
    x = draw.standard_normal((24, 4))
    y = np.tanh(x @ draw.standard_normal((4, 2)))
    model = xn.Sequential([xn.Dense(6, "tanh"), xn.Dense(2)])
    rule = OPTIMIZERS[row](RATES.get(row, 0.02))
    trained = xn.Trainer(model, "mean_squared_error", rule, device="cpu")
    before = trained.evaluate(x, y)["loss"]
    trained.fit(x, y, epochs=100, batch_size=8, verbose=False)
    assert trained.evaluate(x, y)["loss"] < 0.1 * before


def test_nadams_product_does_not_depend_on_the_order_of_asking():
    rule, other = xn.Nadam(), xn.Nadam()
    forward = {t: rule.scalars(0.1, t) for t in range(1, 40)}
    for t in [39, 38, 3, 3, 17, 16, 1, 38]:
        assert other.scalars(0.1, t) == forward[t]
