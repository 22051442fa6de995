"""A process that writes files is killed: each file is the old one or the new one."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from xpnet.benchmarks.trials.trial import Trial
from xpnet.common.files import PART, locked, remove_parts

WRITER = """
import sys
from pathlib import Path
from xpnet.common.files import write_whole
path, i = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    i += 1
    write_whole(path, bytes([i % 251]) * 300_000, durable=False)
"""


@contextmanager
def running(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed its first line; killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def kill_writers(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """SIGKILL amid `write_whole`, at a random moment."""
    random, torn, left = Random(seed), 0, 0
    path = folder / "file"
    for _ in range(tries):
        with running(WRITER, str(path)) as process:
            time.sleep(random.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
        if path.exists():
            content = path.read_bytes()
            torn += len(content) != 300_000 or len(set(content)) != 1
        with locked(folder):
            remove_parts(folder)
        left += sum(bool(PART.match(file.name)) for file in folder.iterdir())
    return {"torn": torn, "left behind": left}


WRITES = [
    Trial("writes", "a process is killed while it writes a file", kill_writers, 200, 2)
]
