"""Remedies: what each is for, and whether it helps.

A training that does well needs none, so each remedy gets a failing run. Nets that
memorise errors: penalties keep weights small (L2) or few (L1, and the elastic net for
groups of features), max-norm limits the weights of each unit, dropout and noise on the
inputs leave nothing exact to memorise, early stopping no time. δ that vanishes: a
normalisation rescales each layer. Weights that are all 0: noise on the gradient makes
them differ. Features of unequal size: after scaling one rate suits all. Noisy steps on
single samples: a decaying rate, clipping or averaged weights make them smaller.

The same rule for all, set beforehand: a remedy works if it takes a fifth or more off
the test loss, in the median over the seeds.

    python lessons/remedies.py
"""

from typing import Any

import numpy as np

import xpnet as xn
from xpnet.lessons.support import COLORS, Lesson, main
from xpnet.lessons.support.failing_runs import FAILING_RUNS, deep, wide

WORKS = 0.8
BY_HEART, SINGLE = "30% of labels random", "single samples"
REMEDIES: dict[str, tuple[str, dict[str, Any]]] = {  # failing run, change
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
    """Each failing run without and with its remedy."""
    out.claim(f"each remedy takes the test loss of its run to {WORKS} of it or less")
    seeds, found = range(out.size(5, 1)), {}
    runs = FAILING_RUNS.items()
    without = {name: np.median([run.loss(s) for s in seeds]) for name, run in runs}
    for name, (run, remedy) in REMEDIES.items():
        better = FAILING_RUNS[run].with_remedy(**remedy)
        pair = without[run], np.median([better.loss(s) for s in seeds])
        found[f"{name}\n{run}"] = pair
        out.number(f"{name}: loss without, with", pair)
        text = f"{name} ({run}): {pair[0]:.3g} to {pair[1]:.3g}"
        out.check(text, pair[1] <= WORKS * pair[0])
    with out.figure("losses", size=(6.5, 7.5)) as axes:
        before, after, rows = *zip(*found.values(), strict=True), range(len(found))
        axes.hlines(rows, before, after, color="grey")
        axes.plot(before, rows, "o", color=COLORS[1], label="without")
        axes.plot(after, rows, "D", color=COLORS[0], label="with")
        axes.set_yticks(rows, found)
        axes.set(xlabel="test loss", ylabel="remedy and failing run", xscale="log")
        axes.invert_yaxis()
        axes.legend()


if __name__ == "__main__":
    main(lesson)
