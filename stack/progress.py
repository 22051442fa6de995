"""The progress of a stack's `fit`: a function of the caller, or a bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xpnet.common.console import bar


@contextmanager
def progress_of(
    progress: Callable[[int], object] | None, verbose: bool | None, total: int
) -> Iterator[Callable[[int], object]]:
    """A function to call for each network and epoch: the caller's, or a bar's."""
    if progress is not None:
        yield progress
        return
    with bar(total, verbose, unit="epoch") as advance:
        yield advance
