"""Guessing weights: why networks are not trained by luck.

Weights can be found without a gradient: draw them at random, keep the best. But if a
share f of the guesses is good in one direction, fⁿ are good in n directions, while a
gradient covers all n at once. Every net has the same task: is this digit a zero? Small
nets see the k most informative pixels, large ones have a hidden layer. A guess costs
one forward pass, a step of descent about three.

    python lessons/curse.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import COLORS, Lesson, curves, main

# pixels seen k, hidden units h: k + 1 weights, or (k + 2) h + 1
NETS = [(1, 0), (2, 0), (9, 0), (64, 0), (64, 15), (64, 182)]
BUDGET = 300  # forward passes over the digits


def zeros(pixels):
    """The `pixels` that tell most, standardised, of 300 digits; and which are zeros."""
    x, digit = (part[::6] for part in xn.datasets.digits())
    x, y = xn.Standardizer.fit(x).transform(x), (digit == 0).astype(float)
    tells = np.abs((x * (y - y.mean())[:, None]).mean(axis=0))
    return x[:, np.argsort(-tells)[:pixels]], y


def fresh(pixels, hidden, seed):
    """A trainer whose weights are drawn from the seed."""
    layers = [xn.Dense(hidden, activation="tanh")] if hidden else []
    model = xn.Sequential([*layers, xn.Dense(1)]).build(pixels)
    sgd = xn.SGD(0.1, momentum=0.9)
    return xn.Trainer(model, "binary_cross_entropy", sgd, "cpu", seed=seed)


def guess(pixels, hidden, seed):
    """The best loss after 1, 2, ... BUDGET guesses, at all scales from 0.01 to 10."""
    trainer, rng = fresh(pixels, hidden, seed), np.random.default_rng(seed)
    (x, y), losses = zeros(pixels), []
    for scale in 10.0 ** rng.uniform(-2, 1, BUDGET):
        for weights in trainer.parameters().values():
            weights[...] = rng.normal(0, scale, weights.shape)
        losses.append(trainer.evaluate(x, y)["loss"])
    return np.minimum.accumulate(losses)


def descend(pixels, hidden, seed):
    """The loss before each of BUDGET / 3 full-batch steps."""
    options = {"epochs": BUDGET // 3, "batch_size": None, "verbose": False}
    return fresh(pixels, hidden, seed).fit(*zeros(pixels), **options)["loss"]


def lesson(out: Lesson) -> None:
    """Guesses and descent on ever more weights, with the same budget."""
    out.claim("guessing keeps up on 2 weights, and falls far behind on 12,000")
    seeds, passes = range(out.size(3, 1)), range(0, BUDGET, 3)
    sizes = [fresh(*net, 0).model.parameter_count for net in NETS]
    runs = [[[f(*net, s) for s in seeds] for net in NETS] for f in (guess, descend)]
    ends = [np.median(np.array(run)[..., -1], axis=1) for run in runs]
    out.number("weights", sizes)
    out.number("loss of the best guess, after descent", ends)
    small, *_, large = ends[0] / ends[1]
    out.check(f"2 weights: {small:.2f} times the loss, below 1.5", small < 1.5)
    out.check(f"{sizes[-1]:,} weights: {large:.0f} times, over 20", large > 20)
    with out.figure("budget", columns=2) as (left, right):
        pair = {"best guess": ends[0], "descent": ends[1]}
        curves(left, pair, sizes, f"weights ({BUDGET} forward passes)", logx=True)
        for i in (0, -1):
            look, many = {"color": COLORS[i]}, f"{sizes[i]:,} weights"
            right.plot(runs[0][i][0], ":", label=f"{many}, guessed", **look)
            right.plot(passes, runs[1][i][0], label=f"{many}, descent", **look)
        right.set(xlabel="forward passes", ylabel="best loss so far", yscale="log")
        right.legend(loc="center right", bbox_to_anchor=(1, 0.42))


if __name__ == "__main__":
    main(lesson)
