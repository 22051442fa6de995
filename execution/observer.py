"""What looks at single steps of a training from outside, and who provides it.

A training knows its observer by this protocol alone. The doctor is one: it lives in a
higher room, so the library's face hands it over (see `xpnet/__init__.py`).
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol


class Observer(Protocol):
    """Entered before the first step of a training, and left after the last."""

    def next_look(self, i: int) -> int:
        """The first batch of the epoch from `i` on that it wants to watch."""

    def watch(self, step: Callable[[int], None], i: int) -> None:
        """Take step(i), and look at what was there before it and what it changed."""

    def __enter__(self) -> "Observer":
        """The training begins."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """The training has ended, by this error or none."""


# What `fit(diagnose=True)` makes, by name: of a state, its samples, and so on.
OBSERVERS: dict[str, Callable[..., Any]] = {}
