"""What a training depends on, as plain values that two processes can compare."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from xpnet.training.callbacks import Callback
from xpnet.training.checkpoint_callback import Checkpoint
from xpnet.training.data import Samples
from xpnet.training.state import TrainingState
from xpnet.training.states import is_array

BLOCK = 1 << 24  # bytes that are hashed at a time


def digest(array: Any) -> str | None:
    """SHA-256 of a host array with its type and shape; None for None."""
    if array is None:
        return None
    found = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    rows = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        found.update(array[start : start + rows].tobytes())
    return found.hexdigest()


def mark(thing: Any) -> str:
    """A layer, loss, rule or callable by its name and its settings.

    What has no value of its own to show, such as an object of another library, is told
    by its type; a function by its name.
    """
    if isinstance(thing, list | tuple):
        return f"[{', '.join(map(mark, thing))}]"
    if thing is None or isinstance(thing, bool | int | float | str):
        return repr(thing)
    if is_array(thing):
        return f"array {digest(np.atleast_1d(np.asarray(thing)))}"
    if is_dataclass(thing) and not isinstance(thing, type):
        return _called(thing, {f.name: getattr(thing, f.name) for f in fields(thing)})
    if callable(getattr(thing, "config", None)):
        try:
            return _called(thing, thing.config())
        except AttributeError:  # a layer that does not keep its arguments
            return _called(thing, {})
    name = getattr(thing, "__qualname__", None)
    return name if isinstance(name, str) else _called(thing, {})


def _called(thing: Any, settings: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={mark(value)}" for name, value in settings.items())
    return f"{type(thing).__qualname__}({arguments})"


def differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is another, in words."""
    found = []
    for name in [*now, *(name for name in was if name not in now)]:
        a, b = was.get(name), now.get(name)
        if a != b:
            found.append(_differ(name, a, b))
    return found


def _differ(name: str, a: Any, b: Any) -> str:
    hashes = isinstance(a, str) and isinstance(b, str) and len(a) == len(b) == 64
    if hashes:
        return f"{name} holds other values"
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        pairs = zip(a, b, strict=False)
        first = next((i for i, (v, w) in enumerate(pairs) if v != w), None)
        if first is not None:
            return f"{name}[{first}] is {b[first]}, was {a[first]}"
    return f"{name} is {b}, was {a}"


def fingerprint(
    trainer: TrainingState,
    samples: Samples,
    validation: Samples | None,
    batch_size: int,
    shuffle: bool,
    callbacks: list[Callback],
) -> dict[str, Any]:
    """What the training depends on."""
    host = trainer.backend.to_numpy

    def of(held: Samples | None) -> dict[str, Any]:
        if held is None:
            return dict.fromkeys(("x", "y", "sample_weight"))
        x = held.x if isinstance(held.x, np.memmap) else host(held.x)
        return {
            "x": digest(x),
            "y": digest(held.host_y),
            "sample_weight": digest(held.host_w),
        }

    kinds = [type(c).__qualname__ for c in callbacks if not isinstance(c, Checkpoint)]
    return {
        "layers": [mark(layer) for layer in trainer.model.layers],
        "sample_shape": list(trainer.model.sample_shape or ()),
        "loss": mark(trainer.loss_function),
        "optimizer": _rule_mark(trainer),
        "average": mark(trainer.average),
        "dtype": trainer.dtype.name,
        "precision": trainer.backend.precision,
        "seed": trainer.seed,
        "metrics": list(trainer.metrics),
        "batch_size": batch_size,
        "shuffle": bool(shuffle),
        "callbacks": kinds,
        **of(samples),
        **{f"validation {name}": value for name, value in of(validation).items()},
    }


def _rule_mark(trainer: TrainingState) -> str:
    optimizer = trainer.optimizer
    return f"{mark(optimizer)} at {mark(optimizer.schedule)}"
