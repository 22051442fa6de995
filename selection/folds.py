"""Folds: pairs of training and test rows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnet.common import check_whole, explains_arguments, shown
from xpnet.common.arrays import as_host, as_labels

Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]  # (rows to train on, rows held out)


@explains_arguments
def k_folds(
    samples: int,
    folds: int | str = 5,
    *,
    stratify: Any = None,
    groups: Any = None,
    repeats: int = 1,
    seed: int = 0,
) -> list[Fold]:
    """[(train, test), ...]: each sample is in one test part per repeat.

    Sizes of test parts differ by at most one, or by as little as groups allow. The same
    arguments give the same folds on every machine. Kohavi, "A study of cross-validation
    and bootstrap" (IJCAI 1995).

    Args:
        samples: their number.
        folds: k from 2 to `samples`, or "leave_one_out" for k = samples.
        stratify: (samples,) classes: their shares are the same in each fold, numbers
            per test part differ by at most one.
        groups: (samples,) labels of groups (patients, writers): no group is in both
            parts of a fold.
        repeats: the number of times, each in another order.
        seed: of the orders.

    Raises:
        ValueError: more folds than samples, groups, or members of a class; not one
            label per sample; stratify together with groups.
    """
    samples = check_whole("", "samples", samples, 2)
    repeats = check_whole("", "repeats", repeats, 1)
    seed = check_whole("", "seed", seed, 0)
    if isinstance(folds, str) and folds == "leave_one_out":
        folds = samples
    elif isinstance(folds, str):
        raise ValueError(
            f"folds: expected a whole number or 'leave_one_out', got {folds!r}"
        )
    k = check_whole("", "folds", folds, 2)
    if k > samples:
        raise ValueError(
            f"folds: expected at most {samples}, one per sample, got {k}; hint: "
            "'leave_one_out' holds out one at a time"
        )
    if stratify is not None and groups is not None:
        raise ValueError(
            "folds: expected stratify or groups, got both; groups that stay together "
            "cannot keep the shares of classes too"
        )
    found: list[Fold] = []
    for repeat in range(repeats):
        seeds = np.random.SeedSequence((seed, repeat))
        rng = np.random.Generator(np.random.Philox(seeds))
        part = _test_parts(samples, k, stratify, groups, rng)
        tests = (part == i for i in range(k))
        found += [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tests]
    return found


def check_folds(folds: Any, samples: int) -> list[Fold]:
    """The caller's folds: (train, test) pairs of row numbers, checked.

    Raises:
        TypeError: no iterable.
        ValueError: not pairs, unknown rows, or rows in both parts.
    """
    found: list[Fold] = []
    if not isinstance(folds, Iterable):
        raise TypeError(
            "folds: expected a whole number, 'leave_one_out' or (train, test) pairs of "
            f"row numbers, got {shown(folds)}; such as list(KFold(5).split(x))"
        )
    for i, fold in enumerate(folds):
        if not isinstance(fold, tuple | list) or len(fold) != 2:
            raise ValueError(
                f"folds: expected (train, test) pairs, got {shown(fold)} at {i}"
            )
        train, test = (as_host(part, "folds") for part in fold)
        for name, part in (("train", train), ("test", test)):
            whole = part.ndim == 1 and part.dtype.kind in "iu" and part.size > 0
            if not whole or part.min() < 0 or part.max() >= samples:
                raise ValueError(
                    f"folds: expected row numbers 0..{samples - 1} to {name} on, at "
                    f"least one, in fold {i}, got {part.dtype} of shape {part.shape}"
                )
        trained = np.zeros(samples, np.bool_)
        trained[train] = True
        if trained[test].any():
            row = test[trained[test]].min()
            raise ValueError(
                f"folds: expected parts without a common sample, got row {row} in "
                f"both parts of fold {i}"
            )
        found.append((train.astype(np.int64), test.astype(np.int64)))
    if not found:
        raise ValueError("folds: expected at least one (train, test) pair, got none")
    return found


def _test_parts(
    samples: int, k: int, stratify: Any, groups: Any, rng: np.random.Generator
) -> Indices:
    """The number 0 ... k - 1 of the test part of each sample."""
    if groups is not None:
        return _grouped(_codes(groups, samples, "groups"), k, rng)
    if stratify is not None:
        return _stratified(_codes(stratify, samples, "stratify"), stratify, k, rng)
    part = np.empty(samples, np.int64)
    part[rng.permutation(samples)] = np.arange(samples) % k
    return part


def _codes(labels: Any, samples: int, name: str) -> Indices:
    labels = as_labels(labels, name, samples, numbers=name == "groups")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _stratified(
    codes: Indices, labels: Any, k: int, rng: np.random.Generator
) -> Indices:
    """Test part of each sample: the members of each class in turn."""
    counts = np.bincount(codes)
    if counts.min() < k:
        name = np.unique(np.asarray(labels))[counts.argmin()].item()
        raise ValueError(
            f"folds: expected at least {k} samples of every class, one per fold, got "
            f"{counts.min()} of class {name!r}; hint: fewer folds, stratify=False, or "
            "drop or merge rare classes"
        )
    order = rng.permutation(len(codes))
    # A stable sort keeps the random order inside each class. The turns continue from
    # one class to the next, so that fold sizes differ by at most one.
    by_class = order[np.argsort(codes[order], kind="stable")]
    part = np.empty(len(codes), np.int64)
    part[by_class] = np.arange(len(codes)) % k
    return part


def _grouped(codes: Indices, k: int, rng: np.random.Generator) -> Indices:
    """Test part of each sample: large groups first, each to the smallest part."""
    counts = np.bincount(codes)
    if len(counts) < k:
        raise ValueError(
            f"folds: expected at least {k} groups, one per fold, got {len(counts)}; "
            "hint: fewer folds"
        )
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes, home = np.zeros(k, np.int64), np.empty(len(counts), np.int64)
    for group in order.tolist():
        home[group] = sizes.argmin()
        sizes[home[group]] += counts[group]
    return home[codes]
