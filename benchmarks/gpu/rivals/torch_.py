"""PyTorch's step on a GPU: eager, as one CUDA graph, compiled. Strict float32."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.clock import Clock, EventClock, HostClock
from xpnet.benchmarks.gpu.rivals import Subject
from xpnet.benchmarks.rivals.torch_ import compiled, eager, parts, value

PACKAGES = ("torch", "triton")
WARM_UP = 3  # steps before a capture, as PyTorch's documentation has it


def prepare(case: Case, way: str, device: str = "cuda") -> Subject:
    """The case's network; `way` is "eager", "compiled" or "graph"."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    made = parts(case, device, case.optimizer == "adam")
    # PyTorch may use CUDA graphs. With dynamic shapes the next net would get slower
    # kernels, for any shape.
    reduced = partial(compiled, mode="reduce-overhead", dynamic=False)
    ways: dict[str, Callable[..., Any]] = {
        "eager": eager,
        "compiled": reduced,
        "graph": _graph,
    }
    return Subject(ways[way](*made), partial(value, *made), clock(device))


def clock(device: str) -> Clock:
    """A clock by PyTorch's events in its current stream; on the CPU, by the host."""
    if device == "cpu":
        return HostClock(lambda: None)
    cuda = SimpleNamespace(
        Event=partial(torch.cuda.Event, enable_timing=True),
        get_elapsed_time=lambda first, last: first.elapsed_time(last),
    )
    return EventClock(SimpleNamespace(cuda=cuda))


def _graph(model: Any, rule: Any, objective: Any, x: Any, y: Any) -> Callable[[], None]:
    """The whole step as a graph; the changes of its warm-up are undone."""
    cuda: Any = torch.cuda
    step = eager(model, rule, objective, x, y)
    before = [p.detach().clone() for p in model.parameters()]
    stream = cuda.Stream()
    stream.wait_stream(cuda.current_stream())
    with cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    cuda.current_stream().wait_stream(stream)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        step()
    reset(model, rule, before)
    replay: Callable[[], None] = graph.replay
    return replay


def reset(model: Any, rule: Any, before: list[Any]) -> None:
    """Restore the parameters and set the rule's arrays to 0, in the same memory."""
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), before, strict=True):
            parameter.copy_(values)
        for state in rule.state.values():
            for array in state.values():
                if torch.is_tensor(array):
                    array.zero_()
