"""Programs as plain numbers: their calls, and where in which memory each array lies.

Memory is a leaf's, a block of the program's own, or a constant; an array in it is
(memory, offset, shape, strides, dtype).
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler.c.cache_key import Leaves, Plain, Recorded, is_whole
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.linker import Linker
from xpnet.compiler.c.partial_sums import is_sum
from xpnet.compiler.c.ufunc_loops import inner_loop
from xpnet.compiler.lowering import Reader
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import RowPartition, Share
from xpnet.trace import Traced
from xpnet.trace.array import base, view

Made = Mapping[str, Any]  # a program, as JSON writes it


def plain(
    what: Recorded,
    program: Program,
    calls: dict[str, list[Any]],
    text: str,
    readers: Sequence[Reader],
) -> Made | None:
    """A program in numbers; None where it is not calls of C from end to end.

    Args:
        what: it was made of.
        program: that it became.
        calls: its ops, as they were before they were linked.
        text: of its loops.
        readers: of the source.
    """
    if not all(isinstance(op, NativeCall) for row in calls.values() for op in row):
        return None
    memory = _Memory(what.leaves, program.owned)
    ops = {name: [memory.op(op) for op in row] for name, row in calls.items()}
    outputs = {name: memory.spot(a) for name, a in program.outputs.items()}
    index = {node: i for i, node in enumerate(what.recording.tape.nodes)}
    reading = [(r.segment, r.index, index[r.node]) for r in readers]
    if not memory.complete:
        return None
    return {
        "calls": ops,
        "outputs": outputs,
        "readers": None if program.readers is None else reading,
        "blocks": [block.nbytes for block in program.owned],
        "zeros": sorted(memory.zeros),
        "constants": memory.constants,
        "crew": (program.crew.threads, program.crew.rows),
        "nbytes": program.nbytes,
        "text": text,
    }


class _Memory:
    """What arrays lie in: leaves, then blocks, then constants.

    Attributes:
        constants: (dtype, shape, bytes) of what is in no leaf and no block.
        zeros: blocks that must be 0 before the first step.
        complete: whether everything could be told.
    """

    def __init__(self, leaves: Leaves, blocks: list[Array]) -> None:
        self._blocks = len(leaves.memories)
        known = [*leaves.memories, *map(base, blocks)]
        self._places = {id(memory): i for i, memory in enumerate(known)}
        self._starts = [*leaves.starts, *map(address, blocks)]
        self._fixed = len(known)
        self._held: list[Array] = []  # or another one might have its id
        self.constants: list[Plain] = []
        self.zeros: set[int] = set()
        self.complete = True

    def spot(self, array: Array, written: bool = False) -> Plain:
        """Where `array` lies."""
        memory = base(array)
        if id(memory) not in self._places:
            self.complete &= is_whole(memory)
            self._places[id(memory)] = len(self._starts)
            self._starts.append(address(memory))
            self._held.append(memory)
            data = base64.b64encode(memory.tobytes()).decode()
            self.constants.append((memory.dtype.str, memory.shape, data))
        at = self._places[id(memory)]
        self.complete &= not (written and at >= self._fixed)
        offset = address(array) - self._starts[at]
        strides = None if array.flags.c_contiguous else array.strides
        return at, offset, array.shape, strides, array.dtype.str

    def op(self, op: NativeCall) -> Made:
        """A call."""
        written = {at % len(op.arrays) for at in op.written}
        spots = [self.spot(a, i in written) for i, a in enumerate(op.arrays)]
        if is_sum(op):  # of parts whose padding counts, and flags that some leave alone
            self.zeros |= {spots[0][0] - self._blocks, spots[2][0] - self._blocks}
        moves = [row if any(row) else [] for row in (op.member, op.step)]  # [] for 0s
        kinds = [a.dtype.char for a in op.arrays]
        loop = f"{''.join(kinds[:-1])}->{kinds[-1]}"  # of NumPy's, by its dtypes
        s = op.share
        return {
            "own": op.function if isinstance(op.function, str) else None,
            "loop": loop,
            "spots": spots,
            "numbers": [op.counts, op.strides, op.unit, *moves],
            "written": op.written,
            "name": op.name,
            "reduces": op.reduces,
            "share": s and (s.parts, s.cut, s.grain, s.by, s.apart),
        }


def program(what: Recorded, made: Made, wait: bool) -> Program | None:
    """What `plain` told of, on the arrays of a tape; None without NumPy's loops.

    Raises:
        NotCompiledError, BuildError: see `Linker.link`.
    """
    crew, recording = RowPartition(*made["crew"]), what.recording
    backend = recording.backend
    blocks = [
        (backend.zero_bytes if at in made["zeros"] else backend.empty_bytes)(nbytes)
        for at, nbytes in enumerate(made["blocks"])
    ]
    constants = [
        np.frombuffer(base64.b64decode(data), kind).copy().reshape(shape)
        for kind, shape, data in made["constants"]
    ]
    memories = [*what.leaves.memories, *blocks, *constants]
    starts = [*what.leaves.starts, *map(address, blocks), *map(address, constants)]
    behind = [s - address(m) for s, m in zip(starts, memories, strict=True)]

    def array(spot: Plain) -> Array:
        at, offset, shape, strides, kind = spot
        return np.ndarray(shape, kind, memories[at], behind[at] + offset, strides)

    calls: dict[str, list[Any]] = {}
    for name, row in made["calls"].items():
        ops = [_op(op, array, starts) for op in row]
        if None in ops:
            return None
        calls[name] = ops
    linker = Linker(recording.members, lambda: backend.threads, crew)
    linked, native = linker.link(calls, wait, made["text"])
    readers = None
    if made["readers"] is not None:
        nodes = recording.tape.nodes
        readers = [
            _reader(native.point, calls[name][at], nodes[i], recording.source)
            for name, at, i in made["readers"]
        ]
    outputs = {name: array(spot) for name, spot in made["outputs"].items()}
    source, nbytes = linker.whole(made["text"]), made["nbytes"]
    return Program(linked, outputs, nbytes, blocks, readers, source, native, crew)


def _op(
    made: Made, array: Callable[[Plain], Array], starts: list[int]
) -> NativeCall | None:
    function, data = made["own"], 0
    if function is None:
        # Tried when the program was made, whose key names NumPy's version.
        found = inner_loop(getattr(np, made["name"]), made["loop"], tried=True)
        if found is None:
            return None
        function, data = found
    counts, strides, unit, member, step = made["numbers"]
    spots, divided = made["spots"], made["share"]
    return NativeCall(
        function,
        [array(spot) for spot in spots],
        list(counts),
        list(strides),
        data,
        unit,
        list(member),
        list(step),
        tuple(made["written"]),
        made["name"],
        made["reduces"],
        Share(*divided) if divided else None,
        [starts[spot[0]] + spot[1] for spot in spots],
    )


def _reader(
    point: Callable[[NativeCall, list[Array]], None],
    op: NativeCall,
    node: Traced,
    source: Traced | None,
) -> Callable[[Array], None]:
    """What gives another array to the product `node`."""

    def take(array: Array) -> None:
        operands = [
            array if a is source else view(array, a) if a.root is source else old
            for a, old in zip(node.args, op.arrays, strict=False)
        ]
        point(op, [*operands, op.arrays[-1]])

    return take
