"""By hand: one step of a 2-2-2 network, every number written out.

One sample forward through two layers of sigmoids, its error backward, and an update:

    z[l] = a[l-1] W[l] + b[l]        a[l] = σ(z[l])        σ' = a (1 - a)
    δ[2] = (a[2] - t) a[2] (1 - a[2])                      J = ½ Σ (a[2] - t)²
    δ[1] = (δ[2] W[2]ᵀ) a[1] (1 - a[1])
    dW[l] = a[l-1]ᵀ δ[l]             W[l] ← W[l] - η dW[l]

Each entry prints how it was computed, and the trainer must find the same numbers.

    python lessons/worked.py
"""

import numpy as np

import xpnet as xn
from xpnet.lessons.support import Lesson, main
from xpnet.lessons.support.shown import plain, shown, sigmoid

X, T, ONE, RATE = shown([[[0.5, -1.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[2.0, 2.0]]])
W = dict(enumerate(shown([[[0.4, -0.6], [0.2, 0.8]], [[0.7, -0.5], [0.9, 0.2]]]), 1))
b = dict(enumerate(shown([[[0.1, -0.2]], [[-0.3, 0.25]]]), 1))


def lesson(out: Lesson) -> None:
    """Forward, back and update by hand; then the trainer's step beside it."""
    out.claim("the equations by hand give what the trainer computes")
    hand, a, delta = {}, {0: X}, {}

    def show(name, array):
        """Print how each entry was computed; returns the plain numbers."""
        for place, n in np.ndenumerate(array):
            index = place if len(array) > 1 else place[1:]
            out.number(f"{name}{''.join('₁₂'[i] for i in index)} = {n.text}", n.value)
        hand[name] = plain(array)
        return shown(hand[name])

    for n in (1, 2):
        a[n] = show(f"a[{n}]", sigmoid(show(f"z[{n}]", a[n - 1] @ W[n] + b[n])))
    delta[2] = show("δ[2]", (a[2] - T) * a[2] * (ONE - a[2]))
    delta[1] = show("δ[1]", (delta[2] @ W[2].T) * a[1] * (ONE - a[1]))
    for n in (1, 2):
        show(f"new W[{n}]", W[n] - RATE * show(f"dW[{n}]", a[n - 1].T @ delta[n]))
        show(f"new b[{n}]", b[n] - RATE * delta[n])  # one sample: db = δ
    layers, rule = [xn.Dense(2, "sigmoid"), xn.Dense(2, "sigmoid")], xn.SGD(2.0)
    model, loss = xn.Sequential(layers), "mean_squared_error"  # of two outputs: ½ Σ
    trainer = xn.Trainer(model, loss, rule, "cpu", "float64", eager=True)
    trainer.build(2)
    for n, layer in enumerate(layers, 1):
        layer.W[...], layer.b[...] = plain(W[n]), plain(b[n])
    trainer.step(plain(X), plain(T))
    off = 0.0
    for n, layer in enumerate(layers, 1):
        theirs = {f"z[{n}]": layer.f.z, f"a[{n}]": layer.f.a, f"δ[{n}]": layer.db}
        theirs |= {f"dW[{n}]": layer.dW, f"new W[{n}]": layer.W, f"new b[{n}]": layer.b}
        off = max(off, *(np.abs(hand[name] - v).max() for name, v in theirs.items()))
    out.check(f"all {len(out.numbers)} are the trainer's, to {off:.0e}", off < 1e-14)
    with out.figure("network", size=(8, 4)) as axes:
        picture(axes, hand)


def picture(axes, hand):
    """Units with a and δ; on each arrow its weight, before and after."""
    axes.set_axis_off()
    axes.set(xlim=(-0.2, 2.2), ylim=(-1.25, 0.25))
    for (n, k), a in np.ndenumerate([plain(X)[0], hand["a[1]"][0], hand["a[2]"][0]]):
        look = {"ha": "center", "va": "center", "backgroundcolor": "white"}
        for j in (0, 1) if n else ():
            axes.plot([n - 1, n], [-j, -k], color="#0072B2", zorder=0)
            text = f"{W[n][j, k].text} → {hand[f'new W[{n}]'][j, k]:.3f}"
            axes.text(n - 0.68, -j + 0.32 * (j - k), text, **look)
        delta = f"\nδ {hand[f'δ[{n}]'][0, k]:+.3f}" if n else ""
        box = {"boxstyle": "circle", "fc": "white"}
        axes.text(n, -k, f"a {a:.3f}{delta}", **look, bbox=box)


if __name__ == "__main__":
    main(lesson)
