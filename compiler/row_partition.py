"""How a program's calls are divided among threads: calls and C have to agree on it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Crew:
    """The threads of a program.

    Attributes:
        threads: that share its calls, and parts of each; 1 where they are not divided.
        rows: of a batch.
    """

    threads: int = 1
    rows: int = 0


ALONE = Crew()
