"""A worker's process, seen from outside: asked a line, answers a line, in time or not.

A fault on the device ends the process that met it, and a compiler may never come back:
neither may cost more than the answer that was waited for.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any

from xpnet.benchmarks.machine import clean_environment
from xpnet.benchmarks.options import cores

Answer = dict[str, Any]
# JAX would take three quarters of the GPU's memory when it starts.
SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
TAIL = 4096  # bytes of what a process has said
WORKER = (sys.executable, "-m", "xpnet.benchmarks.gpu.worker")


class NoAnswerError(RuntimeError):
    """The process ended, or did not answer in time."""


class Process:
    """One worker.

    Args:
        arguments: for `worker`.
        command: that starts it.
        threads: of its BLAS; None for one a core.
    """

    def __init__(
        self,
        arguments: list[str],
        command: tuple[str, ...] = WORKER,
        threads: int | None = None,
    ) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=clean_environment(threads or cores()) | SETTINGS,
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
        """Ask, without waiting for the answer."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended: `receive` says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def receive(self, seconds: float) -> Answer:
        """The next answer.

        Raises:
            NoAnswerError: none came within `seconds`, or the process has ended.
        """
        try:
            line = self._lines.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise NoAnswerError(f"no answer within {seconds:.0f} s") from None
        if not line:
            status = self._process.wait()
            self._lines.put("")
            last = self._last_words()
            raise NoAnswerError(f"its process ended with status {status}{last}")
        answer: Answer = json.loads(line)
        return answer

    def _last_words(self) -> str:
        """The last line that it wrote to its stderr."""
        self._said.seek(max(self._said.seek(0, os.SEEK_END) - TAIL, 0))
        lines = self._said.read().decode(errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return f" ({words[-1][:300]})" if words else ""

    def ask(self, request: Answer, seconds: float) -> Answer:
        """Send and receive."""
        self.send(request)
        return self.receive(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):  # a request that was never read
                stream.close()
        self._said.close()
