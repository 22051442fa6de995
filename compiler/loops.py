"""Runs of elementwise operations as one loop of Numba, where there is no C compiler.

A run of the tape becomes the text of a Python function, one loop nest over its shape
with the run's operations inside, which Numba compiles for the dtypes and layouts at
hand. Temporaries live in registers; a largest-in-row (`max` over the last axis) is one
pass over the row before the pass that uses it. Only operations whose result IEEE 754
fixes to the bit are compiled, without contraction or reordering, so a loop gives the
bits of the NumPy calls that it replaces. Exponentials and sums stay with NumPy and
BLAS, whose vector code is faster.

Sources are kept in the cache (`common/cache.py`) with Numba's compiled form beside
them: a second process loads what the first has compiled.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common.cache import cache_directory, keep, kept, own, put
from xpnet.compiler.loop_nest import Fused
from xpnet.trace import Traced

INFIX = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.greater: ">",
    np.greater_equal: ">=",
    np.less: "<",
    np.less_equal: "<=",
    np.equal: "==",
    np.not_equal: "!=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
    np.left_shift: "<<",
    np.right_shift: ">>",
}
CALLS = {
    np.negative: "-{0}",
    np.absolute: "abs({0})",
    np.sqrt: "sqrt({0})",
    np.square: "{0} * {0}",
    np.reciprocal: "1 / {0}",
    # NaN passes through, as in NumPy.
    np.maximum: "({0} if {0} >= {1} or {0} != {0} else {1})",
    np.minimum: "({0} if {0} <= {1} or {0} != {0} else {1})",
    np.sign: "({0} if {0} != {0} else ({0} > 0) - ({0} < 0))",
}
KINDS = {
    "f4": "f32",
    "f8": "f64",
    "i4": "i32",
    "i8": "i64",
    "u4": "u32",
    "b1": "boolean",
}


@cache
def available() -> bool:
    """Whether Numba is installed (it is imported when the first loop is compiled)."""
    return importlib.util.find_spec("numba") is not None


def can_join(node: Traced) -> bool:
    """Whether a loop may contain `node`."""
    if node.joins is None:
        node.joins = _can_join(node)
    return node.joins


def _can_join(node: Traced) -> bool:
    if node.dtype.str[1:] not in KINDS:
        return False
    if node.op == "max":
        return node.options == ((len(node.shape) - 1,), True)
    if isinstance(node.op, np.ufunc):
        return node.op in INFIX or node.op in CALLS
    return node.op in ("where", "cast", "store")


class Loop(Fused):
    """The source of one loop, and the arrays that it runs on.

    Args:
        run: the nodes, in order; each elementwise over `shape`, or a max of such a
            value over its last axis.
        shape: of the loop nest.
        array, kept, dtypes: see `Fused`.
    """

    def __init__(
        self,
        run: list[Traced],
        shape: tuple[int, ...],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        dtypes: Callable[[Traced], list[np.dtype[Any]]],
    ) -> None:
        super().__init__(run, array, kept, dtypes)
        self.numbers: set[str] = set()  # arguments that are single numbers
        self.written: set[str] = set()
        self.parameters: dict[tuple[int, tuple[int, ...], tuple[int, ...]], str] = {}
        self.arrays: list[Array] = []
        self.shape = self._flat(shape)
        self._note_written()
        self.source = self._source()

    def _flat(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One axis, where every operand is contiguous or a single number."""
        self.collapsed = not any(n.op == "max" for n in self.run)
        for node in self.run:
            for value in (*node.args, node):
                if not isinstance(value, Traced) or value.op == "store":
                    continue
                if value in self.inside and value not in self.kept:
                    continue
                array = self.array(value)
                full = value.shape == shape and array.flags.c_contiguous
                if not (full or array.size == 1):
                    self.collapsed = False
        return (int(np.prod(shape)),) if self.collapsed else shape or (1,)

    def _note_written(self) -> None:
        """A single number that the loop writes must not be read ahead of it."""
        for node in self.run:
            if node.op == "store":
                self._element(self.array(node.args[0]), written=True)
            elif node in self.kept:
                self._element(self.array(node), written=True)

    # Names of arrays and elements.

    def _parameter(self, array: Array) -> str:
        """The argument that passes `array`; equal arrays are passed once."""
        if array.size == 1 or self.collapsed:
            array = array.reshape(-1)
        else:
            array = array.reshape((1,) * (len(self.shape) - array.ndim) + array.shape)
        key = (array.__array_interface__["data"][0], array.shape, array.strides)
        if key not in self.parameters:
            self.parameters[key] = f"a{len(self.arrays)}"
            self.arrays.append(array)
        return self.parameters[key]

    def _element(self, array: Array, written: bool = False) -> str:
        name = self._parameter(array)
        view = self.arrays[int(name[1:])]
        if view.size == 1:
            if written or name in self.written:
                self.written.add(name)
                return f"{name}[0]"
            # Read before the loop: inside, it might be any array's element.
            self.numbers.add(name)
            return f"s{name[1:]}"
        places = [f"i{k}" if view.shape[k] > 1 else "0" for k in range(len(self.shape))]
        return f"{name}[{', '.join(places)}]"

    def _operand(self, value: Any, dtype: np.dtype[Any]) -> str:
        kind = KINDS[dtype.str[1:]]
        if not isinstance(value, Traced):
            number = dtype.type(value)
            return (
                f"{kind}({float(number)!r})"
                if dtype.kind == "f"
                else (f"{kind}({int(number)})")
            )
        text = (
            self.names[value]
            if value in self.inside
            else self._element(self.array(value))
        )
        return text if value.dtype == dtype else f"{kind}({text})"

    # Text.

    def _expression(self, node: Traced) -> str:
        args = [
            self._operand(a, kind)
            for a, kind in zip(node.args, self.dtypes(node), strict=True)
        ]
        kind = KINDS[node.dtype.str[1:]]
        if node.op == "where":
            return f"{kind}({args[1]} if {args[0]} else {args[2]})"
        if node.op == "cast":
            return f"{kind}({args[0]})"
        assert isinstance(node.op, np.ufunc)
        if node.op in INFIX:
            return f"{kind}({args[0]} {INFIX[node.op]} {args[1]})"
        return f"{kind}({CALLS[node.op].format(*args)})"

    def _source(self) -> str:
        depth = len(self.shape)
        last = max(self.stage.values())
        body: list[str] = []
        for stage in range(last + 1):
            body += self._pass(stage, last)
        # The innermost loop belongs to each pass; those around it are common.
        lines, pad = [], " "
        for k in range(depth - 1):
            lines.append(f"{pad}for i{k} in range(n{k}):")
            pad += " "
        lines += [pad + line for line in body]
        # From 0 upwards: an index that might be negative would not be vectorised.
        sizes = "".join(f"n{k}, " for k in range(depth))
        names = ", ".join(f"a{i}" for i in range(len(self.arrays)))
        ahead = [f" s{name[1:]} = {name}[0]" for name in sorted(self.numbers)]
        head = f"def loop({sizes}{names}):"
        return "\n".join([head, *ahead, *lines]) + "\n"

    def _pass(self, stage: int, last: int) -> list[str]:
        """One loop over the last axis: what is stored or found in this pass."""
        wanted = [
            n
            for n in self.run
            if self.stage[n] == stage and (n.op in ("max", "store") or n in self.kept)
        ]
        needed = self.needed(wanted, {n for n in self.run if n.op == "max"})
        k = len(self.shape) - 1
        lines = []
        for node in wanted:
            if node.op == "max":
                lines.append(f"{self.names[node]} = {self._lowest(node.dtype)}")
        lines.append(f"for i{k} in range(n{k}):")
        for node in needed:
            if node.op == "max":
                if self.stage[node] == stage:
                    value = self._operand(node.args[0], node.dtype)
                    name = self.names[node]
                    lines.append(f" v = {value}")
                    # A NaN stays: nothing compares with it.
                    lines.append(f" {name} = v if v > {name} or v != v else {name}")
            elif node.op == "store":
                target, value = node.args
                lines.append(
                    f" {self._element(self.array(target))} = "
                    f"{self._operand(value, target.dtype)}"
                )
            else:
                lines.append(f" {self.names[node]} = {self._expression(node)}")
                if node in self.kept and self.stage[node] == stage:
                    place = self._element(self.array(node))
                    lines.append(f" {place} = {self.names[node]}")
        for node in wanted:
            if node.op == "max" and node in self.kept:
                place = self._element(self.array(node))
                lines.append(f"{place} = {self.names[node]}")
        return lines

    def _lowest(self, dtype: np.dtype[Any]) -> str:
        return f"{KINDS[dtype.str[1:]]}(-inf)"

    # The compiled form.

    def calls(self, threads: int) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """The calls (function, arguments) that run the loop."""
        signature = _signature(self.arrays, len(self.shape))
        function = _compiled(self.source, signature)
        rows = self.shape[0]
        if threads == 1 or int(np.prod(self.shape)) < SHARED or rows < threads:
            return [(function, (*self.shape, *self.arrays))]
        step = -(-rows // threads)
        parts = [self._part(at, min(at + step, rows)) for at in range(0, rows, step)]
        return [(shared, (function, parts))]

    def _part(self, start: int, stop: int) -> tuple[Any, ...]:
        """The arguments that run rows start..stop."""
        arrays = [
            a[start:stop] if a.ndim == len(self.shape) and len(a) > 1 else a
            for a in self.arrays
        ]
        return (stop - start, *self.shape[1:], *arrays)


SHARED = 1 << 22  # elements from which a second thread repays its start


@cache
def _pool(threads: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads - 1, "xpnet-loop")


def shared(function: Callable[..., Any], parts: list[tuple[Any, ...]]) -> None:
    """`function` on each of `parts`, a thread each; this thread takes the first."""
    pool = _pool(len(parts))
    waiting = [pool.submit(function, *part) for part in parts[1:]]
    function(*parts[0])
    for result in waiting:
        result.result()


def _signature(arrays: list[Array], depth: int) -> str:
    """The loop's types as Numba writes them, "void(int64, int64, float32[:, ::1])"."""
    types = ["int64"] * depth
    for array in arrays:
        axes = [":"] * array.ndim
        if array.flags.c_contiguous:
            axes[-1] = "::1"
        name = "boolean" if array.dtype == np.bool_ else array.dtype.name
        types.append(f"{name}[{', '.join(axes)}]")
    return f"void({', '.join(types)})"


_LOADED: dict[tuple[str, str], Callable[..., Any]] = {}
_COMPILING = Lock()  # stacks may train in several threads


def _compiled(source: str, signature: str) -> Callable[..., Any]:
    """The machine code of `source` for `signature`, compiled once a machine."""
    with _COMPILING:
        return _loaded(source, signature)


def _loaded(source: str, signature: str) -> Callable[..., Any]:
    if (source, signature) not in _LOADED:
        loop = _module(source, signature).loop
        (result,) = loop.overloads.values()
        # The entry point is the C function itself: no dispatch on argument types.
        _LOADED[source, signature] = result.entry_point
    return _LOADED[source, signature]


OPTIONS = 'error_model="numpy", boundscheck=False, fastmath=False'
HEADER = '''"""Generated by xpnet; safe to delete."""

from math import inf, nan, sqrt

from numba import boolean, njit
from numba import float32 as f32, float64 as f64
from numba import int32 as i32, int64 as i64, uint32 as u32'''


def _text(source: str, signature: str, cached: bool) -> str:
    """The module of a loop."""
    options = f"{signature!r}, cache={cached}, nogil=True, {OPTIONS}"
    return f"{HEADER}\n\n@njit({options})\n{source}"


def _module(source: str, signature: str) -> Any:
    """The loop as an imported module, compiled by Numba or taken from the cache."""
    text = _text(source, signature, cached=True)
    name = "xpnet_loop_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    try:
        if os.environ.get("NUMBA_CACHE_DIR"):
            raise OSError("Numba's files lie where nothing is known of them")
        with _Sums(name, text) as path:
            return _imported(name, text, path)
    except OSError:  # a full disk, say: compiled for this process only
        text = _text(source, signature, cached=False)
        return _imported(name, text, Path(f"{name}.py"))


class _Sums:
    """Numba's files of a module, sound or not there.

    Numba looks at nothing but the time of the source. So a hash of each file is kept
    when it has been written; before it is read again, those that do not fit go.

    Args:
        name: of the module.
        text: its source.

    Raises:
        OSError: the source cannot be written.
    """

    def __init__(self, name: str, text: str) -> None:
        place = cache_directory()
        self._name, self._path = name, place / f"{name}.py"
        self._folder = place / "__pycache__"
        if not self._path.is_file():
            put(self._path.name, text.encode())

    def __enter__(self) -> Path:
        self._before = kept(f"{self._name}.sums")
        if not self._before or self._before != self._now():
            for path in self._files():
                path.unlink(missing_ok=True)
        return self._path

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            for path in self._files():
                path.chmod(0o600)
            now = self._now()
            if now != self._before:
                keep(f"{self._name}.sums", now)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._name}.*"))

    def _now(self) -> bytes:
        """The hash of each file, as text; empty where one is not sound."""
        found = {path.name: own(path) for path in self._files()}
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
        return repr(sums).encode() if all(found.values()) else b""


class _Loader(SourceFileLoader):
    """Imports a text that is at hand: nothing is read, and no bytecode is written."""

    def __init__(self, name: str, text: str, path: Path) -> None:
        super().__init__(name, str(path))
        self._text = text

    def get_data(self, path: Any) -> bytes:
        """The text."""
        return self._text.encode()

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        """Asked for before bytecode is read or written: there is none."""
        raise OSError("bytecode is not kept")


def _imported(name: str, text: str, path: Path) -> Any:
    spec = importlib.util.spec_from_loader(name, _Loader(name, text, path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba looks the function's module up by name
    spec.loader.exec_module(module)
    return module


def _after_fork() -> None:
    """The child has none of the threads, and none of them holds the lock."""
    global _COMPILING
    _COMPILING = Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
