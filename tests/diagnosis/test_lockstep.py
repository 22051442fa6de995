"""Lock-step: a right pair agrees for hundreds of steps, a small fault is named."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import xpnet as xn
from tests.cases import in_turns, rng
from tests.standin import standin_backend
from tests.ways import same
from xpnet.backend import get_backend
from xpnet.compiler import can_compile
from xpnet.diagnosis.execution_modes import ExecutionMode, limited
from xpnet.diagnosis.lockstep import Lockstep, Problem, Run

CPU = get_backend("cpu")
X, Y = xn.datasets.digits()
X = X / 16.0
SINGLE, DOUBLE = ExecutionMode("cpu", CPU), ExecutionMode("cpu,float64", CPU, "float64")
EAGER = ExecutionMode("cpu,eager", CPU, eager=True)
TENSORS = ("1.W", "1.b", "0.W", "0.b")
FAULT = 1.001


def problem(widths=(16,), samples=300, **options):
    return Problem(X[:samples], Y[:samples], widths, 10, **options)


def regression():
    x = X[:200]
    return Problem(x, np.sin(x @ np.ones((64, 2))), (9, 8), 2, "mean_squared_error")


def threads(number):
    return ExecutionMode(f"cpu:{number}", limited(CPU, number))


def from_step(first, change):
    """`change(layer)` after each backward pass from the `first` on, run eagerly."""

    def plant(layer):
        plain, calls = layer.backward, []

        def backward(grad):
            below = plain(grad)
            calls.append(1)
            if len(calls) >= first:
                change(layer)
            return below

        layer.backward = backward

    return plant


def scaled(parameter):
    """∂J/∂parameter is off by 0.1 %."""

    def change(layer):
        gradient = getattr(layer, f"d{parameter}")
        gradient[...] = gradient * FAULT

    return change


# Right pairs.


@pytest.mark.parametrize(("widths", "optimizer", "pair"), [
    ((), "adam", (SINGLE, DOUBLE)), ((16,), "sgd", (DOUBLE, SINGLE)),
    ((24, 24, 24), "adam", (DOUBLE, SINGLE)), ((16,), "sgd", (SINGLE, DOUBLE)),
])  # fmt: skip
def test_single_and_double_precision_agree_for_hundreds_of_steps(
    pair, widths, optimizer
):
    found = Lockstep(problem(widths, optimizer=optimizer), *pair).run(300)
    assert found.agrees
    assert found.steps == 300
    assert not found.equal
    assert 0.0 < found.largest.share < 0.5, "the bound has room to spare"
    assert 0.0 < found.drift < 1e-3


def test_one_thread_and_two_agree_for_hundreds_of_steps():
    wide = problem((160,), 512, batch_size=64)
    found = Lockstep(wide, threads(1), threads(2)).run(100)
    assert found.agrees
    assert found.steps == 100


@pytest.mark.parametrize(
    "way",
    [
        EAGER,
        ExecutionMode("cpu,nojit", CPU, jit=False),
        pytest.param(
            ExecutionMode("cpu,jit", CPU, jit=True),
            marks=pytest.mark.skipif(not can_compile(), reason="no C compiler"),
        ),
    ],
    ids=lambda way: way.label,
)
def test_however_the_cpu_runs_a_step_the_bits_are_the_same(way):
    found = Lockstep(problem(), SINGLE, way).run(150)
    assert found.agrees
    assert found.equal
    assert found.drift == 0.0
    assert found.largest is None


@pytest.mark.parametrize(("make", "eager", "ordinal"), [
    (problem, False, 0), (problem, True, 1), (regression, False, 1),
])  # fmt: skip
def test_the_stand_in_for_a_gpu_agrees_with_numpy(standin, make, eager, ordinal):
    gpu = ExecutionMode("gpu", standin_backend(ordinal), eager=eager)
    for pair in ((SINGLE, gpu), (gpu, SINGLE)):
        found = Lockstep(make(), *pair).run(40)
        assert found.agrees
        assert found.steps == 40
        assert found.drift < 1e-3


@pytest.mark.parametrize("pair", [(SINGLE, DOUBLE), (DOUBLE, SINGLE)])
def test_at_the_optimum_a_gradient_that_is_all_rounding_is_no_difference(pair):
    draw = rng(1)
    x = draw.standard_normal((32, 3))
    exact = Problem(
        x, x @ draw.standard_normal((3, 2)), (), 2, "mean_squared_error", xn.SGD(0.3)
    )
    lockstep = Lockstep(exact, *pair)
    found = lockstep.run(300)
    assert found.agrees
    gradients = lockstep.a.trainer.gradients()
    assert max(float(abs(g).max()) for g in gradients.values()) < 1e-6


def test_both_sides_train_as_fit_does():
    task = problem((16,), 101, batch_size=32)
    lockstep = Lockstep(task, SINGLE, EAGER)
    lockstep.run(8)  # two epochs, each with a short last batch
    fitted = task.trainer(SINGLE)
    fitted.fit(task.x, task.y, 2, 32)
    for run in (lockstep.a, lockstep.b, lockstep.free):
        assert same(run.trainer.parameters(), fitted.parameters())
        assert run.trainer.steps_done == fitted.steps_done == 8


def test_b_goes_on_from_where_a_is():
    lockstep = Lockstep(problem(), DOUBLE, SINGLE)
    lockstep.run(5)
    a, b, free = (r.trainer for r in (lockstep.a, lockstep.b, lockstep.free))
    exact = {k: p.astype(np.float32) for k, p in a.parameters().items()}
    assert same(b.parameters(), exact)
    assert not same(free.parameters(), exact), "free is never corrected"


# Faults.


@pytest.mark.parametrize(("tensor", "step"), in_turns(TENSORS, [1, 60]))
def test_a_gradient_off_by_a_thousandth_is_named_with_its_step(tensor, step):
    lockstep = Lockstep(problem(), SINGLE, EAGER)
    layer, parameter = tensor.split(".")
    plant = from_step(step, scaled(parameter))
    plant(lockstep.b.trainer.model.layers[int(layer)])
    found = lockstep.run(200)
    assert not found.agrees
    assert (found.first.tensor, found.first.step) == (f"gradient {tensor}", step)
    assert found.first.size > found.first.bound > 0.0
    assert found.steps == step - 1
    assert not found.equal


@pytest.mark.parametrize("a", [SINGLE, DOUBLE], ids=["float32", "float64"])
def test_a_fault_of_the_device_is_found(standin, a):
    gpu = ExecutionMode("gpu", standin_backend(), a.dtype, eager=True)
    lockstep = Lockstep(problem((24, 24)), a, gpu)
    from_step(3, scaled("W"))(lockstep.b.trainer.model.layers[1])
    found = lockstep.run(50)
    assert (found.first.tensor, found.first.step) == ("gradient 1.W", 3)


def test_a_recorded_fault_is_found_in_the_first_step():
    lockstep = Lockstep(problem(), SINGLE, SINGLE)
    layer = lockstep.b.trainer.model.layers[0]
    plain = layer.backward
    layer.backward = lambda grad: plain(grad * FAULT)
    found = lockstep.run(50)
    assert (found.first.tensor, found.first.step) == ("gradient 0.W", 1)


def test_of_two_faults_the_one_that_is_computed_first_is_named():
    lockstep = Lockstep(problem(), SINGLE, EAGER)
    for layer in lockstep.b.trainer.model.layers:
        from_step(2, scaled("W"))(layer)
    found = lockstep.run(50)
    assert (found.first.tensor, found.first.step) == ("gradient 1.W", 2)


def test_a_wrong_loss_is_named():
    lockstep = Lockstep(problem(), SINGLE, EAGER)
    loss = lockstep.b.trainer.loss_function
    plain = loss.rows
    loss.rows = lambda z, t: plain(z, t) * FAULT
    found = lockstep.run(5)
    assert (found.first.tensor, found.first.step) == ("loss", 1)


def test_a_wrong_rule_is_named_by_what_it_keeps():
    lockstep = Lockstep(problem(), SINGLE, EAGER)
    lockstep.b.trainer.rule.optimizer = xn.Adam(1e-3, beta2=0.9989)
    found = lockstep.run(5)
    assert (found.first.tensor, found.first.step) == ("optimizer v", 1)


def test_an_update_too_long_by_a_thousandth_is_named():
    lockstep = Lockstep(problem(), SINGLE, SINGLE)
    lockstep.b.trainer.learning_rate *= FAULT
    found = lockstep.run(5)
    assert (found.first.tensor, found.first.step) == ("parameter 0.W", 1)


def test_other_initial_weights_are_found_before_the_first_step():
    lockstep = Lockstep(problem(), SINGLE, SINGLE)
    lockstep.b.trainer.parameters()["1.W"][3, 4] += 1e-3
    found = lockstep.run(5)
    assert (found.first.tensor, found.first.step) == ("parameter 1.W", 0)
    assert found.steps == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_a_difference(value):
    def change(layer):
        layer.dW[0, 0] = value

    lockstep = Lockstep(problem(), SINGLE, EAGER)
    from_step(4, change)(lockstep.b.trainer.model.layers[0])
    found = lockstep.run(10)
    assert (found.first.tensor, found.first.step) == ("gradient 0.W", 4)
    assert found.first.share == float("inf")


@pytest.mark.parametrize("way", [SINGLE, EAGER], ids=["recorded", "eager"])
def test_where_both_diverge_nothing_is_compared(way):
    huge = problem(optimizer=xn.SGD(1e38, momentum=0.9))
    with pytest.raises(ArithmeticError, match=r"step \d+: .* the training diverges"):
        Lockstep(huge, SINGLE, way).run(9)


def test_the_bound_is_the_one_of_the_documentation():
    lockstep = Lockstep(problem((16,), batch_size=20), DOUBLE, EAGER)
    from_step(1, scaled("W"))(lockstep.b.trainer.model.layers[0])
    first = lockstep.run(1).first
    terms = 20 + (64 + 16) + (16 + 10)
    largest = abs(lockstep.a.trainer.gradients()["0.W"]).max()
    epsilon = 2.0**-23  # of float32, the coarser of the two
    assert first.bound == pytest.approx(8 * np.sqrt(terms) * epsilon * largest)


# Threads.


def blas():
    """The threads of NumPy's BLAS; SciPy may have loaded another one since."""
    pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
    own = [p for p in pools if "numpy" in p["filepath"]] or pools
    return own[0]["num_threads"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_way_has_its_threads_while_it_runs(number):
    before = blas()
    way = threads(number)
    assert blas() == before
    assert way.backend.threads == number
    with way.active():
        assert blas() == number
    assert blas() == before
    run = Run(problem(), way)
    seen = []
    run.trainer.training_step = lambda kind: seen.append(blas())
    with pytest.raises(AttributeError):
        run.gradients(np.arange(32))
    assert seen == [number]
    assert blas() == before


def test_threads_that_blas_does_not_give_are_refused():
    with pytest.raises(ValueError, match=r"100000 threads: this NumPy's BLAS runs"):
        limited(CPU, 100_000)
