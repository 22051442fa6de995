"""Exclusive or: three hidden units, then fifty, then a rate that explodes.

Points lie around the corners (±4, ±4); the class is 1 where the signs differ. Sigmoids
and a softmax are trained by W ← W - η (∂J/∂W + λ W), with λ the L2 penalty.

Three hidden units are enough. The steps of fifty add up at the output, so a high rate
overshoots: each step moves the weights to the other side of the valley, and the loss is
ten times that of guessing (ln 2) and more. Smaller steps or weights help: a lower or
decaying rate, a stronger L2 or an L1 penalty, clipped gradients.

    python lessons/xor.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, decision, main

WILD = {"learning_rate": 5.0, "l2": 1e-5}
RUNS = {  # title: hidden units and what SGD gets
    "3 hidden, η = 0.5": (3, {"learning_rate": 0.5, "l2": 1e-4}),
    "50 hidden, η = 0.5": (50, {"learning_rate": 0.5, "l2": 1e-4}),
    "50 hidden, η = 5": (50, WILD),
    "smaller rate, 1": (50, WILD | {"learning_rate": 1.0}),
    "decaying rate": (50, WILD | {"learning_rate": xn.ExponentialDecay(5.0, 400)}),
    "stronger L2, 1e-4": (50, WILD | {"l2": 1e-4}),
    "L1, 4e-3": (50, WILD | {"l1": 4e-3}),
    "gradient norm ≤ 0.1": (50, WILD | {"clip_norm": 0.1}),
}


def drawn(seed, samples=200):
    """Points around the four corners, and their classes."""
    corners, classes = xn.datasets.xor()
    near = np.random.default_rng(seed).normal(0, 1.2, (samples, 2))
    which = np.arange(samples) % 4
    return 8 * corners[which] - 4 + near, classes[which]


def train(hidden, rule, seed):
    """A trainer whose history has loss and accuracy after each epoch."""
    model = xn.Sequential([xn.Dense(hidden, activation="sigmoid"), xn.Dense(2)])
    data, sgd = drawn(seed), xn.SGD(**rule)
    trainer = xn.Trainer(model, "softmax_cross_entropy", sgd, "cpu", seed=seed)
    trainer.fit(*data, 150, 5, data, verbose=False)
    return trainer


def last(trainer, curve):
    """The median of a curve over the last 30 epochs."""
    return np.median(trainer.history[curve][-30:])


def lesson(out: Lesson) -> None:
    """Eight trainings, the accuracy, the boundary and the loss of each."""
    out.claim("three units learn xor; a high rate explodes, and five remedies cure it")
    seeds, wild = range(out.size(3, 1)), "50 hidden, η = 5"
    runs = {title: [train(*run, seed) for seed in seeds] for title, run in RUNS.items()}
    loss, score = (
        {title: np.median([last(t, curve) for t in run]) for title, run in runs.items()}
        for curve in ("val_loss", "val_accuracy")
    )
    out.number("loss, accuracy (medians of the last 30 epochs)", [loss, score])
    out.check(f"{wild}: loss {loss[wild]:.1f}, over 10 ln 2 = 6.9", loss[wild] > 6.93)
    for title in [title for title in RUNS if title != wild]:
        text = f"{title}: {score[title]:.1%} right, over 95%; loss {loss[title]:.1g}"
        good = score[title] > 0.95 and loss[title] < loss[wild] / 10
        out.check(f"{text}, a tenth of {loss[wild]:.1f} at most", good)
    with out.figure("cures", rows=4, columns=4, size=(3.2, 2.9)) as panels:
        for i, (title, run) in enumerate(runs.items()):
            above, below = panels[i + i // 4 * 4], panels[i + i // 4 * 4 + 4]
            decision(above, run[0].predict_classes, *drawn(0))
            above.set_title(f"{title}\n{last(run[0], 'val_accuracy'):.1%} right")
            curves(below, {title: run[0].history["val_loss"]})
            below.set(ylim=(1e-4, 200), ylabel="loss")


if __name__ == "__main__":
    main(lesson)
