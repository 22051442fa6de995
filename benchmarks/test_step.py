"""One training step of the five nets, as a user calls it."""

from typing import Any

import pytest

from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.conftest import Timed
from xpnet.benchmarks.subjects import steady, trainer


def name(case: Case) -> str:
    """As the table of results shows it."""
    return f"{case.net.replace(', ', 'x')}-{case.optimizer}"


@pytest.mark.parametrize("case", cases(), ids=name)
def test_step(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, case: Case
) -> None:
    """`trainer.step(x, y)`, checks and copies included."""
    benchmark.group = f"step {case.net}"
    x, y = case.data()
    subject = trainer(case, backend, steady(backend))
    if not backend.is_host:
        x, y = backend.asarray(x), backend.asarray(y)
    subject.step(x, y)
    timed(lambda: subject.step(x, y))
    assert subject.steps_done >= 2


@pytest.mark.parametrize("case", cases(("sgd",)), ids=name)
def test_predict(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, case: Case
) -> None:
    """`trainer.predict(x)` of one batch."""
    benchmark.group = f"predict {case.net}"
    x, _ = case.data()
    subject = trainer(case, backend, steady(backend))
    timed(lambda: subject.predict(x))
    assert subject.predict(x).shape == (case.batch, case.sizes[-1])
