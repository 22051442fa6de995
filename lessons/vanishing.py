"""Vanishing: how small δ gets, at a saturated output and down through the layers.

At the output, squared error on a sigmoid gives δ = (2/n) (a - t) a (1 - a), which is
about 0 where a is at 0 or 1, even if t is the other one. Cross-entropy on the softmax
gives δ = y - t: the wronger, the larger. Each layer further down,

    δ[l] = f'(z[l]) ⊙ (δ[l+1] W[l+1]ᵀ),     multiplies δ by about √(n Var(W) E[f'²]).

With sigmoids, f' ≤ ¼, that is little; Glorot's and He's W make it 1 for tanh and ReLU.

    python lessons/vanishing.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, curves, main

SEED, WIDTH, DEPTH, EPOCHS = 0, 100, 12, 10
SURE = np.array([8.0] + 9 * [-8.0])  # biases of outputs that are sure of a 0
DRAWS = ("normal", "glorot_uniform", "he_normal")


def recover(activation, loss):
    """Σ|δ| over the outputs, mean of the first step; and test accuracy by epoch."""
    (x, y), (xt, yt) = xn.split(*xn.datasets.digits(), (0.7, 0.3), seed=SEED)
    model = xn.Sequential([xn.Dense(30, "tanh"), xn.Dense(10, activation)])
    trainer = xn.Trainer(model, loss, xn.SGD(0.2), "cpu", seed=SEED)
    trainer.build(64)
    trainer.parameters()["1.b"][...] = SURE
    trainer.step(x / 16, np.eye(10)[y])
    delta, right = np.abs(trainer.gradients()["1.b"]).sum(), []
    for _ in range(EPOCHS):
        trainer.fit(x / 16, np.eye(10)[y], epochs=1, batch_size=32, verbose=False)
        right.append((trainer.predict(xt / 16).argmax(axis=1) == yt).mean())
    return delta, right


def fade(activation, draw):
    """|δ| (rms) of each layer below a random ∂J/∂a, and the factor expected a layer."""
    rng, depths = np.random.default_rng(SEED), range(DEPTH + 1)
    layers = [xn.Dense(WIDTH, activation, initializer=draw) for _ in depths]
    model = xn.Sequential(layers).build(WIDTH)
    model.allocate(xn.get_backend("cpu"), np.dtype(float), (SEED,))
    model.forward(rng.standard_normal((200, WIDTH)))
    grad, sizes, squares = rng.standard_normal((200, WIDTH)), [], []
    for layer in reversed(layers):
        delta = layer.f.backward(grad)
        sizes.append(np.sqrt((delta**2).mean()))
        slope = layer.f.row.derivative(layer.f.z, layer.f.a)
        squares.append((slope**2.0).mean() * WIDTH * layer.W.var())
        grad = layer.backward(grad)
    return sizes[::-1], np.sqrt(squares[1:]).prod() ** (1 / DEPTH)


def lesson(out: Lesson) -> None:
    """The output layer; then δ by depth."""
    out.claim("a sure, wrong sigmoid with squared error is stuck; softmax recovers")
    small, stuck = recover("sigmoid", "mean_squared_error")
    large, freed = recover(None, "softmax_cross_entropy")
    out.number("Σ|δ| of the first step: squared error, cross-entropy", [small, large])
    text = f"{stuck[-1]:.0%} against {freed[-1]:.0%} right after {EPOCHS} epochs"
    out.check(text, small < large / 100 and stuck[-1] < 0.3 and freed[-1] > 0.9)
    first = {"sigmoid, squared error": stuck, "softmax, cross-entropy": freed}
    out.claim("each layer multiplies δ by about √(n Var(W) E[f'²])")
    with out.figure("delta", columns=4, size=(3.9, 3.6)) as panels:
        curves(panels[0], first, ylabel="accuracy on the test set", log=False)
        for axes, f in zip(panels[1:], ("sigmoid", "tanh", "relu"), strict=True):
            rows = {draw: fade(f, draw) for draw in DRAWS}
            for draw, (sizes, expected) in rows.items():
                factor = (sizes[0] / sizes[-1]) ** (1 / DEPTH)
                text = f"{f}, {draw}: {factor:.2f} a layer, expected {expected:.2f}"
                out.check(text, abs(factor / expected - 1) < 0.1)
            curves(axes, {k: v[0] for k, v in rows.items()}, None, "layer", "|δ| (rms)")
            axes.set(title=f, ylim=(1e-13, 10))


if __name__ == "__main__":
    main(lesson)
