"""A worker seen from outside: it is asked, and answers in time or not.

A fault on a GPU ends its process, and a compiler may hang: either costs one answer and
not the whole measurement.
"""

import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.machine import clean_environment

TAIL = 4096  # bytes of a process' stderr that are looked at
WORKER = (sys.executable, "-m", "xpnet.benchmarks.worker")


class NoAnswerError(RuntimeError):
    """The process ended, or did not answer in time."""


class Process:
    """One worker.

    Args:
        arguments: of `worker`: a module and what its `serve` takes.
        threads: of BLAS and compiled loops.
        command: starts the worker.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        threads: int,
        command: tuple[str, ...] = WORKER,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (`close` closes it)
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=clean_environment(threads),
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def send(self, request: Answer) -> None:
        """Send a request and return at once."""
        assert self._process.stdin is not None
        with suppress(OSError):  # the process has ended: `receive` says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def receive(self, seconds: float = math.inf) -> Answer:
        """The next answer.

        Raises:
            NoAnswerError: none came within `seconds`, or the process has ended.
        """
        limit = None if seconds == math.inf else max(seconds, 0.0)
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            raise NoAnswerError(f"no answer within {limit:.0f} s") from None
        if not line:
            status = self.wait()
            self._lines.put("")
            said = self._last_line()
            raise NoAnswerError(f"its process ended with status {status}{said}")
        answer: Answer = json.loads(line)
        return answer

    def ask(self, request: Answer, seconds: float = math.inf) -> Answer:
        """Send a request and receive its answer."""
        self.send(request)
        return self.receive(seconds)

    def wait(self) -> int:
        """The exit status of the process, once it has ended."""
        return self._process.wait()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):  # a request that was never read
                stream.close()
        self._stderr.close()

    def _last_line(self) -> str:
        """The last line that the process wrote to its stderr."""
        self._stderr.seek(max(self._stderr.seek(0, os.SEEK_END) - TAIL, 0))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return f" ({words[-1][:300]})" if words else ""


def run_once(threads: int, *arguments: str) -> Answer:
    """The greeting of a worker that takes no requests, and "wall".

    "wall" is the seconds from the start of the process to its end.
    """
    began = time.perf_counter()
    with closing(Process(arguments, threads)) as process:
        try:
            answer = process.receive()
            process.wait()
        except NoAnswerError as error:
            answer = {"failed": str(error)}
        return answer | {"wall": time.perf_counter() - began}
