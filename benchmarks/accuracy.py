"""Seconds until the digits are learnt to 97% validation accuracy.

    python -m xpnet.benchmarks.accuracy     # --help for the rest

Each training is a fresh process with a seed of its own, its order and weights drawn by
the rival; the clock runs from building the network (imports are not counted, compilers
are) to the first epoch whose weights classify 97% of the validation part.
"""

import sys
from typing import Any

from xpnet.benchmarks.cold import Names, interleaved, run
from xpnet.benchmarks.tasks import ACCURACY

Answer = dict[str, Any]
ROUNDS = 9


def measure(names: Names, threads: int, rounds: int) -> list[Answer]:
    """One result: {"task", "what", "threads", "rivals": {name: row}}."""
    return [interleaved(ACCURACY, names, threads, rounds, _seconds)]


def _seconds(row: Answer) -> float:
    return float(row["seconds"])


if __name__ == "__main__":
    run("accuracy", sys.argv[1:], ROUNDS, measure)
