"""Which nodes become one kernel: the order of a step on a device.

On a device every launch costs about a microsecond, so the order of the tape is changed
to have few. Going through the tape backwards, each elementwise node or reduction takes
in those that it is computed from, as far as one kernel can hold them; products that
stand between them move behind the kernel. What the order must respect is known before:
which node reads which value, and which bytes of which array each reads or writes.
"""

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.compiler.analysis import Plan, argument_dtypes
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.expressions import C_NAMES, supports
from xpnet.compiler.loop_nest import (
    REDUCTIONS,
    frame_of,
    kept_shape,
    padded,
    reduced_axes,
    tail_of,
)
from xpnet.trace import Traced
from xpnet.trace.array import VIEWS, view


def can_join(node: Traced) -> bool:
    """Whether a kernel may contain `node`."""
    if node.size == 0:
        return False
    if node.op in REDUCTIONS:
        x = node.args[0]
        known = x.dtype in C_NAMES and node.dtype in C_NAMES
        return known and x.size > 0 and bool(reduced_axes(node))
    if not isinstance(node.op, np.ufunc) and node.op not in ("where", "cast", "store"):
        return False
    kinds = argument_dtypes(node)
    own = [a.dtype for a in node.args if isinstance(a, Traced)]
    return supports(node, kinds) and all(kind in C_NAMES for kind in own)


class Memory:
    """The bytes that leaves and views of them show."""

    def __init__(self) -> None:
        self._arrays: dict[Traced, Array] = {}
        self._spans: dict[Traced, tuple[int, int]] = {}

    def _array(self, node: Traced) -> Array:
        if node not in self._arrays:
            inner = None if node.op == "leaf" else self._array(node.args[0])
            self._arrays[node] = node.array if inner is None else view(inner, node)
        return self._arrays[node]

    def span(self, node: Traced) -> tuple[int, int]:
        """[first byte, behind the last) of a leaf or a view of one."""
        if node not in self._spans:
            self._spans[node] = BufferRef.of(self._array(node)).span
        return self._spans[node]

    def overlap(self, a: Traced, b: Traced) -> bool:
        """Whether two leaves, or views of leaves, may share an element."""
        (low, high), (first, last) = self.span(a), self.span(b)
        return low < last and first < high


def reads(node: Traced) -> list[Traced]:
    """The leaves, and views of leaves, that `node` reads."""
    args = node.args[1:] if node.op == "store" else node.args
    return [a for a in args if isinstance(a, Traced) and a.root.op == "leaf"]


def fits(
    run: list[Traced], memory: Memory, destination: dict[Traced, Traced] | None = None
) -> bool:
    """Whether the nodes of `run`, in this order, can be one kernel.

    Args:
        run: nodes that `can_join`.
        memory: of the leaves.
        destination: values that are computed in the place of a store (`Plan`).
    """
    if len(run) > tuning.MAX_NODES_PER_KERNEL or not all(map(can_join, run)):
        return False
    if len(run) == 1:
        return _apart(run, memory, destination or {})
    if any(n.segment != run[0].segment for n in run):
        return False
    return (
        _one_frame(run) and _same_lines(run) and _apart(run, memory, destination or {})
    )


def _one_frame(run: list[Traced]) -> bool:
    """Whether one loop nest covers them, the smaller ones by broadcasting."""
    try:
        frame = frame_of(run)
    except ValueError:
        return False
    shapes = [n.args[0].shape if n.op in REDUCTIONS else n.shape for n in run]
    if not any(padded(s, len(frame)) == frame for s in shapes):
        return False
    inside = set(run)
    for node in run:
        for a in node.args:
            if not isinstance(a, Traced) or a.root not in inside:
                continue
            # Inside a kernel a value is read where it was computed, as it is.
            if a is not a.root or (a.op in REDUCTIONS and a.shape != kept_shape(a)):
                return False
    return True


def _same_lines(run: list[Traced]) -> bool:
    """Whether all sums and maxima go over the same lines, those of the frame."""
    frame = frame_of(run)
    sums = [n for n in run if n.op in REDUCTIONS]
    return all(
        n.args[0].shape == frame and reduced_axes(n) == reduced_axes(sums[0])
        for n in sums
    )


def _apart(
    run: list[Traced], memory: Memory, destination: dict[Traced, Traced]
) -> bool:
    """Whether no thread reads what another thread writes, or what it wrote too early.

    What is written may be read, under the same view, by elementwise nodes of a flat
    kernel, where a thread does one element in order; and at the end of a kernel.
    """
    # The store of a value that is computed in its place does nothing.
    writes = [
        (n, n.args[0])
        for n in run
        if n.op == "store" and destination.get(n.args[1]) is not n.args[0]
    ]
    writes += [(n, destination[n]) for n in run if n in destination]
    if not writes:
        return True
    seen = [(n, a) for n in run for a in reads(n)]
    # A value that lies where it will be stored is read there.
    inside = set(run)
    for n in run:
        for a in n.args:
            if isinstance(a, Traced) and a.root in destination and a.root not in inside:
                place = destination[a.root]
                seen.append((n, place if a is a.root else place.root))
    frame = frame_of(run)
    flat = not any(n.op in REDUCTIONS for n in run)
    tail = tail_of(run)

    def in_order(a: Traced, b: Traced) -> bool:
        full = all(padded(n.shape, len(frame)) == frame for n in (a, b))
        ends = a in tail and b in tail and a.shape == b.shape
        return (flat and full) or ends

    def clash(writer: Traced, place: Traced, node: Traced, other: Traced) -> bool:
        if not memory.overlap(place, other):
            return False
        return place is not other or not in_order(writer, node)

    return not any(
        clash(*write, *other)
        for i, write in enumerate(writes)
        for other in (*seen, *writes[:i])
    )


