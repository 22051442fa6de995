"""Jobs of a search, one per network: their stacks, trainings, scores and errors."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.selection.fold_data import FoldData
from xpnet.selection.options import Checked
from xpnet.selection.results import Scores, Trial, shown_settings
from xpnet.selection.space import Settings
from xpnet.selection.store import settings_text
from xpnet.stack import Stack
from xpnet.training.trainer import Trainer

NAMED = (  # errors that are raised again with the setting in their message
    *(ValueError, TypeError, AttributeError, NameError, RuntimeError, MemoryError),
    *(LookupError, KeyError, IndexError, NotImplementedError, AssertionError),
    *(ArithmeticError, ZeroDivisionError, OverflowError, FloatingPointError),
)


@dataclass(eq=False)
class Job:
    """One network to train: a trial on a split.

    Attributes:
        split: number of the split.
        key: of its result in a file.
    """

    trial: Trial
    split: int
    epochs: int
    batch_size: int | None
    key: str = ""

    def row(self, result: dict[str, Any]) -> dict[str, Any]:
        """Its result as a row of a file."""
        settings = settings_text(self.trial.settings)
        return {"key": self.key, "settings": settings, **result}

    @property
    def done(self) -> bool:
        """Whether it has a result or an error."""
        trial = self.trial
        return trial.scores[self.split] is not None or self.split in trial.errors


Networks = list[tuple[Job, Trainer]]


def stacks(
    jobs: list[Job], at_once: int, copies: int, by_split: bool
) -> Iterator[list[Job]]:
    """Jobs of one shape, cut into stacks.

    Args:
        jobs: all of one architecture, epochs and batch size.
        at_once: the most jobs in a stack.
        copies: the most splits in a stack.
        by_split: sort by split first, so that a stack has few.
    """
    chosen: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.split) if by_split else jobs:
        splits = {job.split, *(other.split for other in chosen)}
        if chosen and (len(chosen) == at_once or len(splits) > copies):
            yield chosen
            chosen = []
        chosen.append(job)
    if chosen:
        yield chosen


@contextmanager
def naming(settings: Settings, jobs: Sequence[Job] = ()) -> Iterator[None]:
    """An error within the block names the setting, the folds and the stack's size."""
    try:
        yield
    except Exception as error:
        where = f"setting {shown_settings(settings)}"
        if jobs:
            folds = ", ".join(map(str, sorted({job.split for job in jobs})))
            where += f", fold {folds} ({len(jobs)} networks together)"
        kind = type(error)
        if kind not in NAMED:
            error.add_note(where)
            raise
        text = str(error) if kind in (ValueError, TypeError) else repr(error)
        raise kind(f"{where}: {text}") from error


def fit_stack(
    stack: Stack,
    data: FoldData,
    jobs: Sequence[Job],
    epochs: int,
    options: Checked,
    progress: Callable[[int], object],
) -> bool:
    """Train a stack for `epochs` more epochs; returns whether Ctrl-C ended it.

    Args:
        stack: a network for each job.
        data: the samples of the jobs.
        jobs: of one batch size.
        epochs: how many.
        options: of the search.
        progress: called with the number of networks after each epoch.
    """
    train = [data.splits[job.split].train for job in jobs]
    size, held = jobs[0].batch_size, None
    if size is not None:  # at most as many as the largest of these parts
        size = min(size, max(map(len, train)))
    if options.validation:
        held = [data.rows(j.split, _validation(data, j)) for j in jobs]
    with naming(jobs[0].trial.settings, jobs):
        histories = stack.fit(
            data.x,
            data.y,
            epochs,
            size,
            rows=[data.rows(j.split, r) for j, r in zip(jobs, train, strict=True)],
            validation_rows=held,
            callbacks=options.callbacks,
            sample_weight=data.w,
            class_weight=options.class_weight,
            memory=options.memory,
            progress=progress,
        )
    return any(h.stopped.startswith("interrupted") for h in histories)


def _validation(data: FoldData, job: Job) -> Any:
    rows = data.splits[job.split].validation
    assert rows is not None
    return rows


def results_of(
    stack: Stack, data: FoldData, jobs: Sequence[Job], monitor: str, train_scores: bool
) -> list[dict[str, Any]]:
    """Each network's result, as a row of a file.

    Args:
        stack, data, jobs: as for `fit_stack`.
        monitor: the score that decides; a network without it has failed.
        train_scores: score the training samples too.
    """
    train: list[Scores | None] = [None] * len(jobs)
    splits = [data.splits[job.split] for job in jobs]
    with naming(jobs[0].trial.settings, jobs):
        test = _scores(stack, data, jobs, [split.test for split in splits])
        if train_scores:
            train = list(_scores(stack, data, jobs, [split.train for split in splits]))
    found = []
    for i, job in enumerate(jobs):
        error = str(stack.errors.get(i, ""))
        bad = [n for n in ("loss", monitor) if not math.isfinite(test[i][n])]
        if bad and not error:
            error = f"{bad[0]} is {test[i][bad[0]]}"
        found.append(
            {
                "part": job.split,
                "scores": None if error else test[i],
                "train_scores": None if error else train[i],
                "error": error,
                "epochs": stack[i].epochs_done,
            }
        )
    return found


def _scores(
    stack: Stack, data: FoldData, jobs: Sequence[Job], rows: list[Any]
) -> list[Scores]:
    own = [data.rows(job.split, r) for job, r in zip(jobs, rows, strict=True)]
    scores = stack.evaluate(data.x, data.y, own, data.w)
    if not data.y_scalers:
        return scores
    outputs = stack.predict(data.x, own)
    for i, job in enumerate(jobs):
        with np.errstate(all="ignore"):
            finite = np.isfinite(outputs[i]).all()
        if not finite:
            continue
        p = data.y_scalers[job.split].inverse(outputs[i])
        y, w = data.unscaled(rows[i])
        for name, metric in stack[i].metrics.items():
            scores[i][name] = metric.score(p, y, w)
    return scores
