"""How long work on a device takes: on the device, to enqueue, and in all."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from xpnet.backend import Backend

Work = Callable[[], object]
ROUNDS = 7
SPAN = 0.02  # seconds of work per round
LONGEST = 2000  # pieces of work per round, at most


@dataclass(frozen=True)
class Times:
    """Seconds of one round.

    Attributes:
        device: between two marks in the device's queue, before and after the work.
        enqueue: until the host has queued all of the work.
        wall: until the work is done.
    """

    device: float
    enqueue: float
    wall: float


class Clock(Protocol):
    """Times work that is queued on a device."""

    def time(self, work: Work, count: int) -> Times:
        """Time `count` calls of `work`; the device is idle before and after."""


class HostClock:
    """Times by the host's clock alone, for a device without events."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.synchronize = synchronize

    def time(self, work: Work, count: int) -> Times:
        """Time `count` calls of `work`; the device's time is the wall time."""
        self.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            work()
        enqueued = time.perf_counter() - began
        self.synchronize()
        wall = time.perf_counter() - began
        return Times(wall, enqueued, wall)


class EventClock:
    """Times by two CUDA events in CuPy's current stream.

    Args:
        cupy: the module, or another's with `cuda.Event` and `cuda.get_elapsed_time`.
    """

    def __init__(self, cupy: Any) -> None:
        self.cuda = cupy.cuda

    def time(self, work: Work, count: int) -> Times:
        """Time `count` calls of `work`; the device's time is between the events."""
        first, last = self.cuda.Event(), self.cuda.Event()
        first.record()
        first.synchronize()
        began = time.perf_counter()
        first.record()
        for _ in range(count):
            work()
        last.record()
        enqueued = time.perf_counter() - began
        last.synchronize()
        wall = time.perf_counter() - began
        return Times(self.cuda.get_elapsed_time(first, last) / 1e3, enqueued, wall)


def clock_of(backend: Backend) -> Clock:
    """An EventClock if the device has events, otherwise a HostClock."""
    cuda = getattr(backend.xp, "cuda", None)
    if hasattr(cuda, "Event"):
        return EventClock(backend.xp)
    return HostClock(backend.synchronize)


def measure(
    clock: Clock, work: Work, seconds: float = 0.2, steps: int = 1
) -> dict[str, Any]:
    """Microseconds per step: medians over rounds, the device's minimum and maximum.

    Args:
        clock: measures the time.
        work: enqueues `steps` steps.
        seconds: of all rounds together; a first one warms up and gives the count.
        steps: per piece of work.

    Returns:
        {"gpu_us", "gpu_min_us", "gpu_max_us", "enqueue_us", "wall_us", "rounds"}.
    """
    once = max(clock.time(work, 3).wall / 3, 1e-7)
    span = max(min(SPAN, seconds / ROUNDS), 1e-4)
    count = max(1, min(LONGEST, int(span / once)))
    rounds = [clock.time(work, count)]
    end = time.perf_counter() + seconds
    while len(rounds) < ROUNDS and time.perf_counter() < end:
        rounds.append(clock.time(work, count))
    each = 1e6 / (count * steps)
    device = [t.device * each for t in rounds]
    return {
        "gpu_us": median(device),
        "gpu_min_us": min(device),
        "gpu_max_us": max(device),
        "enqueue_us": median(t.enqueue * each for t in rounds),
        "wall_us": median(t.wall * each for t in rounds),
        "rounds": len(rounds),
    }
