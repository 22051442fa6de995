"""Gradients: backpropagation against finite differences and the complex step.

    forward    [J(θ + h) - J(θ)] / h           error ~ h + u/h, at best ~ √u = 1e-8
    central    [J(θ + h) - J(θ - h)] / 2h      error ~ h² + u/h, at best ~ u^⅔ = 2e-11
    complex    Im J(θ + ih) / h                nothing cancels: h = 1e-20, error ~ u

u = 1.1e-16 is float64's rounding. The layers are plain Python and take complex arrays.

    python examples/gradients.py
"""

import time
from functools import partial

import numpy as np
from numpy.linalg import norm

import xpnet as xn
from xpnet.gallery import Lesson, curves, main

SEED, CPU, LOSS = 0, xn.get_backend("cpu"), xn.SoftmaxCrossEntropy()
METHODS = {  # h, the least error in orders of magnitude, the formula along one weight
    "forward": (1e-8, 1e-8, lambda J, here, h: (J(h) - here) / h),
    "central": (6e-6, 1e-11, lambda J, here, h: (J(h) - J(-h)) / (2 * h)),
    "complex": (1e-20, 1e-16, lambda J, here, h: J(1j * h).imag / h),
}


def gradient(units, kind, h=None):
    """∂J/∂θ of a 10-units-3 network, how many values of J it took, and the seconds."""
    rng, dtype = np.random.default_rng(SEED), complex if kind == "complex" else float
    x, t = rng.standard_normal((20, 10)), np.eye(3)[rng.integers(0, 3, 20)]
    model = xn.Sequential([xn.Dense(int(units), "tanh"), xn.Dense(3)]).build(10)
    model.allocate(CPU, np.dtype(dtype), (SEED,))
    places = np.r_[*(slice(s.start, s.start + s.size) for s in model.layout.trained)]
    theta, values, start = model.buffers.params, [], time.perf_counter()

    def objective(place, step):
        kept, theta[place] = theta[place], theta[place] + step
        values.append(LOSS.rows(model.forward(x), t).mean())
        theta[place] = kept
        return values[-1]

    if kind == "backprop":
        model.backward(LOSS.gradient(model.forward(x), t) / len(x))
        slopes = model.buffers.grads[places]
    else:
        here, formula, h = objective(0, 0.0), METHODS[kind][-1], h or METHODS[kind][0]
        slopes = np.array([formula(partial(objective, i), here, h) for i in places])
    return slopes, len(values), time.perf_counter() - start


def lesson(out: Lesson) -> None:
    """Error over h; then error and cost over the number of weights."""
    out.claim("a difference has a best h; the complex step may take any small one")
    exact, steps, off = gradient(4, "backprop")[0], 10.0 ** np.arange(-16, 0), {}
    for kind, (_, order, _) in METHODS.items():
        off[kind] = [norm(gradient(4, kind, h)[0] - exact) / norm(exact) for h in steps]
        best, at = min(zip(off[kind], steps, strict=True))
        text = f"{kind}: error {best:.0e} at best (h = {at:.0e}), of order {order}"
        out.check(text, order / 100 < best + 1e-17 < order * 100)
    out.check("complex: the same for every h < 1e-8", max(off["complex"][:8]) < 1e-14)
    out.claim("they take values of J for each weight; backpropagation, two passes")
    sizes, seconds = np.array([4, 16, 64, out.size(256, 128)]), {}
    weights = 14 * sizes + 3
    for kind, each in zip(("backprop", *METHODS), (0, 1, 2, 1), strict=True):
        _, calls, seconds[kind] = zip(*(gradient(n, kind) for n in sizes), strict=True)
        text = f"{kind}: {calls} values of J for {weights.tolist()} weights"
        out.check(text, (np.round(calls / weights) == each).all())
    out.number("seconds of one gradient", seconds)
    with out.figure("cost", columns=2) as (left, right):
        curves(left, off, steps, "h", "relative error of the gradient")
        curves(right, seconds, weights, "number of weights", "time of one gradient (s)")
        for axes in (left, right):
            axes.set_xscale("log")


if __name__ == "__main__":
    main(lesson)
