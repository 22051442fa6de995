"""One stack of a search: its training, and the scores of its networks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnet.selection.fold_data import FoldData
from xpnet.selection.jobs import Job, naming
from xpnet.selection.options import Checked
from xpnet.selection.results import Scores
from xpnet.stack import Stack


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
