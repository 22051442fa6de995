"""The analysis of a tape, before any memory is taken.

For each value it finds the last reader, whether the value can be computed directly in
the place where it is stored, and which neighbours can share a pass over memory.
"""

from typing import Any

import numpy as np

from xpnet.compiler.expressions import INFIX
from xpnet.trace import Tape, Traced
from xpnet.trace.array import VIEWS

FOREVER = 1 << 60
# What a loop of C may contain: dtypes, and ufuncs that IEEE 754 fixes to the bit.
# Exponentials and sums stay with NumPy and BLAS: their vector code is faster.
LOOP_DTYPES = frozenset(("f4", "f8", "i4", "i8", "u4", "b1"))
LOOP_UFUNCS = frozenset(INFIX) | {
    np.negative, np.absolute, np.sqrt, np.square, np.reciprocal,
    np.maximum, np.minimum, np.sign,
}  # fmt: skip


class Plan:
    """The live nodes of a tape, in order, and what is known of each.

    Args:
        tape: the record.
        outputs: nodes that must be readable after a replay.
        loops: whether runs are to become compiled loops.

    Attributes:
        live: the nodes that a store or an output needs; views are not among them.
        position: where each stands in `live`.
        last_use: position of a value's last reader; FOREVER if it leaves its segment.
        destination: value -> the leaf, or view of one, that it is computed into.
    """

    def __init__(self, tape: Tape, outputs: list[Traced], loops: bool) -> None:
        self.loops = loops
        self.live = self._ordered(_live_nodes(tape, outputs))
        self.position = {node: i for i, node in enumerate(self.live)}
        self.last_use = self._last_uses(outputs)
        self.destination = self._destinations()

    def _ordered(self, live: list[Traced]) -> list[Traced]:
        """The order of the calls."""
        return _sink_to_first_use(live) if self.loops else live

    def _last_uses(self, outputs: list[Traced]) -> dict[Traced, int]:
        """Where each value is read last; FOREVER if it leaves its segment."""
        last: dict[Traced, int] = {}
        for i, node in enumerate(self.live):
            for argument in node.args:
                if isinstance(argument, Traced):
                    root = argument.root
                    crosses = root.segment != node.segment
                    last[root] = FOREVER if crosses else max(i, last.get(root, 0))
        for node in outputs:
            last[node.root] = FOREVER
        return last

    def _destinations(self) -> dict[Traced, Traced]:
        """Values that may be computed in place of the store that takes them."""
        found: dict[Traced, Traced] = {}
        for node in self.live:
            if node.op != "store":
                continue
            target, value = node.args
            if (
                isinstance(value, Traced)
                and value not in found
                and value.op not in ("leaf", *VIEWS)
                and (value.shape, value.dtype) == (target.shape, target.dtype)
                and value.segment == node.segment
                and self._undisturbed(value, node, found)
            ):
                found[value] = target
        return found

    def _undisturbed(
        self, value: Traced, store: Traced, found: dict[Traced, Traced]
    ) -> bool:
        """Whether it is unobservable that `value` is written before its `store`."""
        target = store.args[0]
        end = self.last_use.get(value, 0)
        if end == FOREVER:
            return False

        def touches(node: Any) -> bool:
            return isinstance(node, Traced) and self._share(node, target, found)

        for node in self.live[self.position[value] : end + 1]:
            if node is store:
                continue
            if node is value:
                elementwise = isinstance(value.op, np.ufunc)
                exact = all(a is target for a in value.args if touches(a))
                if any(map(touches, value.args)) and not (elementwise and exact):
                    return False
            elif (node.op == "store" and touches(node.args[0])) or (
                self.position[node] < self.position[store]
                and any(map(touches, node.args))
            ):
                return False
        return True

    def _share(self, a: Traced, b: Traced, found: dict[Traced, Traced]) -> bool:
        """Whether `a` and `b` may lie in the same memory."""
        return memory_of(a, found) is memory_of(b, found)

    def outlives(self, node: Traced) -> bool:
        """Whether `node` must survive segments that come before its own in the tape.

        Then it shares memory with nothing. Values of the first segment need no such
        care: no segment comes before it.
        """
        kept = self.last_use.get(node, 0) == FOREVER
        return kept and node.segment != self.live[0].segment

    def runs(self) -> list[list[Traced]]:
        """Consecutive nodes that may share one loop; others alone."""
        runs: list[_Run] = []
        for node in self.live:
            touched = self._touched(node)
            if not (runs and self._joins(node, runs[-1], touched)):
                runs.append(_Run(*touched))
            runs[-1].add(node, *touched)
        return [run.nodes for run in runs]

    def overlaps(self, node: Traced) -> bool:
        """Whether `node` writes memory that it reads under another shape."""
        return not _Run(*self._touched(node)).aligned

    def fit(self, run: list[Traced]) -> bool:
        """Whether `run` can be one loop, or one kernel."""
        return all(map(can_join, run))

    def _joins(self, node: Traced, run: "_Run", touched: "Touched") -> bool:
        """Whether `node` may go block by block with `run`, or share its loop."""
        fits, first = can_join if self.loops else _elementwise, run.nodes[0]
        if not (fits(node) and fits(first)):
            return False
        if (frame(node), node.segment) != (frame(first), first.segment):
            return False
        if {"max", "store"} <= run.ops | {node.op}:
            return False  # a second pass would read what the first wrote
        return run.stays_aligned(*touched)

    def _touched(self, node: Traced) -> "Touched":
        """([(memory, node that shows it)] of all it touches, the memory it writes)."""
        found = self.destination
        written = node.args[0] if node.op == "store" else found.get(node, node)
        shown = [found.get(a, a) for a in node.args if isinstance(a, Traced)]
        memory = id(memory_of(written, found))
        pairs = [(id(memory_of(a, found)), id(a)) for a in shown]
        return [*pairs, (memory, id(written))], memory


