"""Splitting samples into parts: training and test, or training, validation and test."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnet.common import check_flag, check_number, explains_arguments, shown
from xpnet.common.arrays import as_host, as_labels
from xpnet.data.draw import check_integer, generator

Indices = NDArray[np.int64]

ROUNDING = 1e-9  # 0.7 + 0.2 + 0.1 is not quite 1, and 10 × 0.3 not quite 3


@explains_arguments
def split(
    x: ArrayLike,
    y: ArrayLike,
    fractions: Sequence[float] = (0.8, 0.2),
    stratify: bool = False,
    seed: int = 0,
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """`[(x, y), ...]`, one pair a fraction, each sample in exactly one of them.

    x is (samples, ...), y (samples, ...); the pairs are copies in random order. With
    `stratify`, y (samples,) holds the classes whose shares are kept. For x larger than
    memory take `split_indices` and index as needed.

    Raises ValueError as `split_indices`, and when x and y differ in length.
    """
    x, y = as_host(x, "x"), as_host(y, "y")
    stratify = check_flag("", "stratify", stratify)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"x and y: expected as many rows, got shapes {x.shape} and {y.shape}; "
            "hint: both need one row a sample"
        )
    parts = split_indices(len(x), fractions, y if stratify else None, seed)
    return [(x[part], y[part]) for part in parts]


@explains_arguments
def split_indices(
    samples: int,
    fractions: Sequence[float] = (0.8, 0.2),
    stratify: ArrayLike | None = None,
    seed: int = 0,
) -> list[Indices]:
    """The row numbers of each part, in random order, int64.

    A part's size differs from `samples` × its fraction by less than one. `stratify`
    takes the classes (samples,): then each class's size in each part does so, and
    whatever is over goes first to parts that would else lack the class.
    The same arguments and seed give the same parts on every machine.

    Raises ValueError for fractions that are not positive or do not sum to 1, for a part
    that would be empty, and for a class with fewer members than there are parts.
    """
    fractions = _check_fractions(fractions)
    check_integer("samples", samples, len(fractions))
    codes = np.zeros(samples, np.int64)
    if stratify is not None:
        codes = _codes(stratify, samples, len(fractions))
    rng = generator(seed)
    order = rng.permutation(samples)
    # A stable sort keeps the random order inside each class.
    by_class = order[np.argsort(codes[order], kind="stable")]
    sizes = _sizes(np.bincount(codes), np.array(fractions))
    part_of = np.concatenate([np.repeat(np.arange(len(row)), row) for row in sizes])
    parts = [rng.permutation(by_class[part_of == p]) for p in range(len(fractions))]
    for fraction, part in zip(fractions, parts, strict=True):
        if len(part) == 0:
            raise ValueError(
                f"fractions: expected a sample in every part, got none for {fraction} "
                f"of {samples} samples; hint: give it more"
            )
    return parts


def _sizes(members: Indices, fractions: NDArray[np.float64]) -> Indices:
    """How many of each class go to each part, (classes, parts).

    Each is members × fraction rounded down or up. What rounding down leaves over goes
    to parts without the class, then to those furthest behind their fraction so far.
    """
    ideal = members[:, None] * fractions
    sizes: Indices = np.floor(ideal + ROUNDING).astype(np.int64)
    behind = np.zeros(len(fractions))
    for row, want in zip(sizes, ideal, strict=True):
        behind += want - row
        over = round(float((want - row).sum()))
        exact = want - row < ROUNDING
        chosen = np.lexsort((-behind, row > 0, exact))[:over]
        row[chosen] += 1
        behind[chosen] -= 1
    return sizes


def _check_fractions(fractions: Any) -> list[float]:
    try:
        found = [
            check_number("", share, "shares above 0", lambda share: share > 0.0)
            for share in fractions
        ]
    except (TypeError, ValueError):
        found = []
    if len(found) < 2 or abs(math.fsum(found) - 1) > ROUNDING:
        raise ValueError(
            f"fractions: expected two or more above 0 that sum to 1, got "
            f"{shown(fractions)}; hint: for example (0.6, 0.2, 0.2)"
        )
    return found


def _codes(stratify: Any, samples: int, parts: int) -> Indices:
    labels = as_labels(stratify, "stratify", samples)
    classes, codes, members = np.unique(labels, return_inverse=True, return_counts=True)
    if members.min() < parts:
        raise ValueError(
            f"stratify: expected at least {parts} samples in every class, one a part, "
            f"got {members.min()} of class {classes[members.argmin()].item()!r}; hint: "
            "drop or merge rare classes, or do not stratify"
        )
    return codes.astype(np.int64)
