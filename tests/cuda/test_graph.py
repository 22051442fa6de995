"""Recorded calls as graphs: what they need around them, and what they give."""

import gc

import numpy as np
import pytest

from tests.standin import cupy, standin_backend
from xpnet.compiler.cuda.graph import CaptureError, Graph, Repeated


@pytest.fixture
def backend(standin):
    return standin_backend()


def add_one(x):
    return cupy.add, (x, 1.0, x)


class Refusals(list):
    """The reasons for which calls were not captured."""

    def __call__(self, reason):
        self.append(reason)


def test_a_graph_does_nothing_until_it_is_launched(standin, backend):
    x = backend.zeros((3,), np.float32)
    with standin.counting() as counts:
        graph = Graph([add_one(x)], backend, times=4)
    assert (counts.launches, counts.graphs, counts.synchronisations) == (0, 0, 0)
    assert x.tolist() == [0.0, 0.0, 0.0]
    for _ in range(3):
        graph.launch()
    assert x.tolist() == [12.0, 12.0, 12.0]


def test_a_thousand_launches_amid_other_work(standin, backend):
    """The graph owns its memory: what is made and dropped between does not touch it."""
    x, y = backend.zeros((8,), np.float32), backend.zeros((1,), np.float32)
    graph = Graph([add_one(x), (cupy.sum, (x, (0,), None, y, True))], backend)
    del x
    others = []
    with standin.counting() as counts:
        for i in range(1000):
            graph.launch()
            others.append(backend.zeros((8,), np.float32) + float(i))
            if i % 7 == 0:
                others.clear()
                gc.collect(0)
    assert y.tolist() == [8000.0]
    assert (counts.graphs, counts.nodes) == (1000, 2000)
    assert counts.unsafe == 0


def test_calls_that_take_memory_take_it_from_the_graphs_own(standin, backend):
    x, y = backend.zeros((8,), np.float32), backend.zeros((1,), np.float32)
    with standin.counting() as counts:
        graph = Graph([(cupy.sum, (x, (0,), None, y, True))], backend)
    assert counts.unsafe == 0
    assert graph._pool is not None
    with standin.counting() as counts, standin.capture():
        cupy.sum(x, (0,), None, y, True)
    assert counts.unsafe == 1  # the stand-in would have seen it


FAILURES = {
    "a product of CuPy": (NotImplementedError, lambda x: (cupy.matmul, (x, x, x))),
    "a value read": (RuntimeError, lambda x: (x.item, ())),
    "an upload": (RuntimeError, lambda x: (x.set, (np.ones((2, 2), np.float32),))),
    "an error of its own": (ZeroDivisionError, lambda x: (divmod, (1, 0))),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_cannot_be_captured_is_told_and_leaves_the_stream_usable(backend, case):
    kind, call = FAILURES[case]
    x = backend.zeros((2, 2), np.float32)
    enabled = gc.isenabled()
    with pytest.raises(CaptureError, match=kind.__name__) as error:
        Graph([add_one(x), call(x)], backend)
    assert isinstance(error.value.__cause__, kind)
    assert gc.isenabled() == enabled
    assert cupy.cuda.get_current_stream().ptr == 0
    assert x.tolist() == [[0.0, 0.0], [0.0, 0.0]]  # nothing of it has run
    Graph([add_one(x)], backend).launch()
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_an_interrupt_ends_the_capture(backend):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Graph([(interrupted, ())], backend)
    assert cupy.cuda.get_current_stream().ptr == 0
    assert gc.isenabled()


def test_no_garbage_is_collected_during_a_capture(backend):
    seen = []
    Graph([(lambda: seen.append(gc.isenabled()), ())], backend)
    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.parametrize("together", [1, 4])
def test_repeated_calls_run_once_as_they_are_and_then_as_graphs(
    standin, backend, together
):
    x, refused = backend.zeros((1,), np.float64), Refusals()
    repeated = Repeated([add_one(x)], backend, together, refused)
    with standin.counting() as counts:
        done = []
        while sum(done) < 12:
            done.append(repeated.run(12 - sum(done)))
    assert x.tolist() == [12.0]
    rest = [4, 4, 1, 1, 1] if together == 4 else [1] * 11
    assert done == [1, *rest]
    assert counts.launches == 1
    assert counts.graphs == len(rest)
    assert not refused


def test_repeated_calls_that_cannot_be_captured_run_as_they_are(standin, backend):
    x, y = backend.zeros((2, 2), np.float64), backend.zeros((2, 2), np.float64)
    refused = Refusals()
    calls = [add_one(x), (cupy.matmul, (x, x, y))]
    repeated = Repeated(calls, backend, 4, refused)
    done = [repeated.run(10 - i) for i in range(10)]
    assert done == [1] * 10
    assert refused == [
        "NotImplementedError: calling cuBLAS API during stream capture is currently "
        "unsupported"
    ]
    assert x.tolist() == [[10.0, 10.0]] * 2
    assert y.tolist() == [[200.0, 200.0]] * 2
