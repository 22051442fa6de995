"""Calls that threads share: which make one group, and which parts lie apart."""

import numpy as np
import pytest

from xpnet.compiler import row_partition, tuning
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.c.barriers import barrier_groups
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.padding import pad


def loops(*ways):
    """Row-wise calls that read and write these arrays, ((read, ...), written)."""
    found = []
    for read, written in ways:
        arrays = [*read, written]
        by = [a.strides[0] for a in arrays]
        op = NativeCall("none", arrays, [len(written), 4], [0] * len(arrays))
        op.share = row_partition.Share(2, 0, 1, by, [0] * len(arrays))
        found.append(op)
    return found


def test_calls_that_keep_to_their_rows_make_one_group():
    a, b, c = (np.zeros((6, 4)) for _ in range(3))
    ops = loops(((a,), b), ((a, b), c), ((c,), a))
    assert barrier_groups(ops) == [ops]


def test_calls_that_do_not_meet_make_one_group_whatever_their_sizes():
    a, b, c = np.zeros((6, 4)), np.zeros((8, 3)), np.zeros((6, 4))
    near, far, meets = loops(((a,), c), ((b,), b.copy()), ((c,), np.zeros((6, 4))))
    assert barrier_groups([near, far, meets]) == [[near, far, meets]]
    # Its parts are not those of `far`.
    meets.operands = list(map(BufferRef.of, [c, b[:6]]))
    meets.share = row_partition.Share(2, 0, 1, [32, 24], [0, 0])
    assert barrier_groups([near, far, meets]) == [[near, far], [meets]]


def test_who_needs_other_rows_waits_and_who_does_not_goes_first():
    a, b, c, d = (np.zeros((6, 4)) for _ in range(4))
    turned, free = np.zeros((6, 6)), np.zeros((6, 4))
    first, needs_all, behind, beside = loops(
        ((a,), b), ((a,), turned), ((turned,), c), ((a,), free)
    )
    needs_all.operands[0] = BufferRef.of(b.T)
    needs_all.share = row_partition.Share(2, 0, 1, [8, 48], [0, 0])
    groups = barrier_groups([first, needs_all, behind, beside])
    assert groups == [[first, beside], [needs_all, behind]]
    # Nor may anybody write what a call that waits has still to read.
    late = loops(((d,), b))[0]
    groups = barrier_groups([first, needs_all, late])
    assert groups[0] == [first]
    assert groups[1][0] is needs_all
    assert late not in groups[1] or b is not late.arrays[1]


def test_memory_that_is_read_backwards_is_known():
    # The last rows of `big`, turned round, are not its first ones.
    big, out = np.zeros((8, 4)), np.zeros((6, 4))
    writes, reads = loops(((out,), big[:6]), ((big[:6],), np.zeros((6, 4))))
    reads.operands[0] = BufferRef.of(big[7::-1][:6])
    reads.share = row_partition.Share(2, 0, 1, [-32, 32], [0, 0])
    assert barrier_groups([writes, reads]) == [[writes], [reads]]


def test_order_is_kept_between_calls_of_one_thread():
    a, b = np.zeros(8), np.zeros(8)
    whole = [
        NativeCall("none", [a, b], [8], [8, 8]),
        NativeCall("none", [b, a], [8], [8, 8]),
    ]
    assert barrier_groups(whole) == [[whole[0]], [whole[1]]]


@pytest.mark.parametrize(("seed", "threads"), [(0, 2), (1, 3), (2, 5), (3, 3)])
def test_random_programs_give_the_same_numbers_in_any_order_of_the_parts(seed, threads):
    # Rows of arrays go through random calls; parts are run one after the other, the
    # last first: a group that should have been two gives other numbers.
    rng = np.random.default_rng(seed)
    rows = 12
    arrays = [rng.normal(size=(rows, int(n))) for n in rng.integers(1, 5, 6)]
    expected = [a.copy() for a in arrays]
    ops, does = [], {}
    for _ in range(30):
        i, j = rng.choice(6, 2, replace=False)
        whole = rng.random() < 0.3
        op = loops(((arrays[i],), arrays[j]))[0]
        op.share = row_partition.Share(threads, 0, 1, [0 if whole else 1, 1], [0, 0])
        if not whole:
            op.share = row_partition.Share(
                threads, 0, 1, [arrays[i].strides[0], arrays[j].strides[0]], [0, 0]
            )
        else:
            op.share = row_partition.Share(
                threads, 0, 1, [0, arrays[j].strides[0]], [0, 0]
            )
        ops.append(op)
        does[id(op)] = (int(i), int(j), whole)

    def run(values, i, j, whole, part):
        source = values[i].sum() if whole else values[i][part].sum(1, keepdims=True)
        values[j][part] = np.tanh(values[j][part] + source)

    for op in ops:
        before = [a.copy() for a in expected]
        i, j, whole = does[id(op)]
        for part in row_partition.blocks(rows, threads):
            source = before[i].sum() if whole else before[i][part].sum(1, keepdims=True)
            expected[j][part] = np.tanh(before[j][part] + source)
    groups = barrier_groups(ops)
    assert {id(op) for group in groups for op in group} == set(map(id, ops))
    for group in groups:
        for part in row_partition.blocks(rows, threads)[::-1]:
            for op in group:
                run(arrays, *does[id(op)], part)
    assert len(groups) < len(ops)
    for a, b in zip(arrays, expected, strict=True):
        assert np.array_equal(a, b)


def test_only_buffers_that_all_calls_divide_alike_are_spread():
    a, b, c, d, e = (np.zeros((6, 4)) for _ in range(5))
    first, second, whole, other = loops(((a, d), b), ((b,), c), ((c,), e), ((d,), e))
    whole.share = None
    other.share = row_partition.Share(2, 0, 4, [32, 32], [0, 0])  # 4 rows, and 2
    ops = [first, second, whole, other]
    grouped_before = [[ops.index(op) for op in group] for group in barrier_groups(ops)]
    pad(ops, [b, c, d, e], 2)
    assert first.share.apart == [
        0,
        0,
        tuning.PADDING_BYTES,
    ]  # `a` is not theirs, `d` not divided alike
    assert second.share.apart == [tuning.PADDING_BYTES, 0]
    assert other.share.apart == [0, 0]
    assert [
        [ops.index(op) for op in group] for group in barrier_groups(ops)
    ] == grouped_before


def test_what_is_read_as_a_whole_stays_together():
    a, b = np.zeros((6, 4)), np.zeros((6, 4))
    (op,) = loops(((a,), b))
    op.share = row_partition.Share(2, 0, 1, [0, 32], [0, 0])
    pad([op], [a, b], 2)
    assert op.share.apart == [0, tuning.PADDING_BYTES]


def test_c_and_the_calls_agree_on_the_parts():
    for rows in range(1, 40):
        for parts in range(1, 9):
            cut = row_partition.blocks(rows, parts)
            assert np.array_equal(
                np.concatenate([np.arange(rows)[c] for c in cut]), np.arange(rows)
            )
            assert len(cut) <= parts
