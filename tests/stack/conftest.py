"""Fixtures of this room's tests."""

from typing import Any

import pytest

from xpnet.compiler import tuning
from xpnet.execution.steps import StepBlock
from xpnet.stack import fit
from xpnet.stack.epochs import EpochBlock
from xpnet.trace import Tape


@pytest.fixture(params=[(2, 3), (100, 2)], ids="tiles of {0[0]}".format)
def split(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(networks at a time, threads): of the tiles of a stack."""
    most, threads = request.param
    chosen: Any = StepBlock.most
    small = property(lambda self: min(most, chosen.fget(self)))
    monkeypatch.setattr(StepBlock, "most", small)
    monkeypatch.setattr(fit, "workers", lambda members: threads)
    return request.param


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many epochs have been taken together, each time; an epoch is a turn."""
    taken: list[int] = []
    run = EpochBlock.run

    def noted(self: Any, count: int, *more: Any) -> Any:
        taken.append(count)
        return run(self, count, *more)

    monkeypatch.setattr(EpochBlock, "run", noted)
    monkeypatch.setattr(tuning, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(tuning, "STACK_BLOCK_SECONDS", 60.0)  # however long they are
    return taken


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """One entry for each recording."""
    made: list[Tape] = []
    init = Tape.__init__

    def noted(self: Tape) -> None:
        made.append(self)
        init(self)

    monkeypatch.setattr(Tape, "__init__", noted)
    return made
