"""Barriers, padding and partial sums as arithmetic on references: no array is there."""

from dataclasses import replace

import numpy as np
import pytest

from xpnet.compiler import tuning
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.c.barriers import barrier_groups
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.padding import pad
from xpnet.compiler.c.partial_sums import joined
from xpnet.compiler.row_partition import RowPartition, Share

ROWS, WIDTH = 6, 32  # rows of a batch, bytes of each


def rows(buffer, offset=0, count=ROWS, stride=WIDTH):
    """(count, 4) float64."""
    return BufferRef(buffer, offset, (count, 4), (stride, 8), "<f8")


def call(reads, writes, by=None, parts=2):
    """A call that is divided by its rows."""
    refs = [*reads, writes]
    op = NativeCall("none", refs, [ROWS, 4], [0] * len(refs))
    steps = [ref.strides[0] for ref in refs] if by is None else by
    op.share = Share(parts, 0, 1, steps, [0] * len(refs))
    return op


def added(parts, out, number=7):
    """A sum of two parts in memory `number`."""
    op = NativeCall("xpnet_sum4", [parts, out, rows(number)], [out.size, 2], [0])
    op.written = (1, 2)
    return op


def vector(buffer, offset, n):
    return BufferRef(buffer, offset, (n,), (4,), "<f4")


def shadow(offset, n, stride=1024):
    return BufferRef(5, offset, (2, n), (stride, 4), "<f4")


@pytest.mark.parametrize("array", [
    np.zeros((3, 4)), np.zeros((3, 4)).T, np.zeros((3, 4))[::-1], np.zeros((0, 4)),
    np.zeros((5, 6), "f4")[1:3, ::2], np.float32(1) + np.zeros((), "f4"),
    np.broadcast_to(np.zeros(3, "i1"), (4, 3)),
], ids=lambda a: str(a.shape))  # fmt: skip
def test_a_reference_says_what_numpy_says(array):
    array = np.asarray(array)
    ref = BufferRef.of(array)
    told = ref.shape, ref.strides, ref.size, ref.nbytes, ref.itemsize
    own = array.shape, array.strides, array.size, array.nbytes, array.itemsize
    assert told == own
    assert np.dtype(ref.dtype) == array.dtype
    if array.size:  # NumPy gives the end of an empty one otherwise
        assert ref.span == np.lib.array_utils.byte_bounds(array)
    else:
        assert ref.span == (ref.offset, ref.offset)
    assert BufferRef.of(ref) is ref


def test_spans_meet_in_one_buffer_alone():
    here = vector(0, 0, 4)
    assert here.meets(vector(0, 12, 4))
    assert not here.meets(vector(0, 16, 4))
    assert not here.meets(vector(1, 12, 4))


def test_calls_that_keep_to_their_rows_need_no_barrier():
    ops = [call([rows(0)], rows(1)), call([rows(0), rows(1)], rows(2))]
    assert barrier_groups(ops) == [ops]


@pytest.mark.parametrize(
    "reads",
    [
        rows(1, 8, ROWS),  # begins elsewhere
        rows(1, (ROWS - 1) * WIDTH, ROWS, -WIDTH),  # turned round
        rows(1, 0, ROWS, 2 * WIDTH),  # rows of another length
    ],
    ids=["moved", "turned", "longer"],
)
def test_calls_that_read_rows_of_other_parts_wait(reads):
    first, second = call([rows(0)], rows(1)), call([reads], rows(2))
    assert barrier_groups([first, second]) == [[first], [second]]
    assert barrier_groups([first, call([rows(3)], rows(2))])[0][0] is first


def test_parts_of_a_buffer_are_moved_apart_where_all_calls_divide_it_alike():
    class Block:  # of which only its identity counts
        base = None

    blocks = [Block() for _ in range(3)]
    a, b, c = map(id, blocks)
    ops = [call([rows(9)], rows(a)), call([rows(a)], rows(b)), call([rows(8)], rows(b))]
    ops[2].share = replace(ops[2].share, parts=3)
    ops.append(call([rows(8)], rows(c), parts=3))  # alike, but in more parts
    pad(ops, blocks, 2)
    apart = [op.share.apart for op in ops]
    far = tuning.PADDING_BYTES
    assert apart == [[0, far], [far, 0], [0, 0], [0, 0]]


def test_sums_beside_each_other_become_one():
    partition = RowPartition(2, ROWS)
    first = added(shadow(64, 8), vector(4, 0, 8))
    second = added(shadow(104, 6), vector(4, 40, 6))  # behind padding of 8 bytes
    (one,) = joined([second, first], partition)
    assert one.operands[:2] == [shadow(64, 16), vector(4, 0, 16)]
    assert one.counts == [16, 2]
    touches = NativeCall("none", [vector(4, 32, 1), vector(3, 0, 1)], [1], [4, 4])
    assert len(joined([touches, first, second], partition)) == 3
    askew = added(shadow(108, 6), vector(4, 40, 6))
    assert len(joined([first, askew], partition)) == 2
