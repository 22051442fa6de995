"""What `gpu-check` times: clocks, launches, copies, products, whole nets."""

import math
import time
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.standin import cupy, standin_backend
from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS, Case
from xpnet.benchmarks.gpu import clock, costs
from xpnet.benchmarks.gpu.clock import EventClock, HostClock, clock_of, measure
from xpnet.benchmarks.gpu.contest import expected_loss
from xpnet.benchmarks.gpu.rivals import RIVALS, TOGETHER, Subject, xpnet_
from xpnet.benchmarks.gpu.verdicts import DIFFERS, FAILED, OK, Check
from xpnet.benchmarks.race import AGREE
from xpnet.benchmarks.step import CHECKED_STEPS

pytestmark = pytest.mark.usefixtures("standin")
SMALL = Case((6, 5, 3), 8, "adam")
TIMES = {"gpu_us", "gpu_min_us", "gpu_max_us", "enqueue_us", "wall_us", "rounds"}


class Queue:
    """A device whose work takes 1 ms a piece, and events in its queue."""

    def __init__(self):
        self.free = 0.0  # when what was asked for is done

    def work(self):
        self.free = max(self.free, time.perf_counter()) + 1e-3

    def wait(self):
        time.sleep(max(self.free - time.perf_counter(), 0.0))

    def module(self):
        queue = self

        class Event:
            def record(self):
                self.at = max(queue.free, time.perf_counter())

            def synchronize(self):
                time.sleep(max(self.at - time.perf_counter(), 0.0))

        elapsed = lambda first, last: 1e3 * (last.at - first.at)  # noqa: E731
        return SimpleNamespace(
            cuda=SimpleNamespace(Event=Event, get_elapsed_time=elapsed)
        )


@pytest.mark.parametrize("kind", ["events", "host"])
def test_a_clock_tells_asking_from_doing(kind):
    queue = Queue()
    made = EventClock(queue.module()) if kind == "events" else HostClock(queue.wait)
    found = made.time(queue.work, 10)
    assert found.device >= 0.0099
    assert found.wall >= 0.0099
    assert found.enqueue < found.wall
    figures = measure(made, queue.work, 0.05, steps=2)
    assert set(figures) == TIMES
    assert figures["gpu_us"] >= 499.0
    assert figures["gpu_min_us"] <= figures["gpu_us"] <= figures["gpu_max_us"]
    assert figures["rounds"] >= 1
    backend = standin_backend()
    if kind == "events":  # a device that has them is timed by them
        backend = Backend("cupy", "cuda:0", queue.module(), driver=False)
    assert type(clock_of(backend)) is type(made)


def test_a_round_holds_no_more_than_there_is_time_for():
    counts = []

    class Still:
        def time(self, work, count):
            counts.append(count)
            return clock.Times(0.0, 0.0, 0.0)

    measure(Still(), lambda: None, 0.01)
    assert max(counts) == clock.LONGEST
    assert counts[0] == 3


# Launches, copies, products.


@pytest.fixture
def briefly(monkeypatch):
    """No measurement takes long."""
    monkeypatch.setattr(costs, "measure", lambda c, w, s=0.0, n=1: measure(c, w, 1e-3))


@needs_compiler
def test_launches_and_nodes_are_timed(briefly):
    launch, nodes = [c.line() for c in costs.launch_checks(fiber_backend())]
    assert (launch.verdict, nodes.verdict) == (OK, OK)
    assert set(launch.figures) == TIMES
    assert nodes.figures["nodes"] == costs.NODES
    assert nodes.figures["graph_enqueue_us"] > 0.0
    assert nodes.figures["node_us"] > 0.0


def test_without_a_driver_there_is_nothing_to_launch(briefly, monkeypatch):
    for check in costs.launch_checks(standin_backend()):
        line = check.line()
        assert line.verdict == FAILED
        assert "no driver" in line.note
    monkeypatch.setattr(xpnet_, "device", standin_backend)
    with pytest.raises(RuntimeError, match="no driver"):
        xpnet_.prepare(SMALL, "ksteps")


def test_copies_are_timed_up_to_a_size(briefly):
    found = [c.line() for c in costs.copy_checks(standin_backend(1), 1 << 20)]
    assert [line.name for line in found] == ["copy of 1 MiB", "upload of 1 MiB"]
    for line in found:
        assert line.verdict == OK
        assert line.figures["GB_per_s"] > 0.0


def test_the_products_of_a_net_are_those_of_its_step():
    first = [str(p) for p in costs.products(1)]
    assert first == [
        "4×2 @ 2×3",
        "2×4 @ 4×3, a transposed",
        "4×3 @ 3×2",
        "3×4 @ 4×2, a transposed",
        "4×2 @ 2×3, b transposed",
    ]
    everything = costs.products()
    assert len(everything) == len(set(everything))
    assert max(p.operations for p in everything) == 2 * 2048 * 2048 * 1024
    assert len(NETS) == 5


