"""What every search takes besides its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
# Taken by the searches beside their options.
OTHERS = ("folds", "groups", "repeats", "stratify", "test")


class Options(TypedDict, total=False):
    """Keyword arguments of the searches.

    Attributes:
        epochs: passes over the training part [30]; may be a setting too.
        batch_size: samples an update [32, or all if there are fewer]; likewise.
        callbacks: every network has its own copy; what they watch must not be the test
            part, so "val_" curves need `validation`.
        validation: share of each training part that is held out for the callbacks [0].
        sample_weight: (samples,), wᵢ ≥ 0, in training and in scores.
        class_weight: {label: weight}, or "balanced" over each training part.
        scale: "standard" or "minmax": of the inputs, fitted on each training part.
        scale_y: whether y (samples, n) is standardised likewise; metrics are in units
            of y all the same, the loss is in deviations.
        monitor: the score that decides: "loss" or a metric's name [r2 where it is
            defined on every test part, else the first metric].
        mode: "max" where a higher one is better, "min" where a lower is [what the
            metric says, see `Metric`].
        seed: of the folds; a maker that takes `seed` is given it, plus the number of
            the repeat.
        memory: bytes that a stack may take [half of what is free].
        at_once: networks in one stack, at most [128].
        file: where finished networks are kept, and without callbacks a long stack amid
            its training; run again, the search goes on there. Networks that `make`
            gives otherwise by then are trained again; other data, folds or options are
            an error, and so is a second search with the file.
        verbose: a bar with the time left; None shows it on a terminal only.
    """

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
    """The options with their defaults, checked as far as they can be without data."""

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
    def of(cls, options: Mapping[str, Any]) -> "Checked":
        """Raises TypeError for a misspelt option, ValueError for an unfit one."""
        known = set(Options.__annotations__)
        for name in options:
            if name not in known:
                hint = nearest(name, known.union(OTHERS))
                raise TypeError(f"unknown option {name!r}; {hint}")
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
        return found
