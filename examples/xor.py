"""Exclusive or: three hidden units, then fifty, then a rate that explodes.

Points lie around the corners (±4, ±4); the class is 1 where the signs differ. Sigmoids
and a softmax are trained by W ← W - η (∂J/∂W + λ W), with λ the L2 penalty.

Three hidden units are enough. Fifty sigmoids push the output together, so that a high
rate overshoots: each step throws the weights to the far side of the valley, and the
loss is ten times that of guessing (ln 2) and more. Whatever makes steps or weights
smaller cures it: a smaller rate, a rate that decays, a stronger L2 penalty, an L1
penalty (λ sign W), or clipping the gradient's norm.

    python examples/xor.py
"""

import numpy as np

import xpnet as xn
from xpnet.gallery import Lesson, curves, decision, main

WILD = {"learning_rate": 5.0, "l2": 1e-5}
# title: hidden units and what SGD gets
RUNS = {
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


def train(hidden, rule, seed, epochs=150):
    """(trainer, loss by epoch, accuracy)."""
    model = xn.Sequential([xn.Dense(hidden, activation="sigmoid"), xn.Dense(2)])
    sgd = xn.SGD(**rule)
    trainer = xn.Trainer(model, "softmax_cross_entropy", sgd, seed=seed)
    x, y = drawn(seed)
    loss = trainer.fit(x, y, epochs=epochs, batch_size=5, verbose=False)["loss"]
    return trainer, loss, trainer.evaluate(x, y)["accuracy"]


def lesson(out: Lesson) -> None:
    """Eight trainings, the accuracy, the boundary and the loss of each."""
    out.claim("three units learn xor; a high rate explodes, and five remedies cure it")
    seeds = range(out.size(5, 3))
    runs = {title: [train(*run, seed) for seed in seeds] for title, run in RUNS.items()}
    loss, score = {}, {}  # medians over the seeds; the loss of the last 30 epochs
    for title, run in runs.items():
        loss[title] = np.median([np.mean(curve[-30:]) for _, curve, _ in run])
        score[title] = np.median([right for *_, right in run])
        out.number(f"{title}: loss, accuracy", [loss[title], score[title]])
    wild = "50 hidden, η = 5"
    out.check(f"{wild}: loss {loss[wild]:.1f}, over 10 ln 2 = 6.9", loss[wild] > 6.93)
    for title in [title for title in RUNS if title != wild]:
        out.check(f"{title}: {score[title]:.1%} right, over 95%", score[title] > 0.95)
        ratio = loss[wild] / loss[title]
        out.check(f"{title}: loss {ratio:.0f} times lower, over 10", ratio > 10)
    with out.figure("cures", rows=4, columns=4, size=(3.2, 2.9)) as panels:
        for i, (title, run) in enumerate(runs.items()):
            above, below = panels[i // 4 * 8 + i % 4], panels[i // 4 * 8 + i % 4 + 4]
            trainer, curve, right = run[0]
            decision(above, trainer.predict_classes, *drawn(seeds[0]))
            above.set_title(f"{title}\n{right:.1%} right")
            curves(below, {title: curve})
            below.set(ylim=(1e-4, 200), ylabel="loss")


if __name__ == "__main__":
    main(lesson)
