"""Recorded calls as one CUDA graph: captured once, replayed by one launch.

While a stream captures, calls are noted and nothing runs. What that needs is seen to
here: a stream of its own that the null stream does not wait for; no garbage collection,
which might unload a module in between; a memory pool of the graph's own for calls that
take memory while they are captured, since CuPy would give it away again and the graph
would still write there; and references to all arrays, which CuPy's graphs do not keep.

The calls must have run once before, so that modules are loaded and cuBLAS has chosen
its kernels. `Repeated` sees to that without a run for nothing: the first time its calls
run as they are.

Source: CUDA C++ Programming Guide, "CUDA Graphs"; cupy.cuda.Stream.begin_capture.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from xpnet.backend import Backend
from xpnet.compiler.primitives import Call


class CaptureError(RuntimeError):
    """Calls that cannot become a graph, with the reason."""


class Graph:
    """One graph of `calls`, `times` over.

    Args:
        calls: functions with their arguments, on arrays that live as long as the graph.
        backend: the device that they run on, which is the current one.
        times: how often each launch does all of them.

    Raises:
        CaptureError: a call that cannot be captured; the stream is usable all the same.
    """

    def __init__(self, calls: list[Call], backend: Backend, times: int = 1) -> None:
        self._calls = calls  # with them the arrays
        cuda = backend.xp.cuda
        self._pool = cuda.MemoryPool()
        stream = cuda.Stream(non_blocking=True)
        with stream, cuda.using_allocator(self._pool.malloc), _no_collection():
            self._graph = _captured(stream, calls * times)
        self._graph.upload()

    def launch(self) -> None:
        """Queue one run of the whole on the current stream."""
        self._graph.launch()


def _captured(stream: Any, calls: list[Call]) -> Any:
    """What `stream` has captured of `calls`; the capture ends however they go."""
    try:
        stream.begin_capture()
        try:
            for function, arguments in calls:
                function(*arguments)
        except BaseException:
            with suppress(Exception):  # it fails like the capture
                stream.end_capture()
            raise
        return stream.end_capture()
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise CaptureError(f"{type(error).__name__}: {line}") from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection within the block."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Repeated:
    """Calls that run many times in a row: once as they are, from then on as graphs.

    Args:
        calls: as for `Graph`.
        backend: the device.
        together: how often one launch of the larger graph does them.
        refused: called once with the reason if they cannot be captured; they run one by
            one then.
    """

    def __init__(
        self,
        calls: list[Call],
        backend: Backend,
        together: int,
        refused: Callable[[str], None],
    ) -> None:
        self.calls, self._backend, self._refused = calls, backend, refused
        self._together = together
        self._warm = False
        self._graphs: dict[int, Graph] = {}
        self.captures = True

    def run(self, most: int) -> int:
        """Run the calls up to `most` times in one go; how often they were run."""
        if not (self._warm and self.captures):
            return self._run_once()
        times = self._together if most >= self._together else 1
        if times not in self._graphs:
            try:
                self._graphs[times] = Graph(self.calls, self._backend, times)
            except CaptureError as error:
                self.captures = False
                self._refused(str(error))
                return self._run_once()
        self._graphs[times].launch()
        return times

    def _run_once(self) -> int:
        for function, arguments in self.calls:
            function(*arguments)
        self._warm = True
        return 1
