"""Rollback state for the networks of a stack that diverge."""

from xpnet.backend import Array
from xpnet.stack.parameters import StackedParameters


class Rollback:
    """Copies of what steps change before their numbers are looked at.

    On the CPU that are the running statistics, each step; a device is asked once an
    epoch, so there it is everything.

    Attributes:
        pairs: [(array, copy)], one row a network.
    """

    def __init__(self, parameters: StackedParameters) -> None:
        arrays = [parameters.buffers.state]
        if not parameters.backend.is_host:
            arrays += [parameters.buffers.params, parameters.step]
            arrays += [*parameters.slots.values(), *parameters.averages]
        self.pairs: list[tuple[Array, Array]] = [
            (array, array.copy()) for array in arrays if array.size
        ]

    def keep(self, rows: slice) -> None:
        """Copy these rows as they are now."""
        for array, copy in self.pairs:
            copy[rows] = array[rows]

    def restore(self, i: int) -> None:
        """Make row i as it was when it was kept."""
        for array, copy in self.pairs:
            array[i] = copy[i]

    @property
    def nbytes(self) -> int:
        """Bytes of the copies."""
        return sum([int(copy.nbytes) for _, copy in self.pairs])
