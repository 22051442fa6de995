"""Gradients: backpropagation against finite differences and the complex step.

    forward    [J(θ + h) - J(θ)] / h           error ~ h + u/h, at best ~ √u = 1e-8
    central    [J(θ + h) - J(θ - h)] / 2h      error ~ h² + u/h, at best ~ u^⅔ = 2e-11
    complex    Im J(θ + ih) / h                nothing cancels: h = 1e-20, error ~ u

u = 1.1e-16 is float64's rounding. The layers are plain Python and take complex arrays.

    python lessons/gradients.py
"""

import time

import numpy as np
from numpy.linalg import norm

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, main

CPU, LOSS = xn.get_backend("cpu"), xn.SoftmaxCrossEntropy()
X, T = np.random.default_rng(0).standard_normal((20, 10)), np.eye(3)[np.arange(20) % 3]
METHODS = {  # h, the least error in orders of magnitude, the formula along one weight
    "forward": (1e-8, 1e-8, lambda J, here, h: (J(h) - here) / h),
    "central": (6e-6, 1e-11, lambda J, here, h: (J(h) - J(-h)) / (2 * h)),
    "complex": (1e-20, 1e-16, lambda J, here, h: J(1j * h).imag / h),
}


def gradient(units, kind, h=None):
    """(error, values of J, seconds of backprop, of `kind`) for a 10-units-3 net."""
    model = xn.Sequential([xn.Dense(int(units), "tanh"), xn.Dense(3)]).build(10)
    model.allocate(CPU, np.dtype(complex if kind == "complex" else float), (0,))
    places = np.r_[*(slice(s.start, s.start + s.size) for s in model.layout.trained)]
    theta, values, start = model.buffers.params, [], time.perf_counter()

    def objective(place, step):
        theta[place], kept = theta[place] + step, theta[place]
        values.append(LOSS.rows(model.forward(X), T).mean())
        theta[place] = kept
        return values[-1]

    model.backward(LOSS.gradient(model.forward(X), T) / len(X))
    exact, middle = model.buffers.grads[places], time.perf_counter()
    here, formula, h = objective(0, 0.0), METHODS[kind][-1], h or METHODS[kind][0]
    slopes = [formula(lambda s, i=i: objective(i, s), here, h) for i in places]
    end, off = time.perf_counter(), norm(slopes - exact) / norm(exact)
    return off, len(values), middle - start, end - middle


def lesson(out: Lesson) -> None:
    """Error over h; then error and cost over the number of weights."""
    out.claim(
        "each weight takes values of J; differences have a best h, complex steps any"
    )
    steps, off, wrong, seconds = 10.0 ** np.arange(-16, 0), {}, {}, {}
    for kind, (_, order, _) in METHODS.items():
        off[kind] = [gradient(4, kind, h)[0] for h in steps]
        best, at = min(zip(off[kind], steps, strict=True))
        text = f"{kind}: error {best:.0e} at best (h = {at:.0e}), of order {order}"
        out.check(text, order / 100 < best + 1e-17 < order * 100)
    out.check("complex: the same for every h < 1e-8", max(off["complex"][:8]) < 1e-14)
    n = 14 * (sizes := np.array([4, 16, 64, out.size(256, 128)])) + 3
    for kind, each in zip(METHODS, (1, 2, 1), strict=True):
        runs = [gradient(units, kind) for units in sizes]
        wrong[kind], calls, back, seconds[kind] = zip(*runs, strict=True)
        seconds = {"backprop": back} | seconds
        grown = max(wrong[kind]) / wrong[kind][0]
        text = f"{kind}: {calls} values of J for {n} weights, error × {grown:.1f}"
        out.check(text, (np.round(calls / n) == each).all() and grown < 10)
    out.number("relative error; seconds of one gradient", [wrong, seconds])
    with out.figure("cost", columns=3) as (left, middle, right):
        curves(left, off, steps, "h", "relative error")
        curves(middle, wrong, n, "number of weights", "relative error", logx=True)
        curves(right, seconds, n, "number of weights", "seconds a gradient", logx=True)
        left.set_xscale("log")


if __name__ == "__main__":
    main(lesson)
