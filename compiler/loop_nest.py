"""What loops and kernels of CUDA have in common: a run of nodes, in passes.

A run is computed in one or more passes over its elements. A reduction (largest, sum) is
a number of each line once its own pass has ended; what depends on it comes in a later
pass, which computes anew, rather than keeps, what it needs of the passes before.
"""

from collections.abc import Callable

import numpy as np

from xpnet.backend import Array
from xpnet.trace import Traced

REDUCTIONS = ("max", "sum", "product_sum")


class LoopNest:
    """A run of nodes that becomes one loop nest, or one kernel.

    Args:
        run: the nodes, in order.
        array: the memory of an operand or of a result that is kept.
        kept: results that must be in memory afterwards.
        dtypes: of the arguments of a node.

    Attributes:
        inside: the nodes whose value the run computes.
        names: of the variables that hold them.
        stage: how many passes come before each node's own.
    """

    def __init__(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        dtypes: "Callable[[Traced], list[np.dtype[np.generic]]]",
    ) -> None:
        self.run, self.array, self.kept, self.dtypes = run, array, kept, dtypes
        self.inside = {n for n in run if n.op != "store"}
        self.names = {n: f"t{i}" for i, n in enumerate(run)}
        self.stage = self._stages()

    def _stages(self) -> dict[Traced, int]:
        stage: dict[Traced, int] = {}
        for node in self.run:
            before = [
                stage[a] + (a.op in REDUCTIONS) for a in node.args if a in self.inside
            ]
            stage[node] = max(before, default=0)
        return stage

    def needed(self, wanted: list[Traced], known: set[Traced]) -> list[Traced]:
        """`wanted` and what they are computed from, in order, up to what is `known`."""
        found: set[Traced] = set()
        asked = set(wanted)
        waiting = list(wanted)
        while waiting:
            node = waiting.pop()
            if node not in found and (node in asked or node not in known):
                found.add(node)
                waiting += [a for a in node.args if a in self.inside]
        return [n for n in self.run if n in found]
