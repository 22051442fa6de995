"""Sums over the batch in parts: where they lie, what adds them, what is looked at."""

import numpy as np
import pytest

from tests.cases import in_turns
from xpnet.backend import Backend
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.compiler.c.build import build
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.native import Library, runtime
from xpnet.compiler.c.partial_sums import Partial, is_sum, joined, watch
from xpnet.compiler.row_partition import RowPartition

CPU = Backend("numpy", "cpu", np)
SIZES = (40, 3, 17, 64)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
THREADS = pytest.mark.parametrize("threads", [2, 3, 5])


def slots(dtype, gap=tuning.MERGE_GAP_ELEMENTS):
    """(a flat buffer of zeros, views of it as far apart as a layout has them)."""
    starts = np.cumsum([0, *(-(-n // gap) * gap for n in SIZES)])
    flat = CPU.zeros((int(starts[-1]),), dtype)
    return flat, [flat[a : a + n] for a, n in zip(starts, SIZES, strict=False)]


def sums(threads, dtype, order=(0, 1, 2, 3)):
    """(flat, the parts of each slot, the sums of all, the crew)."""
    flat, views = slots(dtype)
    crew = RowPartition(threads, 8)
    partial = Partial(crew, CPU.empty)
    parts = {i: partial.of(views[i]) for i in order}
    ops = [partial.sum(parts[i], views[i]) for i in order]
    rng = np.random.default_rng(0)
    for part in parts.values():
        part[...] = rng.normal(size=part.shape)
    return flat, parts, ops, crew


def run(ops, crew):
    """Call them, as a step does; the flags of the sums."""
    library = Library(build(runtime()).library())
    found = native.Native(library, {}, None, False, crew, [])
    table = found.link(ops)
    library.run(table.address, table.count, 0, 1, 0)
    return [op.arrays[2] for op in table.ops if is_sum(op)]


def wanted(parts):
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


@pytest.mark.skipif(not native.available(), reason="no C compiler")
@DTYPES
@THREADS
@pytest.mark.parametrize("elements", [8, 1 << 20], ids=["divided", "whole"])
def test_neighbours_are_added_in_one_call(threads, dtype, elements, monkeypatch):
    monkeypatch.setattr(tuning, "ELEMENTS_PER_PART", elements)
    flat, parts, ops, crew = sums(threads, dtype, (2, 0, 3, 1))
    assert len(joined(ops, crew)) == 1
    flags = run(ops, crew)
    assert len(flags) == 1
    assert np.isfinite(flags).all()
    expected, views = slots(dtype)
    for i, view in enumerate(views):
        view[...] = wanted(parts[i])
    assert np.array_equal(flat, expected)  # and the padding is 0 still


@pytest.mark.skipif(not native.available(), reason="no C compiler")
@pytest.mark.parametrize(
    ("bad", "slot", "threads", "dtype"),
    in_turns(
        [np.nan, np.inf, -np.inf, "overflow"] * 3,
        [0, 1, 2, 3, 1, 2, 3, 0],
        [2, 3, 5],
        ["float32", "float64", "float64"],
    ),
)
def test_a_sum_that_is_not_finite_is_told_of(threads, dtype, bad, slot, monkeypatch):
    monkeypatch.setattr(tuning, "ELEMENTS_PER_PART", 8)
    _, parts, ops, crew = sums(threads, dtype)
    if bad == "overflow":  # each part is finite, their sum is not
        parts[slot][:2, -1] = np.finfo(dtype).max
    else:
        parts[slot][threads - 1, -1] = bad
    with np.errstate(all="ignore"):
        flags = run(ops, crew)
    assert not np.isfinite(flags).all()


def test_values_further_apart_are_added_one_by_one():
    flat = CPU.zeros((200,), "float32")
    crew = RowPartition(2, 8)
    for second, calls in ((32, 1), (40, 1), (47, 1), (48, 2), (100, 2)):
        partial = Partial(crew, CPU.empty)
        views = [flat[:32], flat[second : second + 9]]
        ops = [partial.sum(partial.of(view), view) for view in views]
        assert len(joined(ops, crew)) == calls, second


def test_what_is_touched_between_is_added_before():
    _, _, ops, crew = sums(2, "float32")
    flat = ops[0].arrays[1].base
    reads = NativeCall("none", [flat[:4], np.zeros(4, np.float32)], [4], [4, 4])
    free = NativeCall("none", [np.zeros(4), np.zeros(4)], [4], [8, 8])
    row = joined([ops[0], ops[1], free, reads, ops[2], ops[3]], crew)
    assert [is_sum(op) for op in row] == [False, True, False, True]
    assert row[0] is free
    assert row[2] is reads


def test_memory_that_is_used_twice_has_parts_of_its_own_each_time():
    partial = Partial(RowPartition(2, 8), CPU.empty)
    out = CPU.zeros((6,), "float32")
    first, second = partial.of(out), partial.of(out[2:])
    assert not np.shares_memory(first, second)


def test_what_lies_between_and_is_somebodys_is_not_swept_over():
    flat = CPU.zeros((64,), "float32")
    partial, crew = Partial(RowPartition(2, 8), CPU.empty), RowPartition(2, 8)
    views = [flat[:20], flat[24:60]]
    ops = [partial.sum(partial.of(view), view) for view in views]
    assert len(joined(ops, crew)) == 1
    for row in (flat[20:24], flat[22:23], flat[21::-1], flat[:40:22]):
        writes = NativeCall("none", [np.zeros(len(row), np.float32), row], [1], [4, 4])
        assert len(joined([writes, *ops], crew)) == 3


def test_the_later_of_two_sums_for_one_place_has_the_last_word():
    flat = CPU.zeros((64,), "float32")
    partial, crew = Partial(RowPartition(2, 8), CPU.empty), RowPartition(2, 8)
    ops = [partial.sum(partial.of(view), view) for view in (flat[8:32], flat[:40])]
    assert joined(ops, crew) == ops


def watched(arrays, memory):
    """Those of `arrays` that are part of `memory`."""
    return [array for array in arrays if np.shares_memory(array, memory)]


def test_what_no_sum_looks_at_is_looked_at_in_full():
    flat, _, ops, crew = sums(2, "float64")
    found = watch(flat, joined(ops, crew))
    assert len(found) - len(watched(found, flat)) == 1  # the flags of one call
    padding = watched(found, flat)
    assert all(part.size < tuning.MERGE_GAP_ELEMENTS for part in padding)
    some = [ops[0], ops[3]]
    left = watched(watch(flat, some), flat)
    assert sum(part.size for part in left) == flat.size - SIZES[0] - SIZES[3]
    for op in ops[1:3]:
        assert watched(left, op.arrays[1])
    other = NativeCall("none", [np.zeros(4), flat[:4]], [4], [8, 8])
    for row in ([*ops, other], [other, *ops], [other], [*ops, ops[0]]):
        (all_of_it,) = watch(flat, row)
        assert all_of_it is flat


def test_sums_that_are_no_gradients_may_be_infinite():
    flat, _, _, _ = sums(2, "float64")
    partial, out = Partial(RowPartition(2, 8), CPU.empty), np.zeros(20)
    (found,) = watch(flat, [partial.sum(partial.of(out), out)])
    assert np.array_equal(found, flat)
    assert np.shares_memory(found, flat)
