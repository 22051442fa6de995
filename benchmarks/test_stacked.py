"""k networks trained as one program; divide by k for the time of one."""

from typing import Any

import pytest

from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.conftest import Timed
from xpnet.benchmarks.subjects import stacked


@pytest.mark.parametrize("members", [1, 4, 16, 64], ids="k={}".format)
def test_stacked_networks(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, members: int
) -> None:
    """Gradients and update of k networks."""
    benchmark.group = "stacked 64-32-10, 32, Adam"
    benchmark.extra_info["members"] = members
    step = stacked(Case((64, 32, 10), 32, "adam"), members, backend)
    buffers = step.model.buffers
    assert buffers is not None
    before = backend.to_numpy(buffers.params).copy()

    def once() -> None:
        step.run("gradients")
        step.run("update")

    timed(once)
    assert (backend.to_numpy(buffers.params) != before).any(axis=1).all()
