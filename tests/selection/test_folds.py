"""Folds: every sample is held out once a repeat, and nothing leaks."""

import numpy as np
import pytest

import xpnet as xn

CLASSES = np.array([0] * 11 + [1] * 7 + [2] * 20)
GROUPS = np.repeat(np.arange(9), [9, 1, 4, 4, 2, 8, 3, 5, 2])


@pytest.mark.parametrize("options", [
    {}, {"stratify": CLASSES}, {"stratify": np.array(list("abc"))[CLASSES]},
    {"groups": GROUPS}, {"groups": GROUPS.astype(str)},
])  # fmt: skip
def test_every_sample_is_held_out_once_a_repeat(options):
    for k, repeats in ((2, 1), (3, 1), (5, 1), (5, 3), (7, 2)):
        folds = xn.k_folds(38, k, repeats=repeats, seed=3, **options)
        assert len(folds) == k * repeats
        for r in range(repeats):
            mine = folds[r * k : (r + 1) * k]
            assert sorted(np.concatenate([t for _, t in mine])) == list(range(38))
            for train, test in mine:
                assert sorted([*train, *test]) == list(range(38))
                assert train.dtype == test.dtype == np.int64
        sizes = [len(test) for _, test in folds]
        if "groups" in options:  # never torn apart
            assert all(not set(GROUPS[a]) & set(GROUPS[b]) for a, b in folds)
            assert 0 < min(sizes) <= max(sizes) <= max(9, -(-38 // k) + 2)
        else:
            assert max(sizes) - min(sizes) <= 1
        if "stratify" in options:
            counts = [np.bincount(CLASSES[t], minlength=3) for _, t in folds]
            assert np.ptp(counts, axis=0).max() <= 1


def test_leave_one_out():
    folds = xn.k_folds(6, "leave_one_out")
    assert sorted(int(test[0]) for _, test in folds) == list(range(6))
    assert all(len(test) == 1 and len(train) == 5 for train, test in folds)


def test_equal_arguments_give_equal_folds_and_other_seeds_others():
    a, b, c = (xn.k_folds(38, 5, stratify=CLASSES, seed=s) for s in (0, 0, 1))
    assert all(np.array_equal(p[1], q[1]) for p, q in zip(a, b, strict=True))
    assert not all(np.array_equal(p[1], q[1]) for p, q in zip(a, c, strict=True))
    first, second = xn.k_folds(38, 2, repeats=2)[::2]
    assert not np.array_equal(first[1], second[1])


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ((5, 6), {}, "at most 5, one per sample, got 6"),
    ((5, 1), {}, "folds"),
    ((5, "loo"), {}, "'leave_one_out'"),
    ((1, 2), {}, "samples"),
    ((38, 8), {"stratify": CLASSES}, "at least 8 samples of every .*got 7 of class 1"),
    ((38, 10), {"groups": GROUPS}, "at least 10 groups.*got 9"),
    ((38, 2), {"groups": GROUPS, "stratify": CLASSES}, "got both"),
    ((38, 2), {"stratify": CLASSES[:5]}, "one label a sample"),
    ((38, 2), {"stratify": np.linspace(0, 1, 38)}, "do not stratify a regression"),
    ((38, 2), {"repeats": 0}, "repeats"),
])  # fmt: skip
def test_folds_that_cannot_be_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        xn.k_folds(*arguments, **options)
