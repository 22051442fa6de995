"""Overfitting: the error that falls in training and rises in use.

Twenty points lie about sin(πx) with a normal error of 0.3. Polynomials of higher
degree fit them better, but from some degree on they follow the errors, not the curve;
so do wider nets. Only data that was not trained on shows this, here the curve. Remedies
limit weights, training time, units or inputs; with more points the errors cancel.

    python lessons/overfit.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import COLORS, Lesson, curves, main

DEGREES, WIDTHS = [0, 1, 3, 5, 7, 9, 12, 15], [1, 2, 4, 16, 64]
GRID = np.linspace(-1, 1, 200)[:, None]
CURVE = GRID, np.sin(np.pi * GRID)
REMEDIES = {  # what `net` does otherwise than without one
    "L2 penalty 1e-2": {"l2": 1e-2},
    "L1 penalty 3e-3": {"l1": 3e-3},
    "early stopping": {"watch": [xn.EarlyStopping(patience=100)]},
    "dropout 0.1": {"behind": [xn.Dropout(0.1)]},
    "input noise 0.3": {"before": [xn.GaussianNoise(0.3)]},
    "200 points": {"count": 200},
}


def drawn(seed, count=20):
    """x (count, 1), uniform on (-1, 1), and y = sin(πx) + error."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, 1))
    return x, np.sin(np.pi * x) + rng.normal(0, 0.3, (count, 1))


def polynomial(degree, seed):
    """(training error, test error) of least squares."""
    x, y = drawn(seed)
    fit = np.polynomial.Legendre.fit(x[:, 0], y[:, 0], degree, domain=(-1, 1))
    return [np.mean((fit(u) - v) ** 2) for u, v in ((x, y), CURVE)]


def net(width, seed, before=(), behind=(), watch=(), count=20, **penalty):
    """The same of a net with one hidden layer, whose inputs are 3x."""
    (x, y), (xv, yv) = drawn(seed, count), drawn(seed + 1000)
    hidden, adam = xn.Dense(width, activation="tanh"), xn.Adam(0.02, **penalty)
    model = xn.Sequential([*before, hidden, *behind, xn.Dense(1)]).copy()
    trainer = xn.Trainer(model, "mean_squared_error", adam, "cpu", seed=seed)
    held = (3 * xv, yv) if watch else None
    trainer.fit(3 * x, y, 2000, None, held, watch, verbose=False)
    return [trainer.evaluate(3 * u, v)["loss"] for u, v in ((x, y), CURVE)]


def lesson(out: Lesson) -> None:
    """Polynomials by degree, nets by width, and what each remedy does."""
    out.claim("training error falls with size, test error rises; each remedy lowers it")
    many, seeds = range(20), range(out.size(8, 3))
    plans = [("degree", DEGREES, polynomial, many), ("width", WIDTHS, net, seeds)]
    with out.figure("error", columns=3) as (*panels, last):
        for axes, (what, sizes, fit, runs) in zip(panels, plans, strict=True):
            found = np.median([[fit(n, s) for s in runs] for n in sizes], axis=1).T
            pair = dict(zip(("training error", "test error"), found, strict=True))
            curves(axes, pair, sizes, what, "mean squared error", logx=what == "width")
            out.number(f"errors by {what}", {what: sizes} | pair)
            best = found[1].argmin()
            worst = best + found[1][best:].argmax()
            fall, rise = found[:, worst] / found[:, best]
            text = f"{what} {sizes[best]} to {sizes[worst]}: training × {fall:.2f}"
            out.check(f"{text}, test error × {rise:.1f}", fall < 1 and rise > 1.3)
        plain = np.median([net(16, s)[1] for s in seeds])
        for name, remedy in REMEDIES.items():
            share = np.median([net(16, s, **remedy)[1] for s in seeds]) / plain
            out.check(f"{name}: {share:.2f} of the test error, below 1", share < 1)
            last.barh(name, share, color=COLORS[2])
        last.set(xlabel="test error of 16 units (1: no remedy)", ylabel="remedy")


if __name__ == "__main__":
    main(lesson)
