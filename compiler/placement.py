"""Where each value is computed: in its destination, a dying operand, or a buffer."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from xpnet.backend import Array
from xpnet.compiler.analysis import Plan
from xpnet.compiler.buffers import Arena
from xpnet.trace import Traced
from xpnet.trace.array import VIEWS, view


class Placement:
    """The memory of values, taken and freed in the order in which they are computed.

    Args:
        plan: when each value is read last, and where it is to be stored.
        arena: gives buffers.

    Attributes:
        arrays: the memory of each value that has been computed, or shown as a view.
    """

    def __init__(self, plan: Plan, arena: Arena) -> None:
        self.plan, self.arena = plan, arena
        self.arrays: dict[Traced, Array] = {}

    def array(self, node: Traced) -> Array:
        """The memory that holds `node`: a leaf's, a buffer, or a view of either."""
        if node.op == "leaf":
            return node.array
        if node not in self.arrays and node.op in VIEWS:
            self.arrays[node] = view(self.array(node.args[0]), node)
        return self.arrays[node]

    def place(self, node: Traced, run: Iterable[Traced] = ()) -> Array:
        """Choose where `node`, of `run`, is computed."""
        self.arrays[node] = self._place(node, run)
        return self.arrays[node]

    def _place(self, node: Traced, run: Iterable[Traced]) -> Array:
        if node in self.plan.destination:
            return self.array(self.plan.destination[node])
        candidate = self.in_place_candidate(node, run)
        if candidate is not None:
            self.arena.take_over_buffer(candidate, node)
            return self.arrays[candidate]
        return self._take(node)

    def _take(self, node: Traced) -> Array:
        return self.arena.take(node, node.shape, node.dtype, self.plan.outlives(node))

    def stored(self, store: Traced) -> bool:
        """Whether the value of `store` is computed in place of it."""
        return self.plan.destination.get(store.args[1]) is store.args[0]

    def leaves(self, node: Traced, run: list[Traced]) -> bool:
        """Whether `node` must be in memory after its `run`."""
        end = self.plan.position[run[-1]]
        return node in self.plan.destination or self.plan.last_use.get(node, 0) > end

    def results(
        self, run: list[Traced], in_place: set[Traced]
    ) -> tuple[list[Traced], set[Traced]]:
        """(the run without stores that are not needed, what it leaves in memory).

        Args:
            run: nodes of one loop.
            in_place: those that may take over the memory of an operand.
        """
        kept = {n for n in run if n.op != "store" and self.leaves(n, run)}
        for node in run:
            if node in kept and (node in in_place or node in self.plan.destination):
                self.place(node, run)
            elif node in kept:
                self.arrays[node] = self._take(node)
        return [n for n in run if n.op != "store" or not self.stored(n)], kept

    def release(self, nodes: Iterable[Traced]) -> None:
        """Free what each of `nodes` was the last to use, and those without a use."""
        for node in nodes:
            now = self.plan.position[node]
            for value in (node, *node.args):
                if isinstance(value, Traced):
                    root = value.root
                    if self.plan.last_use.get(root, now) <= now:
                        self.arena.free(root)

    # Memory of operands.

    def in_place_candidate(self, node: Traced, run: Iterable[Traced]) -> Traced | None:
        """An operand that dies with an elementwise `node`, which may take its memory.

        In a run that goes block by block nothing may show it under another shape.
        """
        if not isinstance(node.op, np.ufunc) and node.op != "where":
            return None
        if self.plan.outlives(node):
            return None
        viewed = {
            a.root
            for n in run
            for a in n.args
            if isinstance(a, Traced) and a.root is not a
        }
        # `where` writes its last operand first: only that one may be overwritten.
        first = 2 if node.op == "where" else 0
        for at, a in enumerate(node.args[first:], first):
            if (
                self._is_like(a, node, viewed)
                and self.plan.last_use.get(a) == self.plan.position[node]
                and not any(
                    isinstance(other, Traced) and other.root is a and i != at
                    for i, other in enumerate(node.args)
                    if other is not a or node.op == "where"
                )
            ):
                return a
        return self._candidate_of_run(node, run, viewed)

    def _candidate_of_run(
        self, node: Traced, run: Iterable[Traced], viewed: set[Traced]
    ) -> Traced | None:
        """What earlier nodes of `run` were the last to read, element by element."""
        now = self.plan.position[node]
        for n in run:
            if self.plan.position[n] >= now:
                break
            for a in n.args:
                gone = self.plan.last_use.get(a, now) < now
                if gone and self._is_like(a, node, viewed):
                    return a
        return None

    def _is_like(self, a: Any, node: Traced, viewed: set[Traced]) -> TypeGuard[Traced]:
        """Whether `a` has a buffer, seen as it is, that would hold `node`."""
        return (
            isinstance(a, Traced)
            and self.arena.owns(a)
            and a not in viewed
            and (a.shape, a.dtype) == (node.shape, node.dtype)
        )
