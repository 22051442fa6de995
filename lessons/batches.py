"""Full batch, mini-batch, single sample: how much of the data a step should see.

The gradient of a batch of m samples is the mean of theirs: an estimate of the gradient
over all n, whose error is that of any mean of m draws, ‖gₘ - g‖ ∝ 1/√m.
So a batch a hundred times smaller is only ten times noisier, and in one pass over the
data many noisy steps get much further than a single exact one. Larger batches save
time: a step on 32 samples costs far less than 32 steps on one.

    python lessons/batches.py
"""

import time

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, main

RATES = {1: 0.05, 32: 0.5, 1797: 1.0}  # samples a batch: a learning rate that suits it


def trainer_for(rate):
    """A 64-32-10 net for the digits."""
    model = xn.Sequential([xn.Dense(32, activation="tanh"), xn.Dense(10)])
    return xn.Trainer(model, "softmax_cross_entropy", xn.SGD(rate), "cpu")


def gradient(trainer, x, y):
    """The gradient on (x, y) as one vector; the step that computes it is undone."""
    before = trainer.snapshot()
    trainer.step(x, y)
    trainer.restore(before)
    return np.array(trainer.flat_gradients)


def noise(x, y, sizes):
    """‖gₘ - g‖ / ‖g‖ for each size m: the root mean square over 40 batches."""
    trainer, rng = trainer_for(0.1), np.random.default_rng(0)
    trainer.build(x.shape[1])
    exact, errors = gradient(trainer, x, y), []
    for size in sizes:
        draws = [rng.permutation(len(x))[:size] for _ in range(40)]
        off = [gradient(trainer, x[i], y[i]) - exact for i in draws]
        errors.append(np.sqrt(np.mean(np.square(off).sum(axis=1))))
    return np.array(errors) / np.linalg.norm(exact)


def lesson(out: Lesson) -> None:
    """The noise of a batch's gradient, and ten passes with batches of three sizes."""
    x, y = xn.datasets.digits()
    out.claim(
        "a batch's gradient has noise ∝ 1/√m; in one pass small batches learn most"
    )
    sizes = 2 ** np.arange(8)
    errors = noise(x / 16, y, sizes)
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    out.number(f"noise with batches of {sizes}", errors)
    out.check(f"noise ∝ m^{slope:.2f}, within 0.1 of -1/2", abs(slope + 0.5) < 0.1)
    losses, final = {}, []
    for size, rate in RATES.items():
        trainer, start = trainer_for(rate), time.perf_counter()
        history = trainer.fit(x / 16, y, 10, size, verbose=False)
        row = {"steps": trainer.steps_done, "seconds": time.perf_counter() - start}
        final.append(trainer.evaluate(x / 16, y)["loss"])
        out.number(f"batches of {size}, 10 epochs", row | {"loss": final[-1]})
        losses[f"batches of {size}"] = history["loss"]
    one, few, every = final
    text = f"loss {one:.3f} with batches of 1, {few:.3f} of 32, {every:.3f} of all"
    out.check(text, one < few < every)
    with out.figure("noise", columns=2) as (left, right):
        pair = {"measured": errors, "∝ 1/√m": errors[0] / np.sqrt(sizes)}
        curves(left, pair, sizes, "batch size m", "noise ‖gₘ - g‖ / ‖g‖", logx=True)
        curves(right, losses)


if __name__ == "__main__":
    main(lesson)
