"""Programs that have been made before: the same tape again, on other arrays.

What a tape becomes depends on its nodes and on how its leaves lie in memory, not on
what they hold. So a program is kept as plain numbers (its calls, and where in which
memory each of their arrays lies) under a hash of all that it depends on. Another
network of the same shape, the next fold, the next run of a script get theirs from
there: in this process, or from a file beside the program's library.
"""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import loops
from xpnet.backend.backend import Backend
from xpnet.backend.blas import openblas
from xpnet.backend.cache import cache_directory
from xpnet.backend.crew import Crew
from xpnet.backend.native import share
from xpnet.backend.native.inner import inner_loop
from xpnet.backend.native.link import Linker
from xpnet.backend.native.partial import is_sum
from xpnet.backend.native.share import Share
from xpnet.backend.native.table import Op, address
from xpnet.backend.program import Program
from xpnet.backend.tape import Tape
from xpnet.backend.trace import Array, Traced, base, view

MOST = 256  # programs in this process
MOST_FILES = 1024
Plain = Sequence[Any]  # what JSON writes: numbers, texts, lists of them
_KNOWN: dict[str, Plain] = {}


@dataclass(frozen=True)
class Recorded:
    """A tape, and what else its program depends on.

    Attributes:
        tape, backend, source, members: see `compile_tape`.
        leaves: the memory of its leaves.
        key: a hash of everything but the memory itself.
    """

    tape: Tape
    backend: Backend
    source: Traced | None
    members: int | None
    leaves: "_Leaves"
    key: str


class _Leaves:
    """What owns the memory of leaves, in the order in which they come.

    Attributes:
        memories: arrays that own memory.
        starts: the address of the first leaf in each; others lie before or behind it.
    """

    def __init__(self) -> None:
        self.memories: list[Array] = []
        self.starts: list[int] = []
        self._places: dict[int, int] = {}

    def row(self, leaf: Traced) -> Plain | None:
        """Where a leaf lies; None where it is not NumPy's own memory."""
        array, memory, start = leaf.array, leaf.memory, address(leaf.array)
        if not (type(array) is np.ndarray and _is_whole(memory)):
            return None
        if id(memory) not in self._places:
            self._places[id(memory)] = len(self.memories)
            self.memories.append(memory)
            self.starts.append(start)
        at = self._places[id(memory)]
        lies = start - self.starts[at], array.shape, array.strides
        return at, memory.nbytes, *lies, array.dtype.str


def _is_whole(memory: Any) -> bool:
    return type(memory) is np.ndarray and memory.flags.c_contiguous


def recorded(
    tape: Tape,
    backend: Backend,
    outputs: dict[str, Traced],
    segments: tuple[str, ...],
    source: Traced | None,
    members: int | None,
    crew: Crew | None,
) -> Recorded | None:
    """What a program is known by; None where a key could not tell all."""
    leaves = _Leaves()
    index: dict[Traced, int] = {}
    rows: list[Plain] = []
    for node in tape.nodes:
        index[node] = len(rows)
        row = leaves.row(node) if node.op == "leaf" else _row(node, index)
        if row is None:
            return None
        rows.append(row)
    found = tuple((name, index[node]) for name, node in outputs.items())
    what = (found, segments, -1 if source is None else index[source], members or 0)
    team = () if crew is None else (crew.threads, crew.rows)
    limits = share.WORK, share.LARGEST, share.ELEMENTS, loops.SHARED
    where = (backend.threads, openblas() is None, *limits, _code())
    told = json.dumps((what, team, where, rows), default=int)
    key = hashlib.sha256(told.encode()).hexdigest()[:32]
    return Recorded(tape, backend, source, members, leaves, key)


def _row(node: Traced, index: dict[Traced, int]) -> Plain | None:
    op = node.op
    if not isinstance(op, str):
        if getattr(np, op.__name__, None) is not op:  # somebody's own ufunc
            return None
        op = op.__name__
    args = tuple(index[a] if isinstance(a, Traced) else repr(a) for a in node.args)
    return op, args, node.shape, node.dtype.str, repr(node.options), node.segment


