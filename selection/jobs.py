"""Jobs of a search, one per network, their stacks, and errors that name settings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from xpnet.selection.results import Trial, shown_settings
from xpnet.selection.space import Settings
from xpnet.selection.store import settings_text
from xpnet.training.trainer import Trainer

NAMED = (  # errors that are raised again with the setting in their message
    *(ValueError, TypeError, AttributeError, NameError, RuntimeError, MemoryError),
    *(LookupError, KeyError, IndexError, NotImplementedError, AssertionError),
    *(ArithmeticError, ZeroDivisionError, OverflowError, FloatingPointError),
)


@dataclass(eq=False)
class Job:
    """One network to train: a trial on a split.

    Attributes:
        split: number of the split.
        key: of its result in a file.
    """

    trial: Trial
    split: int
    epochs: int
    batch_size: int | None
    key: str = ""

    def row(self, result: dict[str, Any]) -> dict[str, Any]:
        """Its result as a row of a file."""
        settings = settings_text(self.trial.settings)
        return {"key": self.key, "settings": settings, **result}

    @property
    def done(self) -> bool:
        """Whether it has a result or an error."""
        trial = self.trial
        return trial.scores[self.split] is not None or self.split in trial.errors


Networks = list[tuple[Job, Trainer]]


def stacks(
    jobs: list[Job], at_once: int, copies: int, by_split: bool
) -> Iterator[list[Job]]:
    """Jobs of one shape, cut into stacks.

    Args:
        jobs: all of one architecture, epochs and batch size.
        at_once: the most jobs in a stack.
        copies: the most splits in a stack.
        by_split: sort by split first, so that a stack has few.
    """
    chosen: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.split) if by_split else jobs:
        splits = {job.split, *(other.split for other in chosen)}
        if chosen and (len(chosen) == at_once or len(splits) > copies):
            yield chosen
            chosen = []
        chosen.append(job)
    if chosen:
        yield chosen


@contextmanager
def naming(settings: Settings, jobs: Sequence[Job] = ()) -> Iterator[None]:
    """An error within the block names the setting, the folds and the stack's size."""
    try:
        yield
    except Exception as error:
        where = f"setting {shown_settings(settings)}"
        if jobs:
            folds = ", ".join(map(str, sorted({job.split for job in jobs})))
            where += f", fold {folds} ({len(jobs)} networks together)"
        kind = type(error)
        if kind not in NAMED:
            error.add_note(where)
            raise
        text = str(error) if kind in (ValueError, TypeError) else repr(error)
        raise kind(f"{where}: {text}") from error
