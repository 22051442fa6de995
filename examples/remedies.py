"""Remedies: what each is for, and whether it cures it.

A healthy net needs none, so each gets a patient. Nets that learn errors by heart:
penalties keep weights small (L2) or few (L1, and the elastic net where features come in
groups), max-norm keeps each unit's small, dropout and noise on the inputs leave nothing
exact to rely on, early stopping no time. δ that vanishes: a normalisation brings layers
back to size. Weights that are all 0: noise on the gradient tells them apart. Features
of unequal size: once scaled, one rate suits all. Steps thrown about by single samples:
a rate that decays, clipping and the average of the weights calm them.

Said beforehand, for all of them: a cure takes a fifth or more off the test loss, in the
median over the seeds.

    python examples/remedies.py
"""

from typing import Any

import numpy as np

import xpnet as xn
from xpnet.gallery import COLORS, Lesson, main
from xpnet.gallery.patients import PATIENTS, deep, wide

CURED = 0.8
BY_HEART, SINGLE = "30% of labels random", "single samples"
REMEDIES: dict[str, tuple[str, dict[str, Any]]] = {  # patient, change
    "L1": ("3 of 50 features matter", {"rule": xn.SGD(0.02, l1=0.5)}),
    "L2": ("50 features, 60 samples", {"rule": xn.SGD(0.02, l2=0.5)}),
    "elastic net": ("2 of 20 trios matter", {"rule": xn.SGD(0.02, l1=0.3, l2=0.3)}),
    "max-norm": (BY_HEART, {"layers": wide(max_norm=0.3)}),
    "dropout": (BY_HEART, {"layers": wide(behind=[xn.Dropout(0.5)])}),
    "input noise": (BY_HEART, {"layers": wide(xn.GaussianNoise(0.5))}),
    "early stopping": (BY_HEART, {"callbacks": [xn.EarlyStopping(patience=20)]}),
    "batch norm": (
        "six sigmoid layers",
        {"layers": deep("sigmoid", "glorot_uniform", xn.BatchNorm)},
    ),
    "layer norm": (
        "six layers, small weights",
        {"layers": deep("tanh", "normal", xn.LayerNorm)},
    ),
    "gradient noise": (
        "all weights 0 at first",
        {"rule": xn.SGD(0.1, gradient_noise=0.01)},
    ),
    "scaling": ("a feature 100 times smaller", {"scaler": xn.Standardizer}),
    "decay": (SINGLE, {"rule": xn.SGD(xn.ExponentialDecay(0.1, 1000))}),
    "averaging": (SINGLE, {"average": xn.WeightAverage(1.0, start=2000)}),
    "clipping": ("wild errors", {"rule": xn.SGD(0.02, clip_norm=1.0)}),
}


def lesson(out: Lesson) -> None:
    """Each patient without and with its remedy."""
    out.claim(f"each remedy takes its patient's test loss to {CURED} of it or less")
    seeds, found = range(out.size(5, 2)), {}
    ill = {k: np.median([p.loss(s) for s in seeds]) for k, p in PATIENTS.items()}
    for name, (patient, remedy) in REMEDIES.items():
        treated = PATIENTS[patient].treated(**remedy)
        pair = ill[patient], np.median([treated.loss(s) for s in seeds])
        found[f"{name}\n{patient}"] = pair
        out.number(f"{name}: loss without, with", pair)
        text = f"{name} ({patient}): {pair[0]:.3g} to {pair[1]:.3g}"
        out.check(text, pair[1] <= CURED * pair[0])
    with out.figure("losses", size=(6.5, 7.5)) as axes:
        without, cured, rows = *zip(*found.values(), strict=True), range(len(found))
        axes.hlines(rows, without, cured, color="grey")
        axes.plot(without, rows, "o", color=COLORS[1], label="without")
        axes.plot(cured, rows, "D", color=COLORS[0], label="with")
        axes.set_yticks(rows, found)
        axes.set(xlabel="test loss", ylabel="remedy and patient", xscale="log")
        axes.invert_yaxis()
        axes.legend()


if __name__ == "__main__":
    main(lesson)
