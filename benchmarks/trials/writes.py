"""A process that writes files is killed: each file is the old one or the new one."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from xpnet.benchmarks.trials.trial import killed, trial
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


@trial("writes", 200, 2, "torn", "left behind")
def kill_writers(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A process is killed while it writes a file, at a random moment."""
    random, path = Random(seed), folder / "file"
    for _ in range(tries):
        killed(random, 0.05, WRITER, str(path))
        if path.exists():
            content = path.read_bytes()
            if len(content) != 300_000 or len(set(content)) != 1:
                yield "torn"
        with locked(folder):
            remove_parts(folder)
        yield from ("left behind" for f in folder.iterdir() if PART.match(f.name))
