"""The key of a program: a hash of the tape and of how its leaves lie in memory.

Two tapes with one key become the same calls on other arrays. So the key holds
everything that a program depends on: nodes, numbers, shapes and layouts, the threads
and limits by which calls are divided, and the version of the compiler's code.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.backend.blas import openblas
from xpnet.compiler import tuning
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.lowering import Recording
from xpnet.trace import Traced
from xpnet.trace.array import base

FORMAT = 3  # of kept programs: those of another one are not found
Plain = Sequence[Any]  # what JSON writes: numbers, texts, lists of them


@dataclass(frozen=True)
class Recorded:
    """A recording and the key of its program.

    Attributes:
        recording: what is compiled.
        leaves: the memory of its leaves.
        key: a hash of everything but the memory itself.
    """

    recording: Recording
    leaves: "Memories"
    key: str


class Memories:
    """Pieces of memory by numbers, in the order in which they come.

    Attributes:
        owners: arrays that own memory.
        starts: the address that offsets in each are counted from.
    """

    def __init__(self, owners: list[Array], starts: list[int]) -> None:
        self.owners, self.starts = owners, starts
        self._numbers = {id(owner): i for i, owner in enumerate(self.owners)}

    def add(self, owner: Array, start: int) -> int:
        """The number of a piece of memory, from now on if it is new."""
        if id(owner) not in self._numbers:
            self._numbers[id(owner)] = len(self.owners)
            self.owners.append(owner)
            self.starts.append(start)
        return self._numbers[id(owner)]

    def ref(self, array: Array) -> BufferRef:
        """The reference to an array, unbound: its memory's number and an offset."""
        bound, owner = BufferRef.of(array), base(array)
        at = self.add(owner, address(owner) if is_whole(owner) else bound.offset)
        return bound._replace(buffer=at, offset=bound.offset - self.starts[at])

    def leaf(self, leaf: Traced) -> Plain | None:
        """Where a leaf lies; None where it is not NumPy's own memory.

        Offsets are counted from the first leaf in its memory: others may lie before it.
        """
        array, memory, start = leaf.array, leaf.memory, address(leaf.array)
        if not (type(array) is np.ndarray and is_whole(memory)):
            return None
        at = self._numbers.get(id(memory))
        if at is None:
            at = self.add(memory, start)
        lies = start - self.starts[at], array.shape, array.strides
        return at, memory.nbytes, *lies, array.dtype.str


def is_whole(memory: Any) -> bool:
    """Whether it is NumPy's own memory, in one piece."""
    return type(memory) is np.ndarray and memory.flags.c_contiguous


def recorded(recording: Recording) -> Recorded | None:
    """The key of a program; None where it could not hold everything."""
    leaves = Memories([], [])
    index: dict[Traced, int] = {}
    rows: list[Plain] = []
    for node in recording.tape.nodes:
        index[node] = len(rows)
        row = leaves.leaf(node) if node.op == "leaf" else _row(node, index)
        if row is None:
            return None
        rows.append(row)
    found = tuple((name, index[node]) for name, node in recording.outputs.items())
    source, partition = recording.source, recording.partition
    at = -1 if source is None else index[source]
    what = (found, recording.segments, at, recording.n_networks or 0)
    team = () if partition is None else (partition.threads, partition.rows)
    limits = (
        tuning.WORK_PER_THREAD,
        tuning.MAX_WEIGHT_BYTES,
        tuning.ELEMENTS_PER_PART,
        tuning.MIN_ELEMENTS_FOR_THREADS,
    )
    where = (recording.backend.threads, openblas() is None, *limits, _code())
    text = repr((FORMAT, what, team, where, rows))
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Recorded(recording, leaves, key)


def _row(node: Traced, index: dict[Traced, int]) -> Plain | None:
    op = node.op
    if not isinstance(op, str):
        if getattr(np, op.__name__, None) is not op:  # a user's own ufunc
            return None
        op = op.__name__
    args = [index[a] if isinstance(a, Traced) else repr(a) for a in node.args]
    return op, args, node.shape, node.dtype.str, node.options, node.segment


@cache
def _code() -> Plain:
    """The versions of this compiler, NumPy and Python."""
    found = []
    for folder in (Path(__file__).parent, Path(__file__).parents[1]):
        with os.scandir(folder) as files:
            found += [
                (f.name, f.stat()) for f in files if f.name.endswith((".py", ".c"))
            ]
    stats = sorted([(name, s.st_size, s.st_mtime_ns) for name, s in found])
    return np.__version__, sys.version, __file__, stats
