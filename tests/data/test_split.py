"""Splitting samples into parts."""

import tracemalloc

import numpy as np
import pytest

from xpnet.data import split, split_indices

FRACTIONS = [(0.8, 0.2), (0.6, 0.2, 0.2), (0.7, 0.2, 0.1), (1 / 3, 1 / 3, 1 / 3)]


def labels(counts):
    """`counts[c]` members of each class c, mixed."""
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.Generator(np.random.Philox(9)).permutation(y)


@pytest.mark.parametrize("fractions", FRACTIONS)
def test_every_sample_is_in_one_part_of_the_right_size(fractions):
    for samples in (5, 10, 97, 1000):
        parts = split_indices(samples, fractions)
        assert np.sort(np.concatenate(parts)).tolist() == list(range(samples))
        for part, fraction in zip(parts, fractions, strict=True):
            assert abs(len(part) - samples * fraction) < 1
            assert part.dtype == np.int64


def test_whole_sizes_are_exact_in_spite_of_rounding():
    sizes = [len(part) for part in split_indices(10, (0.3, 0.3, 0.4))]
    assert sizes == [3, 3, 4]
    # 100 × 0.29 is 28.999999999999996, and tiny parts ask for what is left over.
    y = labels((100,) * 10)
    first = split_indices(1000, (0.29, 0.7, *[0.001] * 10), stratify=y)[0]
    assert np.bincount(y[first]).tolist() == [29] * 10
    y = labels((15,) * 20)  # a class's ideal is 10.5, 4.5: what is over is shared
    sizes = [len(part) for part in split_indices(300, (0.7, 0.3), stratify=y)]
    assert sizes == [210, 90]


@pytest.mark.parametrize("fractions", FRACTIONS)
def test_stratified_parts_keep_every_classs_share(fractions):
    """And a rare class appears in every part."""
    for counts in ((3, 3), (5, 5), (50, 5), (9, 8, 7), (7, 11, 13, 400), (20,) * 10):
        y = labels(counts)
        parts = split_indices(len(y), fractions, stratify=y)
        assert np.sort(np.concatenate(parts)).tolist() == list(range(len(y)))
        for part, fraction in zip(parts, fractions, strict=True):
            members = np.bincount(y[part], minlength=len(counts))
            assert (np.abs(members - np.array(counts) * fraction) < 1).all()
            if min(counts) >= 5:
                assert members.min() > 0


def test_parts_come_from_the_seed_in_random_order_with_classes_mixed():
    for y in (labels((30, 30)), None):
        first, again, other = (split_indices(60, stratify=y, seed=s) for s in (1, 1, 2))
        assert all(map(np.array_equal, first, again))
        assert not any(map(np.array_equal, first, other))
    y = np.repeat([0, 1], 100)
    train, test = split_indices(200, stratify=y)
    assert np.count_nonzero(np.diff(y[train])) > 40
    assert np.count_nonzero(np.diff(y[test])) > 8
    assert np.count_nonzero(np.diff(split_indices(200)[0]) < 0) > 40


def test_split_pairs_rows_with_their_targets_and_changes_nothing():
    x = np.arange(40).reshape(20, 2)
    y = x[:, 0] // 2 % 2
    x0, y0 = x.copy(), y.copy()
    for stratify in (False, True):
        parts = split(x, y, (0.5, 0.25, 0.25), stratify=stratify, seed=4)
        rows = split_indices(20, (0.5, 0.25, 0.25), y if stratify else None, seed=4)
        for (xs, ys), index in zip(parts, rows, strict=True):
            assert np.array_equal(xs, x[index])
            assert np.array_equal(ys, y[index])
            xs[:], ys[:] = -1, -1
        assert np.array_equal(x, x0)
        assert np.array_equal(y, y0)
    (_, train), (_, test) = split([1, 2, 3, 4], list("abab"), (0.5, 0.5), stratify=True)
    assert sorted(train) == sorted(test) == ["a", "b"]


def test_a_memory_mapped_file_is_read_only_where_it_is_indexed(tmp_path):
    path = tmp_path / "x"
    with open(path, "wb") as file:
        file.truncate(2**26)
    x = np.memmap(path, np.uint8, "r", shape=(2**20, 64))[:, :4]
    tracemalloc.start()
    try:
        (train, _), (test, _) = split(x[::1024], np.arange(1024))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert (train.shape, test.shape) == ((819, 4), (205, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": (0.8, 0.3)}, "fractions: .*sum to 1, got \\(0.8, 0.3\\); hint"),
        ({"fractions": (1.0,)}, "fractions: expected two or more.*; hint"),
        ({"fractions": (1.2, -0.2)}, "fractions: .*above 0.*; hint"),
        ({"fractions": (float("nan"), 0.5)}, "fractions: .*nan.*; hint"),
        ({"fractions": (0.98, 0.01, 0.01)}, "a sample in every part.*for 0.01 of 10"),
        ({"samples": 1}, "samples: .*at least 2, got 1; hint"),
        ({"samples": 1.5}, "samples: expected an integer.*got 1.5; hint"),
        ({"seed": -1}, "seed: .*got -1; hint"),
        ({"stratify": [0] * 9}, "stratify: .*\\(10,\\), got int.* \\(9,\\); hint"),
        ({"stratify": [0.5] * 10}, "stratify: .*got float64.*; hint.*regression"),
        ({"stratify": [7] + [8] * 9}, "at least 2 samples.*got 1 of class 7; hint"),
        ({"stratify": ["u"] + ["v"] * 9}, "at least 2.*got 1 of class 'u'; hint"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        split_indices(**{"samples": 10} | arguments)
    assert "\n" not in str(caught.value)


def test_x_and_y_must_be_as_many():
    with pytest.raises(ValueError, match=r"x and y: .*\(4, 2\) and \(3,\); hint"):
        split(np.zeros((4, 2)), np.zeros(3))
