"""A rival's process, seen from the race."""

import json
import subprocess
import sys
from typing import Any

from xpnet.benchmarks.machine import clean_environment

Answer = dict[str, Any]
ENDED = "the process ended"


class Worker:
    """Starts a rival's process and asks it; see `worker` for what it answers.

    Attributes:
        name: of the rival.
        alive: False once the process has ended.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.alive = name, True
        self._hello: Answer | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xpnet.benchmarks.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(threads),
            text=True,
        )

    @property
    def hello(self) -> Answer:
        """{"versions": ...} or {"missing": why}; waits until it has been imported."""
        if self._hello is None:
            self._hello = self._read()
        return self._hello

    def _read(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.alive = False
            return {"failed": ENDED}
        answer: Answer = json.loads(line)
        return answer

    def ask(self, request: Answer) -> Answer:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.alive = False
            return {"failed": ENDED}
        return self._read()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
