"""Overfitting: the error that falls in training and rises in use.

Twenty points lie about sin(πx) with a normal error of 0.3. A polynomial of higher degree
(here the least-squares sum of Legendre polynomials) always comes nearer to the points;
but from some degree on it follows their errors, not the curve. So does a wider net.
Training cannot show this: only what was held back can, here the curve itself. Remedies
deny the net the means: large weights, time, single units or exact inputs to rely on, or,
best of all, errors that can be followed: with more points they cancel.

    python examples/overfit.py
"""

import numpy as np

import xpnet as xn
from xpnet.gallery import Lesson, curves, main

DEGREES, WIDTHS, CURED = (0, 1, 3, 5, 7, 9, 12, 15), (1, 2, 4, 16, 64), 16
GRID = np.linspace(-1, 1, 200)
CURVE = np.sin(np.pi * GRID)
REMEDIES = {  # what differs from `net` without a remedy
    "L2 penalty 1e-2": {"rule": {"l2": 1e-2}},
    "L1 penalty 3e-3": {"rule": {"l1": 3e-3}},
    "early stopping": {"callbacks": [xn.EarlyStopping(patience=100)]},
    "dropout 0.1": {"behind": [xn.Dropout(0.1)]},
    "input noise 0.3": {"before": [xn.GaussianNoise(0.3)]},
    "200 points": {"count": 200},
}


def drawn(seed, count=20):
    """x (count,), uniform on (-1, 1), and y = sin(πx) + error."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, count)
    return x, np.sin(np.pi * x) + rng.normal(0, 0.3, count)


def polynomial(degree, seed):
    """(training error, test error) of least squares."""
    x, y = drawn(seed)
    fit = np.polynomial.Legendre.fit(x, y, degree, domain=[-1, 1])
    return np.mean((fit(x) - y) ** 2), np.mean((fit(GRID) - CURVE) ** 2)


def net(width, seed, before=(), behind=(), rule=None, callbacks=(), count=20):
    """(training error, test error) of a net with one hidden layer, inputs 3x."""
    parts = drawn(seed, count), drawn(seed + 1000), (GRID, CURVE)
    train, held, test = ((3 * x[:, None], y[:, None]) for x, y in parts)
    layers = [*before, xn.Dense(width, activation="tanh"), *behind, xn.Dense(1)]
    adam, model = xn.Adam(0.02, **(rule or {})), xn.Sequential(layers).copy()
    trainer = xn.Trainer(model, "mean_squared_error", adam, seed=seed)
    options = {"epochs": 2000, "batch_size": None, "verbose": False}
    trainer.fit(
        *train, **options, validation=held if callbacks else None, callbacks=callbacks
    )
    return trainer.evaluate(*train)["loss"], trainer.evaluate(*test)["loss"]


def lesson(out: Lesson) -> None:
    """Polynomials by degree, nets by width, and what each remedy does."""
    out.claim("training error falls with size, test error rises; each remedy lowers it")
    seeds = range(out.size(8, 4))
    found = {
        "degree of the polynomial": (
            DEGREES,
            [[polynomial(d, s) for s in range(20)] for d in DEGREES],
        ),
        "hidden units": (WIDTHS, [[net(w, s) for s in seeds] for w in WIDTHS]),
    }
    with out.figure("error", columns=2) as panels:
        for axes, (what, (sizes, runs)) in zip(panels, found.items(), strict=True):
            seen, unseen = np.median(runs, axis=1).T
            out.number(f"{what}", sizes)
            out.number(f"{what}: training error", seen)
            out.number(f"{what}: test error", unseen)
            best = unseen.argmin()
            worst = best + unseen[best:].argmax()
            rise, fall = unseen[worst] / unseen[best], seen[best] / seen[worst]
            text = f"{what}, {sizes[best]} to {sizes[worst]}: test error x {rise:.1f}"
            out.check(f"{text}, training error / {fall:.2f}", rise > 1.3 and fall > 1)
            errors = {"training": seen, "test": unseen}
            curves(axes, errors, sizes, what, "mean squared error")
    plain = np.array([net(CURED, s)[1] for s in seeds])
    for name, options in REMEDIES.items():
        cured = np.array([net(CURED, s, **options)[1] for s in seeds])
        share = np.median(cured) / np.median(plain)
        out.check(f"{name}: {share:.2f} of the test error, below 1", share < 1)


if __name__ == "__main__":
    main(lesson)
