"""The plan of a fit: held-out samples, batch size, stopping rule and callbacks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from xpnet.common.arrays import NDArray
from xpnet.estimators.convergence import Convergence, Curves
from xpnet.estimators.data import Data, FitPlan
from xpnet.estimators.losses import HalfSquaredError
from xpnet.estimators.ridge import Alpha, Shares, even
from xpnet.estimators.settings import Settings, is_newton
from xpnet.layers import BatchNorm
from xpnet.training.callbacks import check_callbacks
from xpnet.training.inputs import check_batch_size
from xpnet.training.trainer import Trainer

AUTO = 200  # the most samples per batch for batch_size="auto"


def plan_fit(
    settings: Settings,
    trainer: Trainer,
    curves: Curves,
    data: Data,
    held: Data | None,
    strata: Callable[[Data], NDArray | None],
    incremental: bool,
    rng: Any,
) -> FitPlan:
    """The plan of one `fit` or `partial_fit`.

    Args:
        settings: the parameters of the estimator.
        trainer: a built one; its `Alpha` gets the weights of its batches.
        curves: of the estimator.
        data: the samples given to `fit`.
        held: the caller's validation samples, or None.
        strata: the labels by which held-out samples are stratified, or None.
        incremental: whether it is a `partial_fit`.
        rng: draws the held-out samples.

    Raises:
        ValueError, TypeError: too few samples, an unfit batch size or callback.
    """
    train = replace(data, rows=np.arange(len(data)))
    newton = is_newton(settings["solver"])
    early = settings["early_stopping"] and not newton
    if early and held is None:
        share = settings["validation_fraction"]
        rows, kept = _hold_out(data, share, strata(data), rng)
        train, held = data[rows], data[kept]
    n = len(train)
    norms = (layer.min_batch for layer in trainer.model.layers)
    if n < max(norms, default=1):
        raise ValueError("batch_norm: expected at least 2 samples, got n_samples=1")
    size = n if newton else _batch_size(settings["batch_size"], n, trainer)
    monitor = f"val_{next(iter(trainer.metrics))}" if early else ""
    half = isinstance(trainer.loss_function, HalfSquaredError)
    outputs = trainer.model.n_outputs if half else 1
    convergence = Convergence(curves, settings, n, monitor, outputs)
    for alpha in trainer.optimizer.transforms:
        if not isinstance(alpha, Alpha):
            continue
        alpha.outputs = float(outputs)
        steps, epochs = trainer.steps_done, trainer.epochs_done
        seed = trainer.seed if settings["shuffle"] else None
        alpha.shares = (
            even(n, size, steps)
            if train.w is None
            else Shares(n, size, steps, epochs, seed, train.w)
        )
    epochs = 1 if incremental else int(settings["max_iter"])
    callbacks = [convergence, *check_callbacks(settings["callbacks"])]
    return FitPlan(train, held, size, epochs, convergence, callbacks)


def _hold_out(
    data: Data, share: float, strata: NDArray | None, rng: Any
) -> tuple[NDArray, NDArray]:
    """Row numbers to train on and to hold out."""
    rows, kept = train_test_split(
        np.arange(len(data)), test_size=share, random_state=rng, stratify=strata
    )
    if len(kept) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the "
            "size of your dataset."
        )
    return rows, kept


def _batch_size(wanted: int | str, n: int, trainer: Trainer) -> int:
    if not (isinstance(wanted, str) and wanted == "auto"):
        return check_batch_size(wanted, n)
    size = min(AUTO, n)
    normed = any(isinstance(layer, BatchNorm) for layer in trainer.model.layers)
    while normed and size > 2 and n % size == 1:
        size -= 1  # a batch of one has no variance
    return size
