"""What a trial is: something tried many times, and how often it went wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """One kind of attack on the library.

    Attributes:
        name: for the command line.
        what: what is tried, in a sentence.
        run: (number of tries, an empty folder, seed) -> {fault: how often it was seen};
            every count must be 0.
        tries: of a full run.
        quick: of the run in the test suite, under two seconds.
    """

    name: str
    what: str
    run: Callable[[int, Path, int], Mapping[str, int]]
    tries: int
    quick: int
