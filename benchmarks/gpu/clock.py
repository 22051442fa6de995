"""How long work on a device takes: for the device, for the host that asks, in all."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from xpnet.backend import Backend

Work = Callable[[], object]
ROUNDS = 7
SPAN = 0.02  # seconds of work that a round is worth
LONGEST = 2000  # pieces of work in a round


@dataclass(frozen=True)
class Times:
    """Seconds of one round.

    Attributes:
        device: between two marks in the device's queue, before and after the work.
        enqueue: until the host had asked for all of it.
        wall: until it was done.
    """

    device: float
    enqueue: float
    wall: float


class Clock(Protocol):
    """Times work that is put into the queue of a device."""

    def time(self, work: Work, count: int) -> Times:
        """`work` called `count` times, the device idle before and after."""


class HostClock:
    """By the host's clock alone: for a device without marks."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.synchronize = synchronize

    def time(self, work: Work, count: int) -> Times:
        """The device's time is that until all is done."""
        self.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            work()
        asked = time.perf_counter() - began
        self.synchronize()
        wall = time.perf_counter() - began
        return Times(wall, asked, wall)


class EventClock:
    """By two CUDA events in CuPy's current stream.

    Args:
        cupy: the module, or another's with `cuda.Event` and `cuda.get_elapsed_time`.
    """

    def __init__(self, cupy: Any) -> None:
        self.cuda = cupy.cuda

    def time(self, work: Work, count: int) -> Times:
        """The device's time is that between the events."""
        first, last = self.cuda.Event(), self.cuda.Event()
        first.record()
        first.synchronize()
        began = time.perf_counter()
        first.record()
        for _ in range(count):
            work()
        last.record()
        asked = time.perf_counter() - began
        last.synchronize()
        wall = time.perf_counter() - began
        return Times(self.cuda.get_elapsed_time(first, last) / 1e3, asked, wall)


def clock_of(backend: Backend) -> Clock:
    """Events where the device has them."""
    cuda = getattr(backend.xp, "cuda", None)
    if hasattr(cuda, "Event"):
        return EventClock(backend.xp)
    return HostClock(backend.synchronize)


def measure(
    clock: Clock, work: Work, seconds: float = 0.2, steps: int = 1
) -> dict[str, Any]:
    """Microseconds a step: medians over rounds, the device's smallest and largest.

    Args:
        clock: that measures.
        work: enqueues `steps` steps.
        seconds: for all rounds together, after one to warm up and find the count.
        steps: that a piece of work holds.

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
