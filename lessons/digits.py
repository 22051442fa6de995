"""Handwritten digits: a small net, what it learns and what it gets wrong.

64 pixels, 15 hidden units, 10 classes: 64·15 + 15 + 15·10 + 10 = 1,135 parameters,
trained by softmax and cross-entropy, for which δ at the output is p - t, on four fifths
of 1,797 digits, and tested on the rest. Each hidden unit is a template: its 64 weights,
drawn as an image, show where ink raises its output and where ink lowers it.

With MNIST's four files in a folder (`--data DIR` or XPNET_MNIST), the net with 784
pixels and 11,935 parameters is trained on them in the same way.

    python lessons/digits.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, confusion, curves, images, main


def train(train_part, test_part, seed=0, epochs=60, batch=32):
    """A trainer of pixels-15-10, its curves measured on the test part."""
    model = xn.Sequential([xn.Dense(15, activation="tanh"), xn.Dense(10)])
    steps = epochs * -(-len(train_part[0]) // batch)
    adam = xn.Adam(xn.Cosine(0.01, steps), l2=1e-4)
    trainer = xn.Trainer(model, "softmax_cross_entropy", adam, "cpu", seed=seed)
    trainer.fit(*train_part, epochs, batch, test_part, verbose=False)
    return trainer


def mnist(out):
    """The larger net: its size in any case, its accuracy where the files are."""
    large = xn.Sequential([xn.Dense(15, activation="tanh"), xn.Dense(10)])
    count = large.build(784).parameter_count
    out.check(f"784-15-10 has {count:,} parameters, 11,935 by hand", count == 11_935)
    if out.data is None:
        out.note("MNIST not run: name the folder of its files by --data or XPNET_MNIST")
        return
    data = xn.load_mnist(out.data)
    x, xt = (part / np.float32(255) for part in (data.x, data.x_test))
    test = xt, data.y_test
    score = train((x, data.y), test, epochs=10, batch=100).evaluate(*test)["accuracy"]
    out.check(f"MNIST: {score:.2%} of {len(xt):,} right, over 90%", score > 0.9)


def lesson(out: Lesson) -> None:
    """Curves, confusion, mistakes and weights of 64-15-10."""
    out.claim("1,135 parameters read over 92% of the digits that they have not seen")
    x, y = xn.datasets.digits()
    scores = []
    for seed in reversed(range(3)):  # the last, seed 0, is the one in the pictures
        parts = xn.split(x / np.float32(16), y, (0.8, 0.2), stratify=True, seed=seed)
        trainer = train(*parts, seed)
        scores.append(trainer.evaluate(*parts[1])["accuracy"])
    xt, yt = parts[1]
    said = trainer.predict_classes(xt)
    out.number("parameters of 64-15-10", trainer.model.parameter_count)
    out.number("accuracy on the rest, three splits", scores)
    out.check(f"{min(scores):.1%} of the rest right, over 92%", min(scores) > 0.92)
    mnist(out)
    with out.figure("curves", columns=2) as (left, right):
        history = trainer.history
        curves(left, {"training": history["loss"], "test": history["val_loss"]})
        accuracy = {"test": history["val_accuracy"]}
        curves(right, accuracy, ylabel="test accuracy", log=False)
    with out.figure("confusion", size=(4.6, 4.6)) as axes:
        confusion(axes, xn.confusion_matrix(said, yt, 10), range(10))
    wrong = np.flatnonzero(said != yt)[:10]
    with out.figure("mistakes", rows=2, columns=5, size=(1.3, 1.5)) as panels:
        titles = [f"{yt[i]}, read as {said[i]}" for i in wrong]
        images(panels, xt[wrong], (8, 8), titles)
    with out.figure("weights", rows=3, columns=5, size=(1.1, 1.2)) as panels:
        drawn = images(panels, trainer.parameters()["0.W"].T, (8, 8), signed=True)
        panels[0].figure.colorbar(drawn, ax=panels, label="weight")


if __name__ == "__main__":
    main(lesson)
