"""The searches: cross-validation, grids, random draws, halving, learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from xpnet.common import check_number, check_whole
from xpnet.data import split_indices
from xpnet.selection.curve import LearningCurve
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.folds import check_folds, k_folds
from xpnet.selection.halving import Halving
from xpnet.selection.material import Part, is_labels
from xpnet.selection.options import Checked, Options
from xpnet.selection.refit import refit
from xpnet.selection.results import Results
from xpnet.selection.runner import Maker, Runner, data
from xpnet.selection.space import Settings, check_names, draws, grid

Folds = int | str | Sequence[Any]


def cross_validate(
    make: Maker,
    x: Any,
    y: Any,
    settings: Mapping[str, Any] | None = None,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    **options: Unpack[Options],
) -> Results:
    """How well networks made by `make` do on samples that they have not seen.

    All folds train at once, as one stack. Stone, "Cross-validatory choice and
    assessment of statistical predictions" (1974).

    Args:
        make: settings -> a new `Trainer`.
        x, y: (samples, *sample) and targets as for `Trainer.fit`, on the host.
        settings: arguments of `make`, and `epochs`, `batch_size`.
        folds: how many, "leave_one_out", or (train, test) pairs of row numbers.
        stratify: keep the shares of the classes; None: where y holds labels.
        groups: see `k_folds`.
        repeats: see `k_folds`; each repeat has another seed too.
        options: see `Options`.

    Returns:
        `Results` with one trial.

    Raises:
        ValueError, TypeError: unfit data, folds or options.
    """
    known = {k: [v] for k, v in check_names(make, settings or {}).items()}
    return _searched(make, x, y, grid(known), folds, stratify, groups, repeats, options)


def grid_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Sequence[Any]],
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Every combination of values on every fold.

    Settings of one architecture train as one stack, other architectures as stacks of
    their own.

        def make(learning_rate=1e-3, l2=0.0, hidden=64, seed=0):
            layers = [xn.Dense(hidden, "relu"), xn.Dense(10)]
            rule = xn.Adam(learning_rate, l2=l2)
            return xn.Trainer(
                xn.Sequential(layers), "softmax_cross_entropy", rule, seed=seed
            )

        found = xn.grid_search(
            make, x, y, {"learning_rate": [1e-3, 3e-3], "hidden": [64, 128]},
            epochs=30, scale="standard", test=0.2,
        )
        print(found)  # a table, best first
        found.best.settings, found.test

    Args:
        make, x, y, folds, stratify, groups, repeats, options: as for `cross_validate`.
        space: {name: values} for arguments of `make`, and `epochs`, `batch_size`.
        test: share of the samples that is set aside first and seen by no fold; the
            best setting is trained on all others and scored on it, once.

    Returns:
        `Results`, a trial a combination.

    Raises:
        ValueError, TypeError: a misspelt name, unfit values, data, folds or options.
    """
    rows = grid(check_names(make, space))
    return _searched(make, x, y, rows, folds, stratify, groups, repeats, options, test)


def random_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 20,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Settings drawn from ranges: better than a grid where few of many matter.

    Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13
    (2012). Arguments, results and errors as for `grid_search`; `space` may hold
    `Uniform` and `LogUniform` ranges beside lists, and `trials` settings are drawn.
    """
    seed = options.get("seed", 0)
    rows = draws(check_names(make, space), trials, seed)
    return _searched(make, x, y, rows, folds, stratify, groups, repeats, options, test)


def halving_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 27,
    factor: float = 3.0,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Many settings for few epochs, the best of them for more, and so on.

    The best 1/factor of the settings goes on where it is, for `factor` times as many
    epochs in all; the last round reaches `epochs`. Jamieson and Talwalkar,
    "Non-stochastic best arm identification and hyperparameter optimization" (AISTATS
    2016). A setting that left early keeps the score that it had then, and cannot be the
    best.

    Args:
        trials: settings drawn; where `space` holds lists alone, at most all.
        factor: above 1.
        make, x, y, folds, stratify, groups, test, options: as for `grid_search`;
            `callbacks` and `file` are not taken.

    Raises:
        ValueError, TypeError: as `grid_search`.
    """
    checked = Checked.of(options)
    factor = check_number("", factor, "factor > 1", lambda f: f > 1.0)
    rows = draws(check_names(make, space), trials, checked.seed)
    x, y = data(x, y)
    kept, aside = _set_aside(y, test, checked, groups)
    parts = _parts(y[kept], folds, stratify, _taken(groups, kept), 1, checked.seed)
    runner = Runner(make, x[kept], y[kept], parts, _taken_options(checked, kept))
    results = Halving(runner, factor).run(rows)
    return _tested(make, x, y, kept, aside, results, checked)


