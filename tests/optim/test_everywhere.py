"""Each rule of the table gives the same bits however and wherever it is run."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import RULES, in_turns
from tests.standin import standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import c as native
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


def gradients(lead, dtype):
    """Some large, some tiny, some 0 from the start, one after a while."""
    draw = np.random.Generator(np.random.Philox(8))
    g = draw.standard_normal((STEPS, *lead, SIZE)) ** 3
    g[..., :3] = 0.0
    g[..., 3:6] *= 1e-6
    g[4:, ..., 7] = 0.0
    return g.astype(dtype)


def start(lead, dtype):
    draw = np.random.Generator(np.random.Philox(9))
    return draw.standard_normal((*lead, SIZE)).astype(dtype)


class Run:
    """A rule at work on flat arrays of `backend`."""

    def __init__(self, case, dtype, lead=(), backend=None):
        self.rule = RULES[case](1) if isinstance(case, str) else case
        self.backend = backend or get_backend("cpu")
        self.dtype, self.lead = dtype, lead
        zeros = np.zeros((*lead, SIZE), dtype)
        self.p, self.g = self.array(start(lead, dtype)), self.array(zeros)
        self.slots = [self.array(zeros) for _ in self.rule.slots]
        names = self.rule.scalars(1.0, 1)
        shape = (*lead, 1) if lead else ()
        self.scalars = {n: self.array(np.zeros(shape, dtype)) for n in names}

    def array(self, values):
        with self.backend.active():
            return self.backend.asarray(values, np.dtype(self.dtype)).copy()

    def step(self, leaf=lambda array: array):
        scalars = {name: leaf(array) for name, array in self.scalars.items()}
        slots = [leaf(slot) for slot in self.slots]
        self.rule.step(leaf(self.p), leaf(self.g), slots, scalars, PENALIZED)

    def recorded(self, with_loops=False):
        """The step as a program."""
        tape = Tape()
        tape.segment = "update"
        with self.backend.active():
            self.step(tape.leaf)
            program = compile_tape(tape, self.backend, {}, ("update",), with_loops)
        return lambda: program.run("update")

    def follow(self, step=None, steps=STEPS):
        """Parameters and slots after some steps, on the host."""
        for t, g in enumerate(gradients(self.lead, self.dtype)[:steps]):
            numbers = self.rule.scalars(self.rule.schedule(t), t + 1)
            with self.backend.active(), np.errstate(all="raise", under="ignore"):
                self.backend.upload(self.g, g)
                for name, value in numbers.items():
                    full = np.full(self.scalars[name].shape, value, self.dtype)
                    self.backend.upload(self.scalars[name], full)
                (step or self.step)()
        found = [self.backend.to_numpy(a) for a in (self.p, *self.slots)]
        assert all(a.dtype == self.dtype for a in found)
        assert all(np.isfinite(a).all() for a in found)
        return found


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("case", "dtype"), in_turns(CASES, ["float32", "float64"]))
def test_recorded_is_eager_to_the_bit(case, dtype):
    recorded = Run(case, dtype)
    assert_same(recorded.follow(recorded.recorded()), Run(case, dtype).follow())


@pytest.mark.parametrize("case", OPTIMIZERS)
@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_compiled_loops_change_no_bit(case):
    compiled = Run(OPTIMIZERS[case](), "float32")
    found = compiled.follow(compiled.recorded(with_loops=True))
    assert_same(found, Run(OPTIMIZERS[case](), "float32").follow())


@pytest.mark.parametrize(
    ("case", "dtype"), in_turns(ELEMENTWISE, ["float64", "float32"])
)
def test_a_device_gives_the_bits_of_the_cpu(case, dtype, standin):
    """The rules are elementwise, of operations that IEEE 754 rounds."""
    found = []
    for recorded in (False, True):
        run = Run(case, dtype, backend=standin_backend(1))
        found.append(run.follow(run.recorded() if recorded else None))
    wanted = Run(case, dtype).follow()
    assert_same(found[0], wanted)
    assert_same(found[1], wanted)


@pytest.mark.parametrize("case", CASES)
def test_each_stacked_network_moves_as_it_does_alone(case):
    together = Run(case, "float64", (3,))
    found = together.follow(together.recorded())
    for member in range(3):
        alone = Run(case, "float64")
        alone.p[...] = start((3,), "float64")[member]
        for t, g in enumerate(gradients((3,), "float64")):
            numbers = alone.rule.scalars(alone.rule.schedule(t), t + 1)
            alone.g[...] = g[member]
            for name, value in numbers.items():
                alone.scalars[name][...] = value
            alone.step()
        assert_same([a[member] for a in found], [alone.p, *alone.slots])


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_a_parameter_that_never_had_a_gradient_stays_where_it_is(row):
    p, *_ = Run(OPTIMIZERS[row](weight_decay=0.0), "float64").follow()
    assert_same([p[:3]], [start((), "float64")[:3]])
    assert (p[3:] != start((), "float64")[3:]).all()


def test_a_variance_is_not_rounded_below_zero():
    """v - m² of a gradient that stays the same comes to 0, or a rounding below."""
    rule, g = xn.RMSprop(1e-12, rho=0.9, centered=True), np.linspace(0.1, 9.0, 500)
    path = xn.optim.descend(rule, lambda x: g, np.zeros(500), 400)
    assert np.isfinite(path).all()


def problem():
    draw = np.random.Generator(np.random.Philox(10))
    x = draw.standard_normal((24, 4))
    return x, np.tanh(x @ draw.standard_normal((4, 2)))


RATES = {"adadelta": 5.0, "sgd": 0.2, "adagrad": 0.1, "lion": 0.01}


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_every_rule_learns(row):
    x, y = problem()
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