@cache
def _code() -> Plain:
    """What tells this library, this NumPy and this Python from others."""
    told = []
    for folder in (Path(__file__).parent, Path(__file__).parents[1]):
        with os.scandir(folder) as files:
            told += [
                (f.name, f.stat()) for f in files if f.name.endswith((".py", ".c"))
            ]
    stats = sorted((name, s.st_size, s.st_mtime_ns) for name, s in told)
    return np.__version__, sys.version, tuple(stats)


# From a program to plain numbers.


def remember(
    what: Recorded,
    program: Program,
    calls: dict[str, list[Any]],
    text: str,
    readers: Sequence[tuple[str, int, Traced]],
) -> None:
    """Keep a program, if it is calls of C from end to end.

    Args:
        what: it was made of.
        program: that it became.
        calls: its ops, as they were before they were linked.
        text: of its loops.
        readers: (segment, call, node) of each product that reads the source.
    """
    if not all(isinstance(op, Op) for row in calls.values() for op in row):
        return
    plain = _Plain(what.leaves, program.owned)
    ops = {name: tuple(map(plain.op, row)) for name, row in calls.items()}
    outputs = tuple((name, plain.spot(a)) for name, a in program.outputs.items())
    reading: Plain | None = None
    if program.readers is not None:
        index = {node: i for i, node in enumerate(what.tape.nodes)}
        reading = tuple((name, at, index[node]) for name, at, node in readers)
    crew = program.crew.threads, program.crew.rows
    blocks = tuple(
        (block.nbytes, i in plain.zeros) for i, block in enumerate(program.owned)
    )
    rows = tuple(ops.items())
    fixed = tuple(plain.constants)
    made = (rows, outputs, reading, blocks, fixed, crew, program.nbytes, text)
    if plain.complete:
        while len(_KNOWN) >= MOST:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[what.key] = made
        _write(what.key, made)


class _Plain:
    """Arrays as (memory, offset, shape, strides, dtype): leaves, blocks, constants.

    Attributes:
        constants: (dtype, shape, bytes) of what is in no leaf and no block.
        zeros: blocks that must be 0 before the first step.
        complete: whether everything could be told.
    """

    def __init__(self, leaves: _Leaves, blocks: list[Array]) -> None:
        self._blocks = len(leaves.memories)
        known = [*leaves.memories, *map(base, blocks)]
        self._places = {id(memory): i for i, memory in enumerate(known)}
        self._starts = [*leaves.starts, *map(address, blocks)]
        self._held: list[Array] = []  # or another one might have its id
        self.constants: list[Plain] = []
        self.zeros: set[int] = set()
        self.complete = True

    def spot(self, array: Array, written: bool = False) -> Plain:
        """Where `array` lies."""
        memory = base(array)
        if id(memory) not in self._places:
            self.complete &= _is_whole(memory) and not written
            self._places[id(memory)] = len(self._starts)
            self._starts.append(address(memory))
            self._held.append(memory)
            kind = memory.dtype.str
            data = base64.b64encode(memory.tobytes()).decode()
            self.constants.append((kind, memory.shape, data))
        at = self._places[id(memory)]
        offset = address(array) - self._starts[at]
        return at, offset, array.shape, array.strides, array.dtype.str

    def op(self, op: Op) -> Plain:
        """A call."""
        written = {at % len(op.arrays) for at in op.written}
        spots = tuple(self.spot(a, i in written) for i, a in enumerate(op.arrays))
        if is_sum(op):  # of parts whose padding counts, and flags that some leave alone
            self.zeros |= {spots[0][0] - self._blocks, spots[2][0] - self._blocks}
        kinds = [a.dtype.char for a in op.arrays]
        own = isinstance(op.function, str)
        function = op.function if own else f"{''.join(kinds[:-1])}->{kinds[-1]}"
        divided = op.share
        part: Plain = ()
        if divided is not None:
            lists = tuple(divided.by), tuple(divided.apart)
            part = (divided.parts, divided.cut, divided.grain, *lists)
        numbers = tuple(map(tuple, (op.counts, op.strides, op.member, op.step)))
        rest = (op.unit, tuple(op.written), op.name, op.reduces, part)
        return own, function, spots, *numbers, *rest


