"""A race of all update rules: a bent valley, a saddle, and a long valley.

Beale's function is steep at its sides and nearly flat on the way to its minimum; the
saddle is flat at the start, 0.001 beside the ridge; the long valley is κ = 100 times
steeper across than along: plain descent needs about κ steps there, momentum about √κ.
Every rule gets the best of the same nine learning rates, the minimisers (L-BFGS, random
search, grid, genetic algorithm) their defaults. The score is the number of evaluations
of f or its gradient until f is within 10⁻³ of the minimum.

    python lessons/race.py
"""

import numpy as np

from xpnet.lessons.support import FIELDS, Lesson, contour, main, path
from xpnet.optim import MINIMIZERS, OPTIMIZERS, VARIANTS, descend

RATES, NEAR, NEVER = 10.0 ** np.arange(-3, 1.5, 0.5), 1e-3, 10**9
RULES = OPTIMIZERS | VARIANTS


def follow(make, field, rates):
    """(evaluations until f < NEAR, the path) with the best of the rates."""
    best = NEVER, np.array([field.start])
    for rate in rates:
        visited = descend(make(rate), field.slope, field.start, 500)
        near = np.flatnonzero(field(visited) < NEAR)
        if len(near) and near[0] < best[0]:
            best = int(near[0]), visited[: near[0] + 1]
    return best


def search(kind, field):
    """The same of a method that evaluates as often as it likes."""
    found = kind().minimize(field, field.slope, field.start, 60)
    if found.value >= NEAR:
        return NEVER, found.path
    steps = int(np.argmax(found.values < NEAR))
    found = kind().minimize(field, field.slope, field.start, steps)
    return found.evaluations, found.path


def lesson(out: Lesson) -> None:
    """Every method on every field."""
    out.claim("L-BFGS wins on Beale; scaled steps and momentum beat plain descent")
    counts, rates = {}, RATES[2:7] if out.quick else RATES
    with out.figure("paths", rows=3, columns=4, size=(3.6, 3.2)) as panels:
        for row, (name, field) in enumerate(FIELDS.items()):
            runs = {rule: follow(make, field, rates) for rule, make in RULES.items()}
            runs |= {rule: search(kind, field) for rule, kind in MINIMIZERS.items()}
            counts[name] = {rule: count for rule, (count, _) in runs.items()}
            words = {r: "never" if n == NEVER else n for r, n in counts[name].items()}
            out.number(f"{name}: evaluations", words)
            for i, names in enumerate(np.array_split(list(runs), 4)):
                axes = panels[4 * row + i]
                contour(axes, field, field.x, field.y)
                for j, rule in enumerate(names):
                    path(axes, runs[rule][1], f"{rule}: {words[rule]}", j)
                axes.set(xlabel="x", ylabel="y", title=name)
                axes.legend(fontsize=7)
    on_beale, on_saddle, in_valley = counts.values()
    line, rule = on_beale["lbfgs"], min(on_beale[rule] for rule in RULES)
    out.check(f"Beale: L-BFGS {line}, the best rule {rule}", line < rule)
    plain, scaled = (on_saddle[rule] for rule in ("sgd", "rmsprop"))
    out.check(f"saddle: RMSprop {scaled}, plain descent {plain}", scaled < plain)
    plain, heavy = (in_valley[rule] for rule in ("sgd", "momentum"))
    text = f"valley: momentum {heavy}, plain descent {plain}, over 3 times as many"
    out.check(text, plain > 3 * heavy)


if __name__ == "__main__":
    main(lesson)
