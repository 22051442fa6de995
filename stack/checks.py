"""The boundary of a stack: its trainers, and each network's rows."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import as_host
from xpnet.training import inputs
from xpnet.training.data import Rows, Samples
from xpnet.training.divergence import check_sound
from xpnet.training.metrics import check_metrics
from xpnet.training.trainer import Trainer


def check_trainers(trainers: Any) -> list[Trainer]:
    """A list of trainers with a model each."""
    if not isinstance(trainers, list | tuple):
        raise TypeError(f"Stack: expected a list of Trainers, got {trainers!r}")
    if not trainers:
        raise ValueError("Stack: expected at least one Trainer, got none")
    for i, trainer in enumerate(trainers):
        if not isinstance(trainer, Trainer):
            raise TypeError(
                f"Stack: expected a Trainer at position {i}, got {trainer!r}"
            )
        if trainer.eager:
            raise ValueError(
                f"Stack: network {i} has eager=True, but a stack is always recorded; "
                "train that one alone"
            )
    models: dict[int, int] = {}
    for i, trainer in enumerate(trainers):
        first = models.setdefault(id(trainer.model), i)
        if first != i:
            raise ValueError(
                f"Stack: networks {first} and {i} share one Sequential; make one for "
                "each (model.copy())"
            )
    return list(trainers)


def check_rows(rows: Any, name: str, count: int, networks: int) -> list[Rows]:
    """For each network the numbers of its samples, int64."""
    if rows is None:
        return [np.arange(count)] * networks
    if not isinstance(rows, list | tuple) or len(rows) != networks:
        got = len(rows) if hasattr(rows, "__len__") else type(rows).__name__
        raise ValueError(
            f"{name}: expected a list of {networks} arrays of row numbers, one a "
            f"network, got {got}"
        )
    known: dict[int, Rows] = {}  # those of one fold are one array, and stay one
    found = []
    for i, own in enumerate(rows):
        if id(own) in known:
            found.append(known[id(own)])
            continue
        array = as_host(own, name)
        if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
            raise ValueError(
                f"{name}: expected at least one whole number for network {i}, got "
                f"{array.dtype} of shape {array.shape}; np.flatnonzero turns a mask "
                "into row numbers"
            )
        if array.min() < 0 or array.max() >= count:
            worst = array.min() if array.min() < 0 else array.max()
            raise ValueError(
                f"{name}: expected row numbers 0..{count - 1}, got {worst} for network "
                f"{i}"
            )
        known[id(own)] = array.astype(np.int64)
        found.append(known[id(own)])
    return found


def check_weighed(samples: Samples, rows: list[Rows], name: str) -> None:
    """Raises ValueError where a network's rows have no weight."""
    if samples.host_w is None:
        return
    seen = set[int]()
    for i, own in enumerate(rows):
        if id(own) not in seen:
            seen.add(id(own))
            inputs.check_weighed(samples.host_w, own, f"the {name} of network {i}")


def check_scores(
    first: Trainer, samples: Samples, rows: list[Rows], trial: bool
) -> None:
    """Raises ValueError or TypeError for a metric without meaning for these samples.

    Metrics are those of all networks; one network's samples stand for all.
    """
    own = rows[0]
    w = None if samples.host_w is None else samples.host_w[own]
    shapes = (samples.host_y[own], first.model.n_outputs, w)
    check_metrics(first.metrics, *shapes, trial)


def check_all_sound(trainers: list[Trainer], what: str) -> None:
    """Raises ValueError for a network whose weights are NaN or infinite."""
    for i, trainer in enumerate(trainers):
        check_sound(trainer, f"{what}: network {i}")


def balanced_weights(
    first: Trainer, samples: Samples, rows: list[Rows], name: str
) -> tuple[Array, list[int]]:
    """A block of weights a network, and where each begins: balanced in its rows."""
    if not samples.labels:
        raise ValueError(
            "class_weight: expected y to hold class labels; use sample_weight with "
            f"{type(first.loss_function).__name__}"
        )
    backend, width = samples.backend, first.model.n_outputs
    table, known = np.zeros((len(rows), samples.count)), samples.host_w
    for line, own in zip(table, rows, strict=True):
        y, w = samples.host_y[own], None if known is None else known[own]
        line[own] = inputs.class_weights(name, y, width, backend, w)
    if samples.host_w is not None:
        table *= samples.host_w
    with backend.active():
        w = backend.asarray(table.reshape(-1), first.dtype)
        if samples.w is None:
            samples.w = backend.asarray(np.ones(samples.count), w.dtype)
            samples.host_w = np.ones(samples.count)
    return w, [i * samples.count for i in range(len(rows))]
