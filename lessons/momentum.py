"""Momentum: on a plateau a learning rate of η / (1 - μ), across a valley not.

    v ← μ v + g        θ ← θ - η v

Where g stays the same, v grows to g (1 + μ + μ² + ...) = g / (1 - μ): step t is that of
a rate η (1 - μᵗ) / (1 - μ). The absolute error far from its minimum is such a plateau.
Across a valley g changes sign and the terms of v cancel: momentum is stable for rates
up to 2 (1 + μ) / λ, plain descent up to 2 / λ (λ: the largest second derivative). So
momentum is more than a larger rate. docs/backprop.md derives all three.

    python lessons/momentum.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, main

RATE, STEPS = 0.01, 2000
MOMENTA = (0.0, 0.5, 0.9, 0.99)
X, Y = xn.datasets.line()
FAR = Y + 1e6  # so far off that the slope of the absolute error stays as it is


def descend(rule, loss, y, steps):
    """Of each step: how far b moved for each unit of its gradient, and the loss."""
    trainer = xn.Trainer(xn.Sequential([xn.Dense(1)]), loss, rule, "cpu", "float64")
    trainer.build(1)
    trainer.parameters()["0.W"][...] = 0.0
    b, db = trainer.parameters()["0.b"], trainer.gradients()["0.b"]
    rates, losses = [], []
    for _ in range(steps):
        before = b[0]
        trainer.step(X, y)
        rates.append((before - b[0]) / db[0])
        losses.append(trainer.loss)
    return np.array(rates), np.array(losses)


def lesson(out: Lesson) -> None:
    """The step on a plateau against the formula; then a valley."""
    out.claim("on a plateau momentum is a learning rate of η / (1 - μ)")
    plateau = {}
    for mu in MOMENTA:
        rates = descend(xn.SGD(RATE, mu), "mean_absolute_error", FAR, STEPS)[0]
        plateau[f"μ = {mu}"] = rates
        ahead = xn.SGD(RATE, mu, nesterov=mu > 0)
        ends = [rates[-1], descend(ahead, "mean_absolute_error", FAR, STEPS)[0][-1]]
        out.number(f"μ = {mu}: rate, Nesterov's, formula", [*ends, RATE / (1 - mu)])
        expected = RATE * (1 - mu ** np.arange(1, STEPS + 1)) / (1 - mu)
        off = np.abs(rates / expected - 1).max()
        end = np.abs(np.array(ends) * (1 - mu) / RATE - 1).max()
        text = f"{STEPS} steps are the formula's to {off:.0e}, the last is η / (1 - μ)"
        out.check(f"{text} to {end:.0e}", max(off, end) < 1e-6)
    out.claim("across a valley the bound is 2 (1 + μ) / λ instead of 2 / λ")
    design = np.hstack([X, np.ones_like(X)]).astype(float)
    curvature = np.linalg.eigvalsh(2 / len(X) * design.T @ design).max()
    out.number("λ, the largest second derivative", curvature)
    valley = {}
    for mu, share in ((0.0, 1.9), (0.0, 2.1), (0.9, 3.7), (0.9, 3.9)):
        rule, bound = xn.SGD(share / curvature, mu), 2 * (1 + mu)
        losses = descend(rule, "mean_squared_error", Y, 200)[1]
        grown, word = losses[-1] / losses[0], "falls" if share < bound else "grows"
        valley[f"μ = {mu}, η = {share}/λ {word}"] = losses
        text = f"μ = {mu}, η = {share}/λ, bound {bound}/λ: loss times {grown:.1e}"
        out.check(f"{text}, {word}", (grown < 1) == (share < bound))
    with out.figure("rates", columns=2, size=(5, 3.9)) as (left, right):
        curves(left, plateau, xlabel="step", ylabel="length of step / |gradient|")
        left.set_xscale("log")
        for mu in MOMENTA:
            left.axhline(RATE / (1 - mu), color="black", lw=0.7, ls=":")
        curves(right, valley, xlabel="step", ylabel="loss (mean squared error)")
        right.set_ylim(1e-3, 1e9)


if __name__ == "__main__":
    main(lesson)
