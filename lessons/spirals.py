"""Three spirals: what a hidden layer is for.

Three classes lie on arms that wind around each other one and a half times. A linear
softmax classifier, p = softmax(x W + b), can only cut the plane by straight lines, and
no three straight lines separate the arms: it stays near 50%, however long it trains.
One hidden layer of 100 rectifiers,

    a = max(0, x W₁ + b₁),      p = softmax(a W₂ + b₂),

bends the plane along 100 lines first, and then the same linear classifier succeeds.
Both are trained in the same way, and tested on other points.

    python lessons/spirals.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, decision, main

NETS = {
    "linear": [],
    "100 hidden units": [xn.Dense(100, activation="relu")],
}
SEEDS = 3


def train(hidden, seed, epochs):
    """(trainer, accuracy on fresh points) of a net trained on one drawing."""
    x, y = xn.datasets.spirals(300, noise=0.01, classes=3, seed=seed)
    fresh = xn.datasets.spirals(300, noise=0.01, classes=3, seed=seed + 1000)
    model = xn.Sequential([*hidden, xn.Dense(3)]).copy()
    loss, adam = "softmax_cross_entropy", xn.Adam(0.01)
    trainer = xn.Trainer(model, loss, adam, "cpu", seed=seed)
    trainer.fit(x, y, epochs=epochs, batch_size=32, verbose=False)
    return trainer, trainer.evaluate(*fresh)["accuracy"]


def lesson(out: Lesson) -> None:
    """The same training with and without a hidden layer."""
    out.claim("linear stays near 50% on three spirals, 100 hidden units exceed 97%")
    runs = {
        name: [train(hidden, seed, epochs=300) for seed in range(SEEDS)]
        for name, hidden in NETS.items()
    }
    scores = {name: [score for _, score in run] for name, run in runs.items()}
    for name, found in scores.items():
        out.number(f"accuracy on fresh points, {name}", found)
    linear, hidden = (np.array(found) for found in scores.values())
    out.check(
        f"linear: {linear.min():.1%} to {linear.max():.1%}, within 10 points of 50%",
        (abs(linear - 0.5) < 0.1).all(),
    )
    out.check(
        f"100 hidden units: {hidden.min():.1%} at least, above 97%", hidden.min() > 0.97
    )
    x, y = xn.datasets.spirals(300, noise=0.01, classes=3, seed=0)
    with out.figure("boundaries", columns=2, size=(4.3, 4)) as panels:
        for axes, (name, run) in zip(panels, runs.items(), strict=True):
            decision(axes, run[0][0].predict_classes, x, y)
            axes.set_title(f"{name}: {run[0][1]:.1%} right")
            axes.set_aspect("equal")
    with out.figure("loss") as axes:
        curves(axes, {name: run[0][0].history["loss"] for name, run in runs.items()})


if __name__ == "__main__":
    main(lesson)