def dependencies(nodes: list[Traced], memory: Memory) -> dict[Traced, set[Traced]]:
    """For each of `nodes`, those that must come before it."""
    known = set(nodes)
    before: dict[Traced, set[Traced]] = {n: set() for n in nodes}
    seen: list[tuple[Traced, Traced, bool]] = []  # node, what it touches, written?
    for node in nodes:
        for a in node.args:
            if isinstance(a, Traced) and a.root in known:
                before[node].add(a.root)
        own = [(a, False) for a in reads(node)]
        own += [(node.args[0], True)] if node.op == "store" else []
        for place, writes in own:
            for other, there, wrote in seen:
                if (writes or wrote) and memory.overlap(place, there):
                    before[node].add(other)
        seen += [(node, place, writes) for place, writes in own]
    return before


class Schedule:
    """The nodes of one segment as groups, each a kernel or a call of its own."""

    def __init__(self, nodes: list[Traced], memory: Memory) -> None:
        self.memory = memory
        self.at = {n: i for i, n in enumerate(nodes)}
        self.before = dependencies(nodes, memory)
        self.after: dict[Traced, set[Traced]] = {n: set() for n in nodes}
        for node, needed in self.before.items():
            for other in needed:
                self.after[other].add(node)
        self.left = dict.fromkeys(reversed(nodes))  # the last first
        self.groups = self._groups()

    def _groups(self) -> list[list[Traced]]:
        behind: list[list[Traced]] = []  # the last first
        while self.left:
            seed = next(iter(self.left))  # nothing that is left comes after it
            del self.left[seed]
            group = [seed]
            while can_join(seed) and not _moves(seed):
                found = self._admission(group)
                if found is None:
                    break
                joining, later = found
                for node in (*joining, *later):
                    del self.left[node]
                behind += [[node] for node in later]
                group = self._sorted([*group, *joining])
            behind.append(group)
        return behind[::-1]

    def _sorted(self, nodes: list[Traced]) -> list[Traced]:
        return sorted(nodes, key=self.at.__getitem__)

    def _admission(
        self, group: list[Traced]
    ) -> tuple[list[Traced], list[Traced]] | None:
        """Nodes that join `group`, and products that go behind it for that."""
        candidates = {n for node in group for n in self.before[node] if n in self.left}
        for candidate in reversed(self._sorted(list(candidates))):
            found = self._with(candidate, group)
            if found is not None:
                return found
        return None

    def _with(
        self, candidate: Traced, group: list[Traced]
    ) -> tuple[list[Traced], list[Traced]] | None:
        joining: list[Traced] = []
        later: list[Traced] = []
        for node in reversed(self._sorted(self._waiting(candidate))):
            trial = self._sorted([*group, *joining, node])
            if not _moves(node) and fits(trial, self.memory):
                joining.append(node)
            elif (
                node is not candidate
                and _moves(node)
                and not self.after[node] & {*group, *joining}
            ):
                later.append(node)
            else:
                return None
        return joining, later

    def _waiting(self, node: Traced) -> list[Traced]:
        """`node` and whatever is left that comes after it."""
        found = {node}
        waiting = [node]
        while waiting:
            new = {n for n in self.after[waiting.pop()] if n in self.left} - found
            found |= new
            waiting += new
        return list(found)


def _moves(node: Traced) -> bool:
    """Whether `node` is a call of its own, or the store of one: no part of a kernel."""
    if node.op == "store":
        value = node.args[1]
        return (
            isinstance(value, Traced)
            and value.op not in ("leaf", *VIEWS)
            and not can_join(value)
        )
    return not can_join(node)


class DevicePlan(Plan):
    """A `Plan` whose order and runs are those of a device."""

    def _ordered(self, live: list[Traced]) -> list[Traced]:
        self.memory = Memory()
        segments = dict.fromkeys(node.segment for node in live)
        self.groups: list[list[Traced]] = []
        for name in segments:
            part = [node for node in live if node.segment == name]
            self.groups += Schedule(part, self.memory).groups
        return [node for group in self.groups for node in group]

    def runs(self) -> list[list[Traced]]:
        """One kernel each, or one call."""
        runs: list[list[Traced]] = []
        for group in self.groups:
            if self.fit(group):
                runs.append(group)
                continue
            runs.append([])
            for node in group:
                if runs[-1] and not self.fit([*runs[-1], node]):
                    runs.append([])
                runs[-1].append(node)
        return runs

    def fit(self, run: list[Traced]) -> bool:
        """Whether `run` can be one kernel."""
        return fits(run, self.memory, self.destination)

    def _share(self, a: Traced, b: Traced, found: dict[Traced, Traced]) -> bool:
        one, other = (n if n.root.op == "leaf" else found.get(n.root) for n in (a, b))
        if one is None or other is None:
            return a.root is b.root
        return self.memory.overlap(one, other)
