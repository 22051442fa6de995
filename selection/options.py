"""The options of every search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from xpnet.common import (
    check_flag,
    check_number,
    check_optional_flag,
    check_whole,
    choose,
    nearest,
)
from xpnet.data import SCALERS
from xpnet.training.callbacks import Callback, check_callbacks
from xpnet.training.history import check_mode
from xpnet.training.inputs import DEFAULT_BATCH

EPOCHS = 30
Folds = int | str | Sequence[Any]


class Options(TypedDict, total=False):
    """Keyword arguments of the searches.

    Attributes:
        folds: how many [5], "leave_one_out", or (train, test) pairs of row numbers.
        stratify: keep the shares of the classes [where y holds labels].
        groups: see `k_folds`.
        repeats: see `k_folds` [1]; each repeat has another seed too.
        test: share of the samples that is set aside first and is in no fold [0]; the
            best setting is trained on all others and scored on it, once.
        epochs: passes over the training part [30]; may be a setting.
        batch_size: samples per update [32, or all of fewer samples]; may be a setting.
        callbacks: each network gets a copy. They do not get the test part: "val_"
            curves need `validation`.
        validation: share of each training part that is held out for the callbacks [0].
        sample_weight: (samples,), wᵢ ≥ 0, in training and in scores.
        class_weight: {label: weight}, or "balanced" over each training part.
        scale: "standard" or "minmax" scaling of the inputs, fitted on each training
            part.
        scale_y: whether to standardise y (samples, n) in the same way. Metrics are in
            units of y, the loss in deviations.
        monitor: the score that decides: "loss" or a metric's name [r2 if it is defined
            on every test part, else the first metric].
        mode: "max" if a higher score is better, "min" if a lower one is [that of the
            metric, see `Metric`].
        seed: of the folds; if `make` has an argument `seed`, it gets this plus the
            number of the repeat.
        memory: the most bytes of a stack [half of the free memory].
        at_once: the most networks in one stack [128].
        file: stores finished networks, and without callbacks the state of a long stack;
            the same search reads it and continues. Networks that `make` now makes
            differently are trained again. Other data, folds or options are an error,
            and so is a second search with the file at the same time.
        verbose: a bar with the time left; None shows it on a terminal only.
    """

    folds: Folds
    stratify: bool | None
    groups: Any
    repeats: int
    test: float
    epochs: int
    batch_size: int | None
    callbacks: Sequence[Callback] | Callback
    validation: float
    sample_weight: Any
    class_weight: Any
    scale: str | None
    scale_y: bool
    monitor: str | None
    mode: str | None
    seed: int
    memory: float | None
    at_once: int
    file: str | Path | None
    verbose: bool | None


@dataclass(frozen=True)
class Checked:
    """The options with their defaults, checked as far as possible without data."""

    folds: Folds = 5
    stratify: bool | None = None
    groups: Any = None
    repeats: int = 1
    test: float = 0.0
    epochs: int = EPOCHS
    batch_size: int | None = DEFAULT_BATCH
    callbacks: Sequence[Callback] | Callback = ()
    validation: float = 0.0
    sample_weight: Any = None
    class_weight: Any = None
    scale: str | None = None
    scale_y: bool = False
    monitor: str | None = None
    mode: str | None = None
    seed: int = 0
    memory: float | None = None
    at_once: int = 128
    file: str | Path | None = None
    verbose: bool | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], without: str = "") -> "Checked":
        """The options of a search that has all of them but `without`.

        Raises:
            TypeError: a misspelt option.
            ValueError: an unfit one.
        """
        known = set(Options.__annotations__) - {without}
        for name in options:
            if name not in known:
                raise TypeError(f"unknown option {name!r}; {nearest(name, known)}")
        found = cls(**options)
        check_whole("", "epochs", found.epochs, 1)
        check_whole("", "at_once", found.at_once, 1)
        check_whole("", "seed", found.seed, 0)
        check_number("", found.validation, "0 <= validation < 1", lambda v: 0 <= v < 1)
        check_flag("", "scale_y", found.scale_y)
        check_optional_flag("", "verbose", found.verbose)
        check_callbacks(found.callbacks)
        if not isinstance(found.monitor, str | None):
            raise TypeError(
                f"monitor: expected the name of one score, got {found.monitor!r}"
            )
        check_mode("", found.mode)
        if found.scale is not None:
            choose(found.scale, SCALERS, "scale")
        return replace(
            found,
            stratify=check_optional_flag("", "stratify", found.stratify),
            repeats=check_whole("", "repeats", found.repeats, 1),
            test=check_number("", found.test, "0 <= test < 1", lambda t: 0 <= t < 1),
        )
