"""The crossover: its table, and the file in which it is remembered."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.standin import cupy, standin_backend
from xpnet.backend import crossover
from xpnet.backend.crossover import Crossover, prefers_gpu, recall, remember
from xpnet.common.cache import keep

TABLE = Crossover((16, 64, 256), (8, 128), ((0.1, 0.2), (0.4, 1.6), (2.5, 10.0)))


@pytest.fixture
def folder(cache_folder):
    """An empty cache folder."""
    return cache_folder


@pytest.fixture
def gpu(standin, monkeypatch):
    """A GPU that has a name."""
    name(monkeypatch, b"Stand-in 1")
    return standin_backend()


def name(monkeypatch, text):
    monkeypatch.setattr(
        cupy.cuda.runtime,
        "getDeviceProperties",
        lambda ordinal: {"name": text},
        raising=False,
    )


def test_what_is_remembered_is_recalled(folder, gpu):
    assert recall(gpu) is None
    assert remember(TABLE, gpu) == folder / "crossover.json"
    assert recall(gpu) == TABLE
    assert [p.name for p in folder.iterdir()] == ["crossover.json"]
    newer = Crossover((32,), (32,), ((0.5,),))
    remember(newer, gpu)
    assert recall(gpu) == newer


def test_each_gpu_dtype_and_version_has_its_own(folder, gpu, monkeypatch):
    remember(TABLE, gpu)
    other = Crossover((32,), (32,), ((0.5,),))
    assert recall(gpu, "float64") is None
    remember(other, gpu, "float64")
    name(monkeypatch, b"Stand-in 2")
    assert recall(gpu) is None
    name(monkeypatch, "Stand-in 1")
    assert (recall(gpu), recall(gpu, "float64")) == (TABLE, other)
    monkeypatch.setattr(crossover, "blas_threads", lambda: 77)
    assert recall(gpu) is None
    monkeypatch.undo()
    name(monkeypatch, b"Stand-in 1")
    monkeypatch.setattr(cupy, "__version__", "99", raising=False)
    assert recall(gpu) is None


def test_it_says_whether_the_gpu_was_faster(folder, gpu):
    assert prefers_gpu(64, 128, gpu) is None
    remember(TABLE, gpu)
    for width, batch, expected in [
        (64, 128, True),
        (64, 8, False),
        (256, 8, True),
        (16, 128, False),
        (1, 1, False),  # beyond the grid: as at its edge
        (5000, 5000, True),
        (5000, 1, True),
        (64, 100_000, True),
    ]:
        assert prefers_gpu(width, batch, gpu) is expected, (width, batch)


def test_without_a_file_the_driver_is_not_asked(folder, standin):
    assert not hasattr(cupy.cuda.runtime, "getDeviceProperties")
    assert prefers_gpu(64, 64, standin_backend()) is None


def test_ratios_are_interpolated_in_logarithms():
    for i, width in enumerate(TABLE.widths):
        for j, batch in enumerate(TABLE.batches):
            assert TABLE.ratio(width, batch) == pytest.approx(TABLE.ratios[i][j])
    assert TABLE.ratio(32, 8) == pytest.approx(np.sqrt(0.1 * 0.4))
    assert TABLE.ratio(64, 32) == pytest.approx(np.sqrt(0.4 * 1.6))
    grid = [[TABLE.ratio(w, b) for b in (8, 20, 50, 128)] for w in (16, 40, 200)]
    assert (np.diff(grid) > 0.0).all()
    assert (np.diff(grid, axis=0) > 0.0).all()


def test_the_smallest_size_is_the_one_of_the_smallest_product():
    assert TABLE.smallest() == (256, 8)
    assert Crossover((4, 8), (2, 9), ((1.05, 1.0), (0.9, 2.0))).smallest() == (8, 9)
    assert Crossover((4, 8), (2, 9), ((1.05, 1.0), (0.9, 0.2))).smallest() is None


@pytest.mark.parametrize(
    ("widths", "batches", "ratios"),
    [
        ((), (1,), ()),
        ((1,), (), ((),)),
        ((2, 1), (1,), ((1.0,), (1.0,))),
        ((1, 1), (1,), ((1.0,), (1.0,))),
        ((0,), (1,), ((1.0,),)),
        ((1,), (1,), ((0.0,),)),
        ((1,), (1,), ((float("nan"),),)),
        ((1,), (1,), ((float("inf"),),)),
        ((1, 2), (1, 2), ((1.0, 2.0), (1.0,))),
        ((1, 2), (1,), ((1.0, 2.0),)),
    ],
)
def test_a_table_that_does_not_fit_is_refused(widths, batches, ratios):
    with pytest.raises(ValueError):
        Crossover(widths, batches, ratios)


def good(gpu):
    return {crossover.machine(gpu): {"widths": [1], "batches": [1], "ratios": [[2.0]]}}


def altered(**changes):
    return lambda gpu: json.dumps(
        {k: {**row, **changes} for k, row in good(gpu).items()}
    ).encode()


DAMAGED = {
    "empty": lambda gpu: b"",
    "cut off": lambda gpu: json.dumps(good(gpu)).encode()[:-9],
    "not text": lambda gpu: b"\xff\xfe\x00garbage",
    "a list": lambda gpu: b"[1, 2]",
    "too deep": lambda gpu: b"[" * 100_000,
    "no table": lambda gpu: json.dumps(dict.fromkeys(good(gpu), 3)).encode(),
    "null": lambda gpu: json.dumps(dict.fromkeys(good(gpu))).encode(),
    "no ratios": altered(ratios=None),
    "half a table": lambda gpu: json.dumps(
        {key: {"widths": [1], "batches": [1]} for key in good(gpu)}
    ).encode(),
    "ragged": altered(ratios=[[1.0], [2.0]]),
    "words": altered(ratios=[["fast"]]),
    "not a number": altered(ratios=[[float("nan")]]),
    "not above 0": altered(ratios=[[-1.0]]),
    "infinite widths": altered(widths=[float("inf")]),
    "no widths": altered(widths=[], ratios=[]),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_no_table_and_is_replaced(folder, gpu, case):
    keep("crossover.json", DAMAGED[case](gpu))
    assert recall(gpu) is None
    assert prefers_gpu(64, 64, gpu) is None
    remember(TABLE, gpu)
    assert recall(gpu) == TABLE


def test_the_cases_above_are_damaged_by_what_they_change(folder, gpu):
    keep("crossover.json", altered()(gpu))
    assert recall(gpu) == Crossover((1,), (1,), ((2.0,),))


def test_a_file_that_cannot_be_written_is_not_an_error(folder, gpu):
    (folder / "crossover.json").mkdir()
    assert remember(TABLE, gpu) is None
    assert recall(gpu) is None


def test_importing_it_measures_nothing_and_makes_no_folder(tmp_path):
    wanted = tmp_path / "cache"
    code = (
        f"import os; os.environ['XPNET_CACHE_DIR'] = {str(wanted)!r};"
        "import sys, xpnet.backend.crossover; assert 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert not wanted.exists()