def learning_curve(
    make: Maker,
    x: Any,
    y: Any,
    sizes: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 1.0),
    settings: Mapping[str, Any] | None = None,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    **options: Unpack[Options],
) -> LearningCurve:
    """Scores against the number of training samples: would more data help?

    For every fold the first samples of its training part, in a random order, of each
    size: a larger part contains the smaller ones. All sizes and folds are one stack.

    Args:
        sizes: shares of the training part in (0, 1], or whole numbers of samples.
        make, x, y, settings, folds, stratify, groups, repeats, options: as for
            `cross_validate`.

    Raises:
        ValueError, TypeError: as `cross_validate`; sizes that a training part has not.
    """
    checked = Checked.of(options)
    known = grid({k: [v] for k, v in check_names(make, settings or {}).items()})
    x, y = data(x, y)
    whole = _parts(y, folds, stratify, groups, repeats, checked.seed)
    counts = _counts(sizes, min(len(part.train) for part in whole))
    parts = [p for count in counts for p in _shrunk(whole, count, checked.seed)]
    runner = Runner(make, x, y, parts, checked, train_scores=True)
    return LearningCurve(runner.run(known), counts, len(whole))


def _searched(
    make: Maker,
    x: Any,
    y: Any,
    rows: list[Settings],
    folds: Folds,
    stratify: bool | None,
    groups: Any,
    repeats: int,
    options: Any,
    test: float = 0.0,
) -> Results:
    checked = Checked.of(options)
    x, y = data(x, y)
    kept, aside = _set_aside(y, test, checked, groups)
    parts = _parts(
        y[kept], folds, stratify, _taken(groups, kept), repeats, checked.seed
    )
    runner = Runner(make, x[kept], y[kept], parts, _taken_options(checked, kept))
    return _tested(make, x, y, kept, aside, runner.run(rows), checked)


def _parts(
    y: Any, folds: Folds, stratify: bool | None, groups: Any, repeats: int, seed: int
) -> list[Part]:
    if not isinstance(folds, int | np.integer | str):
        return [Part(*fold) for fold in check_folds(folds, len(y))]
    labels = None
    if stratify or (stratify is None and groups is None and folds != "leave_one_out"):
        labels = y if stratify or is_labels(y) else None
    found = k_folds(
        len(y), folds, stratify=labels, groups=groups, repeats=repeats, seed=seed
    )
    k = len(found) // repeats
    return [Part(train, test, i // k) for i, (train, test) in enumerate(found)]


def _set_aside(y: Any, test: float, options: Checked, groups: Any) -> tuple[Any, Any]:
    """(rows to search on, rows that nothing is chosen on)."""
    test = check_number("", test, "0 <= test < 1", lambda t: 0.0 <= t < 1.0)
    if not test:
        return np.arange(len(y)), np.arange(0)
    if groups is not None:
        parts = max(2, round(1.0 / test))
        kept, aside = k_folds(len(y), parts, groups=groups, seed=options.seed)[0]
        return kept, aside
    labels = y if is_labels(y) else None
    kept, aside = split_indices(len(y), (1.0 - test, test), labels, options.seed)
    return np.sort(kept), np.sort(aside)


def _taken(values: Any, rows: Any) -> Any:
    return None if values is None else np.asarray(values)[rows]


def _taken_options(options: Checked, rows: Any) -> Checked:
    return replace(options, sample_weight=_taken(options.sample_weight, rows))


def _tested(
    make: Maker,
    x: Any,
    y: Any,
    kept: Any,
    aside: Any,
    results: Results,
    options: Checked,
) -> Results:
    """The results, able to refit; the best setting is scored on the test part."""

    def again(settings: Settings, members: int) -> Ensemble:
        return refit(make, settings, x, y, kept, options, members)

    results.again = again
    if len(aside) and not results.interrupted:
        weights = options.sample_weight
        results.test = results.refit().score(x, y, aside, weights)
    return results


def _counts(sizes: Sequence[float], most: int) -> list[int]:
    """Sizes as numbers of samples, rising."""
    found = set()
    for size in sizes:
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if whole and size > 1:
            found.add(check_whole("", "sizes", size, 1, most))
        else:
            share = check_number("", size, "0 < sizes <= 1", lambda s: 0.0 < s <= 1.0)
            found.add(max(1, round(share * most)))
    if not found:
        raise ValueError("sizes: expected at least one, got none")
    return sorted(found)


def _shrunk(parts: list[Part], count: int, seed: int) -> list[Part]:
    """Every part with `count` of its training samples."""
    found = []
    for i, part in enumerate(parts):
        key = np.random.SeedSequence((seed, i))
        rows = np.random.Generator(np.random.Philox(key)).permutation(part.train)
        found.append(Part(np.sort(rows[:count]), part.test, part.repeat))
    return found
