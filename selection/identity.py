"""Identifies a network by a SHA-256: equal only if a training gives the same scores.

Another process may read the file of a search after its script was edited. So the digest
is of values, not of objects; of a function it covers the code, defaults, closure and
the global names that it uses. Functions and classes of installed libraries are
identified by their names, and xpnet and NumPy by their versions.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from inspect import isdatadescriptor, isroutine
from io import IOBase
from threading import Lock, RLock
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.training.callbacks import Callback
from xpnet.training.trainer import Trainer

LIBRARIES = sys.stdlib_module_names | {"cupy", "numpy", "scipy", "sklearn", "xpnet"}
WITHOUT_VALUE = (IOBase, type(Lock()), type(RLock()))  # no score depends on them
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def identity(value: Any) -> str:
    """The SHA-256 of `value` in hexadecimal digits.

    Raises:
        ValueError: two processes cannot compare a part of it; the message names it.
    """
    return _Digest().of(value).hex()


def network(trainer: Trainer) -> str:
    """The identity of a new, untrained trainer."""
    return identity(_parts(trainer))


def _parts(trainer: Trainer) -> list[Any]:
    """Everything that the result of a training depends on."""
    model, device = trainer.model, trainer.backend.device.split(":")[0]
    layers = list[Any](model.layers)
    parts: list[Any] = [
        *(_version("xpnet"), _version("numpy"), device, trainer.backend.precision),
        *(trainer.dtype.name, trainer.seed, trainer.eager, trainer.average),
        *(trainer.loss_function, trainer.optimizer, layers, trainer.metrics),
        *(trainer.steps_done, trainer.epochs_done),
        *(trainer.rates.scale, trainer.rates.fixed),
    ]
    if model.buffers is not None:
        arrays = [model.buffers.params, model.buffers.state, model.step]
        arrays += [*trainer.rule.slots, *trainer.rule.averages]
        parts += [trainer.backend.to_numpy(array) for array in arrays]
    return parts


@cache
def _version(package: str) -> str:
    from importlib import metadata  # imports an email parser

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return ""


class _Digest:
    """One traversal, which visits each object once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}
        self._kept: list[Any] = []  # so that no id is reused
        self._path: list[str] = []

    def of(self, value: Any) -> bytes:
        """The digest of one value."""
        if isinstance(value, np.generic):
            value = np.asarray(value)
        if type(value) in PLAIN:
            return _sha(type(value).__name__, repr(value))
        if id(value) not in self._known:
            self._known[id(value)] = b"a value within itself"
            self._kept.append(value)
            self._path.append(_name(value))
            self._known[id(value)] = _sha(*self._walked(value))
            self._path.pop()
        return self._known[id(value)]

    def _walked(self, value: Any) -> Iterator[str | bytes]:
        """Its kind and the digests of its parts."""
        if isinstance(value, np.ndarray):
            yield from self._array(value)
        elif type(value) in (list, tuple):
            yield type(value).__name__
            yield from map(self.of, value)
        elif type(value) is dict:
            yield "dict"
            for key, item in value.items():
                yield from (self.of(key), self.of(item))
        elif type(value) in (set, frozenset):
            yield "set"
            yield from sorted(map(self.of, value))
        elif isinstance(value, ModuleType):
            yield from ("module", value.__name__)
        elif isinstance(value, np.ufunc | np.dtype):
            yield from ("numpy", str(value))
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, MethodType):
            yield from ("method", self.of(value.__func__), self.of(value.__self__))
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, Trainer):
            yield from ("trainer", self.of(_parts(value)))
        elif hasattr(value, "__cuda_array_interface__"):
            yield from self._array(value.get())
        elif isinstance(value, WITHOUT_VALUE):
            yield type(value).__name__
        elif callable(value) and _compiled(value):
            yield from ("compiled", _name(value))
        else:
            yield from self._object(value)

    def _array(self, values: NDArray) -> Iterator[str | bytes]:
        yield f"array {values.dtype} {values.shape}"
        if values.dtype.hasobject:
            yield self.of(values.tolist())
        else:
            flat = np.ascontiguousarray(values).reshape(-1)
            yield hashlib.sha256(flat.view(np.uint8).data).digest()

    def _code(self, code: CodeType) -> Iterator[str | bytes]:
        """The code itself, without its file and line numbers."""
        yield from ("code", code.co_code, code.co_exceptiontable)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_consts)
        yield from map(self.of, names)

    def _function(self, function: FunctionType) -> Iterator[str | bytes]:
        yield from ("function", _name(function), self.of(function.__code__))
        yield from map(self.of, (function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                yield self.of(cell.cell_contents)
            except ValueError as error:
                if error.args != ("Cell is empty",):
                    raise
        if not _of_a_library(function):
            known = function.__globals__
            for name in sorted(set(_names(function.__code__)) & set(known)):
                yield from (name, self.of(known[name]))

    def _class(self, kind: type) -> Iterator[str | bytes]:
        """Its name; for a class of no library also its attributes and its bases'."""
        yield from ("class", _name(kind))
        for base in kind.__mro__:
            if _of_a_library(base):
                continue
            yield _name(base)
            for name, value in sorted(vars(base).items()):
                value = _plain_function(value)
                held = not (isroutine(value) or isdatadescriptor(value))
                held = held and not name.startswith(("__", "_abc"))
                # An attribute of a callback's class may be a counter.
                if isinstance(value, FunctionType) or (
                    held and not issubclass(kind, Callback)
                ):
                    yield from (name, self.of(value))

    def _object(self, value: Any) -> Iterator[str | bytes]:
        """Its class and state, as pickle gets them."""
        try:
            state = value.__reduce_ex__(4)
        except Exception as error:
            named = [n for n in self._path[::-1] if not n.startswith("builtins.")]
            where = " in ".join(named)
            raise ValueError(
                f"file: {where} cannot be compared when the search is run again "
                f"({error}); make it without that, or leave file out"
            ) from None
        yield from ("object", self.of(type(value)))
        if isinstance(state, str):  # the name of something global
            yield state
            return
        for part in state:
            yield self.of(list(part) if isinstance(part, Iterator) else part)


def _sha(*parts: str | bytes) -> bytes:
    """The digest of the parts and of their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(f"{type(part).__name__} {len(data)} ".encode() + data)
    return digest.digest()


def _names(code: CodeType) -> Iterable[str]:
    """The names that the code and its inner functions may use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _plain_function(value: Any) -> Any:
    """The function of a method, a static method or a property."""
    if isinstance(value, classmethod | staticmethod):
        return value.__func__
    if isinstance(value, cached_property):
        return value.func
    return value.fget if isinstance(value, property) else value


def _compiled(function: Any) -> bool:
    """Whether it has a name but no Python code."""
    return hasattr(function, "__qualname__") and not hasattr(function, "__self__")


def _of_a_library(thing: Any) -> bool:
    module = str(getattr(thing, "__module__", None))
    return module.split(".")[0] in LIBRARIES


def _name(thing: Any) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(kind, '__module__', '')}.{kind.__qualname__}"
