"""When a device's memory ends: what was asked for, what is free, what would fit."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from xpnet.backend import Backend
from xpnet.compiler import Program
from xpnet.execution.batch import Batch, BatchSpec

TRIED = (4, 8)  # batches whose needs tell those of others; any layer takes them


class DeviceMemoryError(MemoryError):
    """Memory of a device that was asked for and is not there."""


class Step(Protocol):
    """What is recorded for one kind of batch."""

    batch: Batch

    @property
    def program(self) -> Program | None:
        """What is replayed."""


T = TypeVar("T")
S = TypeVar("S", bound=Step)


def no_room(backend: Backend, what: str, problem: str, hint: str) -> DeviceMemoryError:
    """The error for memory that `what` did not get.

    Args:
        backend: the device.
        what: names the argument, and what was to be placed.
        problem: what the device said.
        hint: the way out.
    """
    found = re.search(r"allocating ([\d,]+) bytes", problem)
    asked = "more" if found is None else size(int(found[1].replace(",", ""))) + " more"
    free = size(_free(backend))
    return DeviceMemoryError(
        f"{what} does not fit: {asked} asked for, {free} free on "
        f"{backend.device}; {hint}"
    )


def placed(backend: Backend, what: str, hint: str, place: Callable[[], T]) -> T:
    """`place()`; raises MemoryError if the device has no room for `what`."""
    try:
        return place()
    except MemoryError as error:
        if backend.is_host or isinstance(error, DeviceMemoryError):
            raise
        problem = str(error)
    raise no_room(backend, what, problem, hint)


def recorded(backend: Backend, kind: BatchSpec, record: Callable[[BatchSpec], S]) -> S:
    """`record(kind)`; raises MemoryError if the device has no room for it."""
    try:
        return record(kind)
    except MemoryError as error:
        if backend.is_host or isinstance(error, DeviceMemoryError):
            raise
        problem = str(error)
    # With the error go the arrays that were made before it.
    raise batch_too_large(backend, kind, problem, record)


def batch_too_large(
    backend: Backend, kind: BatchSpec, problem: str, record: Callable[[BatchSpec], Step]
) -> DeviceMemoryError:
    """The error for a batch of `kind`, with the batch size that would fit.

    What a step needs grows evenly with its samples, so two small ones tell it.

    Args:
        backend, problem: see `no_room`.
        kind: of the batch that did not fit.
        record: makes the step for another kind.
    """
    samples = kind.shape[0]
    hint = "use a smaller model or float32, or free memory of other processes"
    try:
        few, many = (
            _needs(record(replace(kind, shape=(n, *kind.shape[1:])))) for n in TRIED
        )
    except MemoryError:
        return no_room(backend, f"a batch of {samples}", problem, hint)
    each = max((many - few) // (TRIED[1] - TRIED[0]), 1)
    fits = (_free(backend) - few) // each + TRIED[0]
    if 1 <= fits < samples:
        hint = (
            f"batch_size={fits} should fit; choose less if more data will be placed on "
            "the device"
        )
    needs = size(few + (samples - TRIED[0]) * each)
    what = f"batch_size: a batch of {samples} samples, whose step needs {needs},"
    return no_room(backend, what, problem, hint)


def _needs(step: Step) -> int:
    """The bytes that a step takes besides the parameters."""
    batch = step.batch
    own = [a for a in (batch.x, batch.y, batch.w) if a is not None]
    program = 0 if step.program is None else step.program.nbytes
    return program + sum(int(array.nbytes) for array in own)


def _free(backend: Backend) -> int:
    """Bytes that can be allocated now."""
    with backend.active():
        backend.xp.get_default_memory_pool().free_all_blocks()
        return backend.memory()["free"]


def size(nbytes: int) -> str:
    """Bytes for people: "1.50 GiB"."""
    for unit, scale in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if nbytes >= 1 << scale:
            return f"{nbytes / (1 << scale):.2f} {unit}"
    return f"{nbytes} bytes"
