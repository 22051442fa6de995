"""The progress of a stack's `fit`: a function of the caller, or a bar."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from xpnet.common.console import bar


def progress_of(
    progress: Callable[[int], object] | None, verbose: bool | None, total: int
) -> AbstractContextManager[Callable[[int], object]]:
    """A function to call for each network and epoch: the caller's, or a bar's."""
    if progress is not None:
        return nullcontext(progress)
    return bar(total, verbose, unit="epoch")