Touched = tuple[list[tuple[int, int]], int]


class _Run:
    """Nodes that share a pass over memory, and the memory that they touch.

    Args:
        pairs, written: of the first, which need not be aligned.
    """

    def __init__(self, pairs: list[tuple[int, int]], written: int) -> None:
        self.nodes: list[Traced] = []
        self.ops: set[Any] = set()
        self._views: dict[int, int] = {}  # of memory shown under one shape only
        self._several: set[int] = set()  # memory shown under more
        self._written: set[int] = set()
        self.aligned = len({shown for m, shown in pairs if m == written}) == 1

    def add(self, node: Traced, pairs: list[tuple[int, int]], written: int) -> None:
        """Take `node` in."""
        self.nodes.append(node)
        self.ops.add(node.op)
        self._written.add(written)
        for memory, shown in pairs:
            if self._views.setdefault(memory, shown) != shown:
                self._several.add(memory)

    def stays_aligned(self, pairs: list[tuple[int, int]], written: int) -> bool:
        """Whether what the run writes is shown under one shape only, with these too."""
        if not self.aligned or written in self._several:
            return False
        views = self._views
        for memory, shown in pairs:
            other = views.get(memory, shown)
            if other != shown and (memory == written or memory in self._written):
                return False
        own = {shown for memory, shown in pairs if memory == written}
        return len(own) == 1


def _live_nodes(tape: Tape, outputs: list[Traced]) -> list[Traced]:
    """The nodes that a store or an output depends on, in the order of the tape."""
    needed: set[Traced] = set()
    waiting: list[Any] = [*tape.stores, *outputs]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Traced) and node not in needed:
            needed.add(node)
            waiting.extend(node.args)
    return [n for n in tape.nodes if n in needed and n.op not in ("leaf", *VIEWS)]


def can_join(node: Traced) -> bool:
    """Whether a loop may contain `node`."""
    if node.joins is None:
        node.joins = _can_join(node)
    return node.joins


def _can_join(node: Traced) -> bool:
    if node.dtype.str[1:] not in LOOP_DTYPES:
        return False
    if node.op == "max":
        return node.options == ((len(node.shape) - 1,), True)
    if isinstance(node.op, np.ufunc):
        return node.op in LOOP_UFUNCS
    return node.op in ("where", "cast", "store")


def argument_dtypes(node: Traced) -> list[np.dtype[Any]]:
    """The dtype in which each argument of `node` enters the operation."""
    if node.kinds is None:
        return [node.dtype] * len(node.args)
    return node.kinds


def frame(node: Traced) -> tuple[int, ...]:
    """The shape of the loop that computes `node`."""
    shape: tuple[int, ...] = node.args[0].shape if node.op == "max" else node.shape
    return shape


def _sink_to_first_use(live: list[Traced]) -> list[Traced]:
    """Elementwise nodes moved down to their first use, where they may join a loop."""
    order: list[Traced] = []  # reversed
    for node in reversed(live):
        place = len(order)
        if node.op not in ("store", "max") and can_join(node):
            leaves = {
                id(a.memory)
                for a in node.args
                if isinstance(a, Traced) and a.root.op == "leaf"
            }
            for i in range(len(order) - 1, -1, -1):
                other = order[i]
                used = any(isinstance(a, Traced) and a.root is node for a in other.args)
                disturbs = other.op == "store" and id(other.args[0].memory) in leaves
                if used or disturbs or other.segment != node.segment:
                    place = i + 1
                    break
        order.insert(place, node)
    return order[::-1]


def memory_of(node: Traced, destination: dict[Traced, Traced]) -> Any:
    """What owns the memory of `node`: the array of a leaf, or a value itself."""
    target = destination.get(node.root)
    return node.memory if target is None else target.memory


def _elementwise(node: Traced) -> bool:
    return isinstance(node.op, np.ufunc) or node.op in ("where", "cast", "store")
