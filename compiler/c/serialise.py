"""Programs as plain numbers: their calls, over numbered pieces of memory.

Memory is a leaf's, a block of the program's own, or a constant, in this order; see
`BufferRef` for an operand in it.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.c.cache_key import Memories, Recorded, is_whole
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.linker import Linker
from xpnet.compiler.c.partial_sums import is_sum
from xpnet.compiler.c.ufunc_loops import inner_loop
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import RowPartition, Share
from xpnet.trace.array import base

Made = Mapping[str, Any]  # a program, as JSON writes it
NUMBERS = ("counts", "strides", "unit", "member", "step", "written", "reduces")
Readers = list[Callable[[Array], None]] | None
Reads = Sequence[tuple[str, int, int]]  # (segment, index, operand) of the source


def plain(
    what: Recorded,
    program: Program,
    calls: dict[str, list[Any]],
    text: str,
    reads: Reads,
) -> Made | None:
    """A program in numbers; None where it is not calls of C from end to end.

    Args:
        what: it was made of.
        program: that it became.
        calls: its ops, as they were before they were linked.
        text: of its loops.
        reads: where it reads the source.
    """
    if not all(isinstance(op, NativeCall) for row in calls.values() for op in row):
        return None
    blocks = program.owned
    own, starts = list(map(base, blocks)), list(map(address, blocks))
    first = len(what.leaves.owners)
    memory = Memories(what.leaves.owners + own, what.leaves.starts + starts)
    ops = {name: [_plain(op, memory) for op in row] for name, row in calls.items()}
    outputs = {name: memory.ref(a) for name, a in program.outputs.items()}
    constants = memory.owners[first + len(blocks) :]
    pairs = [
        (op, made["refs"])
        for name, row in calls.items()
        for op, made in zip(row, ops[name], strict=True)
    ]
    written = {refs[at].buffer for op, refs in pairs for at in op.written}
    kept = max(written, default=0) < first + len(blocks)  # no constant is written
    if not (kept and all(map(is_whole, constants))):
        return None
    # Parts of sums, of which the padding is added too, and flags not always written.
    zeros = {refs[at].buffer for op, refs in pairs if is_sum(op) for at in (0, 2)}
    return {
        "calls": ops,
        "outputs": outputs,
        "reads": None if program.readers is None else reads,
        "blocks": [block.nbytes for block in blocks],
        "zeros": sorted(at - first for at in zeros),
        "constants": [
            (x.dtype.str, x.shape, base64.b64encode(x.tobytes()).decode())
            for x in constants
        ],
        "partition": (program.partition.threads, program.partition.rows),
        "nbytes": program.nbytes,
        "text": text,
    }


def _plain(op: NativeCall, memory: Memories) -> Made:
    refs = list(map(memory.ref, op.arrays))
    kinds = [np.dtype(ref.dtype).char for ref in refs]
    return {
        "function": op.function,
        # A loop of NumPy's by its dtypes; a function of the library has no code yet.
        "loop": op.code and f"{''.join(kinds[:-1])}->{kinds[-1]}",
        "refs": refs,
        "rest": {name: getattr(op, name) for name in NUMBERS},
        "share": op.share and tuple(vars(op.share).values()),
    }


def program(what: Recorded, made: Made, wait: bool) -> Program | None:
    """The program of `plain` on the arrays of a tape; None without NumPy's loops.

    Raises:
        NotCompiledError, BuildError: see `Linker.link`.
    """
    partition, recording = RowPartition(*made["partition"]), what.recording
    backend = recording.backend
    blocks = [
        (backend.zero_bytes if at in made["zeros"] else backend.empty_bytes)(nbytes)
        for at, nbytes in enumerate(made["blocks"])
    ]
    constants = [
        np.frombuffer(base64.b64decode(data), kind).copy().reshape(shape)
        for kind, shape, data in made["constants"]
    ]
    own = [*blocks, *constants]
    memories = [*what.leaves.owners, *map(base, own)]
    starts = [*what.leaves.starts, *map(address, own)]
    places = list(zip(map(id, memories), starts, strict=True))
    calls: dict[str, list[NativeCall]] = {}
    for name, row in made["calls"].items():
        ops = [_op(op, places) for op in row]
        calls[name] = [op for op in ops if op is not None]
        if len(calls[name]) < len(ops):
            return None
    linker = Linker(recording.n_networks, lambda: backend.threads, partition)
    linked, native = linker.link(calls, wait, made["text"])
    native.held = memories
    readers: Readers = None
    if made["reads"] is not None:
        operands = [(calls[name][index], at) for name, index, at in made["reads"]]
        readers = [partial(native.rebind, operands)]
    outputs = {}
    for name, (at, offset, shape, strides, kind) in made["outputs"].items():
        behind = starts[at] + offset - address(memories[at])
        outputs[name] = np.ndarray(shape, kind, memories[at], behind, strides)
    source, nbytes = linker.whole(made["text"]), made["nbytes"]
    return Program(linked, outputs, nbytes, blocks, readers, source, native, partition)


def _op(made: Made, places: list[tuple[int, int]]) -> NativeCall | None:
    """A call, bound; None where NumPy has no such loop.

    Args:
        made: as `_plain` wrote it.
        places: (number, address) of each piece of memory.
    """
    code, name = None, made["function"]
    if made["loop"]:
        # It was tried when the program was made; the key names NumPy's version.
        code = inner_loop(getattr(np, name), made["loop"], tried=True)
        if code is None:
            return None
    refs = [
        BufferRef(places[at][0], places[at][1] + offset, *layout)
        for at, offset, *layout in made["refs"]
    ]
    share = Share(*made["share"]) if made["share"] else None
    rest: Any = made["rest"] | {"code": code, "share": share, "operands": refs}
    return NativeCall(name, [*refs], **rest)
