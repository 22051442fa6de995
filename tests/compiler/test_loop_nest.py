"""What a run of nodes becomes before a dialect writes it: arguments, axes, passes."""

import numpy as np

from xpnet.compiler.loop_nest import LoopNest, frame_of
from xpnet.trace import Tape
from xpnet.trace.array import VIEWS, view


class Plain(LoopNest):
    """A dialect of two labels: the last axis by itself, or not."""

    single = ("own",)

    def __init__(self, run, arrays, kept, own_last):
        self.own_last = own_last
        self.results = {}
        super().__init__(run, frame_of(run), arrays, kept)

    def label(self, axis):
        return "own" if self.own_last and axis == len(self.frame) - 1 else "all"

    def element(self, place):
        return f"a{place}"


def nest(function, *arrays, own_last=False):
    tape = Tape()
    result = function(*map(tape.leaf, arrays))
    made = {result: np.empty(result.shape, result.dtype)}

    def array(node):
        if node.op in VIEWS:
            return view(array(node.args[0]), node)
        return node.array if node.op == "leaf" else made[node]

    run = [node for node in tape.nodes if node.op not in ("leaf", *VIEWS)]
    return Plain(run, array, {result}, own_last)


def sizes(found):
    return [(axis.size, axis.label) for axis in found.axes]


def test_an_array_is_one_argument_per_layout_and_dtype():
    x = np.zeros((4, 4), np.float32)
    assert len(nest(lambda a: a * a + a, x).arrays) == 2  # and the result
    assert len(nest(lambda a: a * a.T, x).arrays) == 3
    assert len(nest(lambda a, b: a + b, x, x.view(np.int32)).arrays) == 3
    assert len(nest(lambda a, b: a + b, x, x.view()).arrays) == 2


def test_axes_are_one_where_every_argument_allows_it():
    x, row, column = np.zeros((4, 6)), np.zeros((1, 6)), np.zeros((4, 1))
    assert sizes(nest(lambda a: a + a, x)) == [(24, "all")]
    assert sizes(nest(lambda a, b: a + b, x, row)) == [(4, "all"), (6, "all")]
    assert sizes(nest(lambda a, b: a + b, x, column)) == [(4, "all"), (6, "all")]
    assert sizes(nest(lambda a: a + a, x[:, :3])) == [(4, "all"), (3, "all")]
    assert sizes(nest(lambda a: a + a, x[:, None])) == [(24, "all")]  # none of 1
    assert sizes(nest(lambda a: a + a, x, own_last=True)) == [(4, "all"), (6, "own")]
    assert sizes(nest(lambda a: a + a, column, own_last=True))[-1] == (1, "own")


def test_strides_are_those_of_the_axes():
    x, row = np.zeros((4, 6), np.float32), np.zeros((1, 6), np.float32)
    found = nest(lambda a, b: a + b, x, row)
    assert found.strides == [(24, 4), (0, 4), (24, 4)]
    assert found.written == {2}
    lines = nest(lambda a: a.max(axis=-1), x)  # its axis is gone from the result
    assert lines.strides == [(24, 4), (4, 0)]


def test_a_pass_ends_with_its_reduction_and_the_next_computes_anew():
    x = np.zeros((4, 6), np.float32)

    def softmax_like(a):
        twice = a * 2.0
        return twice - twice.max(axis=-1, keepdims=True)

    found = nest(softmax_like, x)
    twice, largest, difference = found.run
    assert [found.stage[n] for n in found.run] == [0, 0, 1]
    assert found.needed([largest], set()) == [twice, largest]
    assert found.needed([difference], {largest}) == [twice, difference]


def test_text_converts_what_enters_in_another_dtype():
    x, k = np.zeros(4, np.float32), np.zeros(4, np.int32)
    found = nest(lambda a, b: a * b.astype(np.float32) + 0.25, x, k)
    cast, product, total = found.run
    assert found.computed(cast) == "const float t0 = (float)(((float)a0));"
    assert found.computed(product) == "const float t1 = (float)(a1 * t0);"
    assert found.computed(total) == "const float t2 = (float)(t1 + 0.25f);"
    assert found.assigned(total) == "a2 = t2;"
    wide = nest(lambda a, b: a + b, x.astype(np.float64), x)
    line = "const double t0 = (double)(a0 + ((double)a1));"
    assert wide.computed(wide.run[0]) == line
