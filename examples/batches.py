"""Full batch, mini-batch, single sample: how much of the data a step should see.

The gradient of a batch of m samples is the mean of theirs: an estimate of the gradient
over all of them, whose error is that of any mean,

    ‖gₘ - g‖ ∝ 1/√m        (drawn without replacement: times √((n - m) / (n - 1))).

So a batch a hundred times smaller is only ten times noisier. In one pass over the data
small batches take many noisy steps, the full batch a single exact one; the many steps
win by far. What speaks for larger batches is time: a step on 32 samples takes hardly
longer than a step on one.

    python examples/batches.py
"""

import time

import numpy as np

import xpnet as xn
from xpnet.gallery import Lesson, curves, main

RATES = {1: 0.05, 32: 0.5, 1797: 1.0}  # samples a batch: a learning rate that suits it
EPOCHS = 10
DRAWS = 40  # batches of each size whose gradients are compared


def trainer_for(rate):
    """A 64-32-10 net for the digits."""
    model = xn.Sequential([xn.Dense(32, activation="tanh"), xn.Dense(10)])
    return xn.Trainer(model, "softmax_cross_entropy", xn.SGD(rate))


def gradient(trainer, x, y):
    """The gradient on (x, y) as one vector; the weights are put back."""
    before = trainer.snapshot()
    trainer.step(x, y)
    trainer.restore(before)
    return np.array(trainer.flat_gradients)


def noise(x, y, sizes):
    """‖gₘ - g‖ / ‖g‖ for each size m: the root mean square over DRAWS batches."""
    trainer, rng = trainer_for(0.1), np.random.default_rng(0)
    trainer.build(x.shape[1])
    exact = gradient(trainer, x, y)
    errors = []
    for size in sizes:
        draws = [rng.permutation(len(x))[:size] for _ in range(DRAWS)]
        off = [gradient(trainer, x[i], y[i]) - exact for i in draws]
        errors.append(np.sqrt(np.mean(np.square(off).sum(axis=1))))
    return np.array(errors) / np.linalg.norm(exact)


def lesson(out: Lesson) -> None:
    """The noise of a batch's gradient, and ten passes with batches of three sizes."""
    x, y = xn.datasets.digits()
    x /= 16
    out.claim(
        "the noise of a batch's gradient falls as 1/√m; small batches learn sooner"
    )
    sizes = 2 ** np.arange(8)
    errors = noise(x, y, sizes)
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    out.number(f"gradient noise with batches of {sizes}", errors)
    out.check(f"noise ∝ m^{slope:.2f}, within 0.1 of -1/2", abs(slope + 0.5) < 0.1)
    losses, final = {}, []
    for size, rate in RATES.items():
        trainer, start = trainer_for(rate), time.perf_counter()
        history = trainer.fit(x, y, epochs=EPOCHS, batch_size=size, verbose=False)
        seconds = time.perf_counter() - start
        final.append(trainer.evaluate(x, y)["loss"])
        row = {"steps": trainer.steps_done, "seconds": seconds, "loss": final[-1]}
        out.number(f"batches of {size}, {EPOCHS} epochs", row)
        losses[f"batches of {size}"] = history["loss"]
    one, some, every = final
    text = f"loss with 1 < 32 < all: {one:.3f} < {some:.3f} < {every:.3f}"
    out.check(text, one < some < every)
    with out.figure("noise", columns=2) as (left, right):
        pair = {"measured": errors, "∝ 1/√m": errors[0] / np.sqrt(sizes)}
        curves(left, pair, sizes, "batch size m", "gradient noise ‖gₘ - g‖ / ‖g‖")
        left.set_xscale("log", base=2)
        curves(right, losses)


if __name__ == "__main__":
    main(lesson)