@pytest.mark.parametrize("precision", costs.PRECISIONS)
def test_products_are_timed_and_checked(briefly, precision):
    device = fiber_backend()
    found = [c.line() for c in costs.product_checks(device, 1) if precision in c.name]
    assert len(found) == 5
    for line in found:
        assert line.verdict == OK
        assert 0.0 <= line.figures["error"] <= line.figures["bound"]
        assert line.figures["TFLOP_per_s"] > 0.0


def rounding(bits):
    """A device that rounds what it multiplies to so many bits of mantissa."""

    def shorter(array):
        host = array._host.astype(np.float64)
        fraction, power = np.frexp(host)
        return np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, power)

    def matmul(a, b, out):
        out._host[...] = shorter(a) @ shorter(b)

    module = SimpleNamespace(**{**vars(cupy), "matmul": matmul})
    return Backend("cupy", "cuda:0", module, driver=False)


@pytest.mark.parametrize(("bits", "verdict"), [(24, OK), (11, DIFFERS)])
def test_products_that_are_not_strict_are_found(briefly, bits, verdict):
    device = rounding(bits)
    for product in costs.products()[5:11]:
        timed = partial(costs.time_product, device, product, "float32")
        line = Check("x", timed).line()
        assert line.verdict == verdict, line
        assert ("where" in line.note) == (verdict == DIFFERS)
        assert line.figures["error"] >= 0.0


# Whole nets.


@needs_compiler
@pytest.mark.parametrize("name", [n for n in RIVALS if n.startswith("xpnet")])
def test_every_way_of_xpnets_has_numpys_loss(monkeypatch, name):
    backend = fiber_backend()
    monkeypatch.setattr(xpnet_, "device", lambda: backend)
    monkeypatch.setattr(xpnet_, "LONGEST", TOGETHER)
    subject = xpnet_.prepare(SMALL, RIVALS[name][1])
    subject.take_checked_steps()
    assert subject.loss() == pytest.approx(expected_loss(SMALL), rel=AGREE)
    subject.work()
    assert subject.loss() < expected_loss(SMALL)
    assert subject.facts["nodes"] > 5
    assert (subject.steps == 1) == (RIVALS[name][1] in ("calls", "kernels"))


def agrees(subject):
    assert isinstance(subject, Subject)
    subject.take_checked_steps()
    assert subject.loss() == pytest.approx(expected_loss(SMALL), rel=AGREE)
    assert subject.clock.time(subject.work, 2).wall > 0.0
    assert math.isfinite(subject.loss())


def rival(name, library):
    """The module of a rival; skips the test if its library is not installed."""
    pytest.importorskip(name, reason=f"{library} is not installed")
    return import_module(f"xpnet.benchmarks.gpu.rivals.{name}_")


def test_pytorchs_step_has_numpys_loss():
    torch_ = rival("torch", "PyTorch")
    agrees(torch_.prepare(SMALL, "eager", "cpu"))
    assert not torch_.torch.backends.cuda.matmul.allow_tf32


def test_what_warming_up_pytorch_changed_is_undone():
    torch_ = rival("torch", "PyTorch")
    torch = torch_.torch
    from xpnet.benchmarks.rivals.torch_ import parts

    model, rule, objective, x, y = parts(SMALL, "cpu", True)
    before = [p.detach().clone() for p in model.parameters()]
    work = torch_.eager(model, rule, objective, x, y)
    work()
    torch_.reset(model, rule, before)
    for _ in range(CHECKED_STEPS):
        work()
    loss = float(objective(model(x), y).detach())
    assert loss == pytest.approx(expected_loss(SMALL), rel=AGREE)
    assert torch.is_tensor(next(iter(rule.state.values()))["step"])


def test_pytorchs_graph_and_compiled_step_have_numpys_loss(monkeypatch):
    """On the CPU, where a captured step runs and a replay runs it again."""
    torch_ = rival("torch", "PyTorch")
    torch = torch_.torch
    captured = []
    still = nullcontext()
    still.wait_stream = lambda other: None

    class Graph:
        def replay(self):
            captured[0]()

    monkeypatch.setattr(torch.cuda, "Stream", lambda: still)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: still)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: still)
    eager = torch_.eager
    monkeypatch.setattr(
        torch_, "eager", lambda *parts: captured.append(eager(*parts)) or captured[0]
    )
    agrees(torch_.prepare(SMALL, "graph", "cpu"))
    asked = []
    monkeypatch.setattr(torch, "compile", lambda f, **how: asked.append(how) or f)
    agrees(torch_.prepare(SMALL, "compiled", "cpu"))
    assert asked == [{"mode": "reduce-overhead", "dynamic": False}]


def test_pytorch_is_timed_by_its_own_events(monkeypatch):
    torch_ = rival("torch", "PyTorch")
    torch = torch_.torch

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = time.perf_counter()

        def synchronize(self):
            pass

        def elapsed_time(self, last):
            return 1e3 * (last.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    found = torch_.clock("cuda").time(lambda: time.sleep(1e-3), 3)
    assert 3e-3 <= found.device <= found.wall


@pytest.mark.parametrize("way", ["jit", "scan"])
def test_jaxs_step_has_numpys_loss(way):
    agrees(rival("jax", "JAX").prepare(SMALL, way, "cpu"))
