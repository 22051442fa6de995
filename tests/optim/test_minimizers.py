"""Minimisers of plain functions: L-BFGS against theory and SciPy, the searches."""

import math

import numpy as np
import pytest

import xpnet as xn
from xpnet.optim import MINIMIZERS, OPTIMIZERS, descend, get_minimizer, get_optimizer
from xpnet.optim.line_search import LineSearch, TrialStep


def rosenbrock(x):
    return float((100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    g[:-1] = -400.0 * x[:-1] * inner - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * inner
    return g


def beale(p):
    x, y = p
    return sum((a - x + x * y**k) ** 2 for k, a in ((1, 1.5), (2, 2.25), (3, 2.625)))


def beale_gradient(p):
    x, y = p
    g = np.zeros(2)
    for k, a in ((1, 1.5), (2, 2.25), (3, 2.625)):
        r = a - x + x * y**k
        g += 2.0 * r * np.array([y**k - 1.0, x * k * y ** (k - 1)])
    return g


def least_squares(n=12, samples=60):
    draw = np.random.Generator(np.random.Philox(4))
    a, b = draw.standard_normal((samples, n)), draw.standard_normal(samples)
    a *= np.logspace(0, -1, n)

    def f(w):
        r = a @ w - b
        return 0.5 * float(r @ r) / samples

    return f, lambda w: a.T @ (a @ w - b) / samples, np.linalg.lstsq(a, b)[0]


def quartic(x):
    return float((x**4).sum())


PROBLEMS = {
    "rosenbrock": (rosenbrock, rosenbrock_gradient, [-1.2, 1.0], [1.0, 1.0]),
    "rosenbrock of 30": (
        rosenbrock,
        rosenbrock_gradient,
        [-1.2, 1.0] * 15,
        [1.0] * 30,
    ),
    "beale": (beale, beale_gradient, [1.0, 1.5], [3.0, 0.5]),
    "least squares": (*least_squares()[:2], [0.0] * 12, least_squares()[2]),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_lbfgs_reaches_the_minimum(problem):
    f, gradient, start, wanted = PROBLEMS[problem]
    for memory in (1, 10, 40):
        found = xn.LBFGS(memory, tolerance=1e-9).minimize(f, gradient, start, 1000)
        np.testing.assert_allclose(found.x, wanted, rtol=0, atol=1e-7)
        assert found.stopped == "no entry of the gradient exceeds 1e-09"
        assert (np.diff(found.values) < 1e-15).all()
        assert found.value == f(found.x)


@pytest.mark.parametrize("memory", [1, 12])
def test_with_exact_lines_a_parabola_of_n_dimensions_takes_n_iterations(memory):
    """As conjugate gradients do: Nazareth (1979), SIAM J. Numer. Anal. 16."""
    f, gradient, wanted = least_squares()
    method = xn.LBFGS(memory, tolerance=1e-10, c1=1e-7, c2=1e-6)
    found = method.minimize(f, gradient, [0.0] * 12)
    np.testing.assert_allclose(found.x, wanted, rtol=0, atol=1e-8)
    assert len(found.path) <= 12 + 3


@pytest.mark.parametrize("problem", PROBLEMS)
def test_lbfgs_is_as_good_as_scipys(problem):
    optimize = pytest.importorskip("scipy.optimize")
    f, gradient, start, _ = PROBLEMS[problem]
    theirs = optimize.minimize(f, start, jac=gradient, method="L-BFGS-B", tol=1e-14)
    ours = xn.LBFGS().minimize(f, gradient, start, 500)
    assert ours.value <= theirs.fun + 1e-12
    assert ours.evaluations <= 1.5 * theirs.nfev + 5
    np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("start", [1e-3, 5.0, 50.0])
def test_lbfgs_goes_around_where_f_is_not_defined(start):
    """log x: of a negative x there is none, and the first steps try one."""
    f = lambda x: float(x[0] - math.log(x[0])) if x[0] > 0 else math.nan  # noqa: E731
    found = xn.LBFGS().minimize(f, lambda x: 1.0 - 1.0 / x, [start])
    np.testing.assert_allclose(found.x, [1.0], rtol=1e-7)
    assert (found.path > 0.0).all()


def test_lbfgs_at_the_minimum_stays_there_and_without_a_tolerance_ends_by_rounding():
    found = xn.LBFGS().minimize(quartic, lambda x: 4.0 * x**3, [0.0, 0.0])
    assert (found.path.shape, found.evaluations) == ((1, 2), 1)
    assert "no entry of the gradient exceeds" in found.stopped
    f, gradient, wanted = least_squares()
    found = xn.LBFGS(tolerance=0.0).minimize(f, gradient, [1.0] * 12, 1000)
    assert "rounding" in found.stopped
    assert len(found.path) < 200
    np.testing.assert_allclose(found.x, wanted, rtol=0, atol=1e-7)


LINES = {
    "a parabola": (lambda a: (a - 3.0) ** 2, lambda a: 2.0 * (a - 3.0)),
    "far away": (lambda a: (a / 1e4 - 3.0) ** 2, lambda a: (a / 1e4 - 3.0) / 5e3),
    "close by": (lambda a: (a * 1e4 - 3.0) ** 2, lambda a: (a * 1e4 - 3.0) * 2e4),
    "waves": (
        lambda a: math.cos(5.0 * a + 1.0) + 0.1 * a,
        lambda a: -5.0 * math.sin(5.0 * a + 1.0) + 0.1,
    ),
    "More and Thuente's 1": (
        lambda a: -a / (a * a + 2.0),
        lambda a: (a * a - 2.0) / (a * a + 2.0) ** 2,
    ),
}


def searched(f, slope, c2, steps, first):
    nothing = np.zeros(1)

    def at(alpha):
        return TrialStep(alpha, f(alpha), slope(alpha), nothing, nothing)

    return LineSearch(at, at(0.0), 0.0, 1e-4, c2, steps).run(first)


@pytest.mark.parametrize("line", LINES)
def test_a_step_satisfies_the_strong_wolfe_conditions(line):
    f, slope = LINES[line]
    for first in (1e-3, 1.0, 1e3):
        for c2 in (0.1, 0.9):
            found = searched(f, slope, c2, 60, first)
            assert found is not None
            assert found.value <= f(0.0) + 1e-4 * found.alpha * slope(0.0)
            assert abs(found.slope) <= -c2 * slope(0.0)


def test_no_step_is_found_where_f_only_rises():
    wrong = lambda alpha: -1.0 if alpha == 0.0 else 1.0  # noqa: E731
    assert searched(lambda alpha: alpha, wrong, 0.9, 30, 1.0) is None


# Without gradients.

SEARCHES = {
    "random": lambda **k: xn.optim.RandomSearch(50, 0.5, **k),
    "random local": lambda **k: xn.optim.RandomSearch(50, 0.2, local=True, **k),
    "grid": lambda **k: xn.optim.GridSearch(31, 2.0, **k),
    "genetic": lambda **k: xn.optim.GeneticAlgorithm(30, **k),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_never_gets_worse_and_counts_what_it_asks(name):
    asked = []

    def f(x):
        asked.append(x.copy())
        return beale(x)

    found = SEARCHES[name]().minimize(f, None, [1.0, 1.5], 30)
    assert (np.diff(found.values) <= 0.0).all()
    assert found.value < 0.2 * found.values[0]
    assert found.evaluations == len(asked)
    assert found.value == min(map(beale, asked))
    assert [beale(x) for x in found.path] == list(found.values)
    assert found.path.shape == (31, 2)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_seed_decides_what_is_drawn_and_nan_is_never_chosen(name):
    def f(x):
        return math.nan if x[0] > 0.2 else -math.exp(min(float(x[0]), 50.0))

    runs = [SEARCHES[name](seed=s).minimize(f, None, [0.0] * 5, 10) for s in (0, 0, 1)]
    assert np.array_equal(runs[0].path, runs[1].path)
    assert not np.array_equal(runs[0].path, runs[2].path)
    for found in runs:
        assert np.isfinite(found.values).all()
        assert found.x[0] <= 0.2


def test_the_grid_is_every_point_of_the_square():
    asked = []
    xn.optim.GridSearch(5, 2.0, axes=(2, 0)).minimize(
        lambda x: asked.append(x.copy()) or 0.0, None, [1.0, 7.0, 1.0]
    )
    points = {tuple(x) for x in asked[1:]}
    sides = (-1.0, 0.0, 1.0, 2.0, 3.0)
    assert points == {(a, 7.0, b) for a in sides for b in sides}
    u, v = xn.optim.GridSearch(seed=3).directions(500)  # of a random plane
    np.testing.assert_allclose([u @ u, v @ v, u @ v], [1.0, 1.0, 0.0], atol=1e-14)
    assert abs(u).max() < 0.5


# What all share.


@pytest.mark.parametrize("name", MINIMIZERS)
def test_every_method_is_found_by_name_and_by_object(name):
    method = get_minimizer(name)
    assert type(method) is MINIMIZERS[name]
    assert get_minimizer(method) is method
    assert repr(method).startswith(type(method).__name__ + "(")


BAD = {
    xn.LBFGS: {
        "memory": [0], "tolerance": [-1.0], "c1": [0.0], "c2": [1.0, 1e-5],
        "max_evaluations": [1],
    },
    xn.optim.RandomSearch: {"guesses": [0], "scale": [0.0], "seed": [-1]},
    xn.optim.GridSearch: {"size": [1], "radius": [math.inf]},
    xn.optim.GeneticAlgorithm: {
        "population": [1], "scale": [-1.0], "mutation_rate": [1.5],
        "mutation_scale": [0.0], "tournament": [0, 51], "elite": [50],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_value_out_of_range_is_named(kind):
    for name, values in BAD[kind].items():
        for value in values:
            with pytest.raises(ValueError, match=rf"{name}.*got {value}"):
                kind(**{name: value})


@pytest.mark.parametrize("name", MINIMIZERS)
def test_a_start_must_be_a_finite_vector_of_a_finite_value(name):
    method = get_minimizer(name)
    for start in ([[1.0]], [], [math.nan], [math.inf, 0.0]):
        with pytest.raises(ValueError, match=r"start: expected .* got"):
            method.minimize(quartic, lambda x: x, start)
    with pytest.raises(ValueError, match="the objective is nan at the start"):
        method.minimize(lambda x: math.nan, lambda x: x, [1.0, 2.0])


def plane(axes, n=3):
    return xn.optim.GridSearch(axes=axes).minimize(quartic, None, [0.0] * n)


def slope_of(gradient):
    return xn.LBFGS().minimize(quartic, gradient, [1.0, 2.0])


NO_RULE, TWO = r"no update rule.*xpnet.minimize\(trainer, x,", "two different axes"
REFUSED = [
    (lambda: get_minimizer("lbgfs"), "unknown method 'lbgfs'; did you mean 'lbfgs"),
    (lambda: get_minimizer("adam"), r"is an update rule; use Trainer\("),
    (lambda: get_minimizer(xn.SGD(0.1)), r"is an update rule; use Trainer\("),
    (lambda: get_optimizer("lbfgs"), NO_RULE),
    (lambda: get_optimizer(xn.optim.GridSearch()), NO_RULE),
    (lambda: plane((0, 0)), rf"{TWO} from 0 to 2, got \("),
    (lambda: plane((0, 3)), rf"{TWO} from 0 to 2, got \("),
    (lambda: plane((1,)), rf"{TWO} from 0 to 2, got \("),
    (lambda: plane((-1, 0)), rf"{TWO} from 0 to 2, got \("),
    (lambda: plane(None, 1), "axes from 0 to 0, got None"),
    (lambda: slope_of(None), "LBFGS: expected the gradient of f, got None"),
    (lambda: slope_of(lambda x: 1.0), r"expected the shape of start, \(2,\), got"),
    (lambda: descend("sgd", lambda x: x[:1], [1.0, 2.0]), r"the shape .*got \(1,\)"),
    (lambda: descend("sdg", lambda x: x, [1.0]), "'sdg'; did you mean 'sgd'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# The path of an update rule.


def test_a_path_has_the_start_and_every_step():
    for row in OPTIMIZERS:
        path = descend(row, rosenbrock_gradient, [-1.0, 1.0], 7)
        assert path.shape == (8, 2)
        assert list(path[0]) == [-1.0, 1.0]
        assert (abs(np.diff(path, axis=0)).max(axis=1) > 0.0).all()
    path = descend(xn.SGD(xn.StepDecay(0.1, 2)), lambda x: 2.0 * x, [1.0], 4)
    wanted = [1.0, 0.8, 0.64, 0.64 * 0.9, 0.64 * 0.81]
    np.testing.assert_allclose(path[:, 0], wanted, rtol=1e-15)
    path = descend(xn.SGD(10.0), lambda x: x**3, [2.0], 20)  # it runs away
    assert not np.isfinite(path[-1]).any()