# From plain numbers to a program.


def remade(what: Recorded, wait: bool) -> Program | None:
    """The program of a tape that has been known before; None where it is new.

    Raises:
        NotCompiledError, BuildError: see `Linker.link`.
    """
    made = _KNOWN.get(what.key) or _read(what.key)
    if made is None:
        return None
    with suppress(TypeError, ValueError, AttributeError, IndexError):  # a foreign file
        return _remade(what, made, wait)
    return None


def _remade(what: Recorded, made: Plain, wait: bool) -> Program | None:
    rows, outputs, reading, sizes, constants, team, nbytes, text = made
    crew, backend = Crew(*team), what.backend
    blocks = [backend.empty_bytes(nbytes) for nbytes, _ in sizes]
    for block, (_, zero) in zip(blocks, sizes, strict=True):
        if zero:
            block[...] = 0
    fixed = [
        np.frombuffer(base64.b64decode(data), kind).copy().reshape(shape)
        for kind, shape, data in constants
    ]
    memories = [*what.leaves.memories, *blocks, *fixed]
    starts = [*what.leaves.starts, *map(address, blocks), *map(address, fixed)]
    behind = [s - address(m) for s, m in zip(starts, memories, strict=True)]

    def array(spot: Plain) -> Array:
        at, offset, shape, strides, kind = spot
        return np.ndarray(shape, kind, memories[at], behind[at] + offset, strides)

    calls: dict[str, list[Any]] = {}
    for name, row in rows:
        ops = [_op(op, array, starts) for op in row]
        if None in ops:
            return None
        calls[name] = ops
    linker = Linker(what.members, lambda: backend.threads, crew)
    linked, native = linker.link(calls, wait, text)
    readers = None
    if reading is not None:
        nodes = what.tape.nodes
        readers = [
            _reader(native.point, calls[name][at], nodes[i], what.source)
            for name, at, i in reading
        ]
    found = {name: array(spot) for name, spot in outputs}
    source = linker.whole(text)
    return Program(linked, found, nbytes, blocks, readers, source, native, crew)


def _op(row: Plain, array: Callable[[Plain], Array], starts: list[int]) -> Op | None:
    own, function, spots, counts, strides, member, step, *rest = row
    unit, written, name, reduces, part = rest
    data = 0
    if not own:
        found = inner_loop(getattr(np, name), function)
        if found is None:
            return None
        function, data = found
    return Op(
        function,
        [array(spot) for spot in spots],
        list(counts),
        list(strides),
        data,
        unit,
        list(member),
        list(step),
        written,
        name,
        reduces,
        Share(*part) if part else None,
        [starts[spot[0]] + spot[1] for spot in spots],
    )


def _reader(
    point: Callable[[Op, list[Array]], None],
    op: Op,
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


# Between processes.


def _path(key: str) -> Path:
    return cache_directory() / f"{key}.program"


def _read(key: str) -> Plain | None:
    try:
        made: Plain = json.loads(_path(key).read_text())
    except (OSError, RuntimeError, ValueError):
        return None
    _KNOWN[key] = made
    return made


def _write(key: str, made: Plain) -> None:
    import tempfile

    with suppress(OSError, RuntimeError):
        path = _path(key)
        _make_room(path.parent)
        part, name = tempfile.mkstemp(prefix="part-", dir=path.parent)
        with os.fdopen(part, "w") as file:
            json.dump(made, file, default=int)
        os.replace(name, path)


@cache
def _make_room(folder: Path) -> None:
    """Leave at most half of `MOST_FILES` of them, the newest, where there are more."""
    files = list(folder.glob("*.program"))
    if len(files) > MOST_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: -MOST_FILES // 2]:
            file.unlink(missing_ok=True)
