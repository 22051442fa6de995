"""A line through seven points: gradient descent on a bowl.

One weight W (the slope) and one bias b (the intercept) are fitted to seven points by

    J = 1/n Σ (W x + b - y)²,      W ← W - η ∂J/∂W,   b ← b - η ∂J/∂b.

J is a bowl with one lowest point, which least squares computes directly; descent must
end there too. It goes straight down the steep side and then slowly along the flat one.
The learning rate η decides how: near the bottom the error along the steepest direction
is multiplied by 1 - η λ in each step, where λ is the largest eigenvalue of the second
derivatives of J. So η far below 2/λ crawls, and η above 2/λ leaves the bowl.

    python lessons/line.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, bowl, contour, curves, main, path

X, Y = xn.datasets.line()
DESIGN = np.hstack([X, np.ones_like(X)]).astype(float)  # a row (x, 1) a point
START = (0.2, 6.0)  # slope, intercept
SLOPES, INTERCEPTS = (-2.0, 4.0), (-6.0, 8.0)


def error(points):
    """J at each (slope, intercept) of points (n, 2)."""
    return ((points @ DESIGN.T - Y[:, 0]) ** 2).mean(axis=1)


def descend(rate, steps):
    """The points (steps + 1, 2) that gradient descent visits from START."""
    model = xn.Sequential([xn.Dense(1)])
    trainer = xn.Trainer(model, "mean_squared_error", xn.SGD(rate), "cpu", "float64")
    trainer.build(1)
    weights = trainer.parameters()
    weights["0.W"][...], weights["0.b"][...] = START
    visited = [START]
    for _ in range(steps):
        trainer.step(X, Y)
        visited.append((weights["0.W"][0, 0], weights["0.b"][0]))
    return np.array(visited)


def lesson(out: Lesson) -> None:
    """Descent against least squares, at three rates."""
    out.claim("gradient descent ends where least squares does, if η < 2/λ")
    exact = np.linalg.lstsq(DESIGN, Y[:, 0].astype(float), rcond=None)[0]
    limit = 2 / np.linalg.eigvalsh(2 / len(X) * DESIGN.T @ DESIGN).max()
    out.number("least squares: slope, intercept", exact)
    out.number("limit of the learning rate, 2/λ", limit)
    rates = {"crawls": limit / 50, "converges": 0.75 * limit, "diverges": 1.1 * limit}
    steps = {"crawls": 4000, "converges": 4000, "diverges": 100}
    paths = {f"η = {r:.4f} {w}": descend(r, steps[w]) for w, r in rates.items()}
    crawl, good, bad = (error(p) - error(exact[None]) for p in paths.values())
    end = paths[f"η = {rates['converges']:.4f} converges"][-1]
    off = np.abs(end - exact).max()
    out.check(f"descent and least squares differ by {off:.1e}, below 1e-6", off < 1e-6)
    slow, high = crawl[-1] / crawl[0], bad[-1] / bad[0]
    out.check(f"it crawls: {slow:.1e} of the error is left, over 1e-3", slow > 1e-3)
    out.check(f"it diverges: {high:.1e} times the error after 100 steps", high > 100)
    with out.figure("surface", rows=2, columns=2, bowls=(3,)) as panels:
        for axes, (label, visited) in zip(panels, paths.items(), strict=False):
            contour(axes, error, SLOPES, INTERCEPTS)
            path(axes, visited[:6] if "diverges" in label else visited)
            axes.set_title(label)
        bowl(panels[3], error, SLOPES, INTERCEPTS, "J")
        for axes in panels:
            axes.set(xlabel="slope W", ylabel="intercept b")
    with out.figure("rates") as axes:
        curves(axes, dict(zip(paths, (crawl, good, bad), strict=True)), xlabel="step")
        axes.set(xscale="log", ylim=(1e-14, 1e5), ylabel="J above its minimum")


if __name__ == "__main__":
    main(lesson)
