"""Runs of nodes as CUDA kernels."""

from collections.abc import Sequence
from typing import Any

from xpnet.compiler.calls import CallLowering
from xpnet.compiler.cuda.driver import Driver
from xpnet.compiler.cuda.fusion import DevicePlan
from xpnet.compiler.cuda.kernel_writer import emit
from xpnet.compiler.cuda.module import Kernels, dot_parts, is_dot
from xpnet.compiler.loop_nest import REDUCTIONS, frame_of, padded
from xpnet.compiler.lowering import Calls, Reader, Recording
from xpnet.compiler.primitives import Call
from xpnet.compiler.program import Program
from xpnet.trace import Traced


class CudaLowering(CallLowering):
    """The `Lowering` to kernels of one module; products are cuBLAS'."""

    def __init__(self, recording: Recording, driver: Driver) -> None:
        super().__init__(recording)
        self.kernels = Kernels(driver)

    def plan(self) -> DevicePlan:
        """An order with few launches."""
        outputs = list(self.recording.outputs.values())
        return DevicePlan(self.recording.tape, outputs, False)

    def lower(self, run: list[Traced]) -> list[Any]:
        """The run as one kernel, or a call each."""
        memory = self.memory
        if not memory.plan.fit(run):
            dot = self._dot(run[0]) if len(run) == 1 else []
            return dot or self.each(run)
        flat = not any(node.op in REDUCTIONS for node in run)
        whole = frame_of(run)
        full = {n for n in run if flat and padded(n.shape, len(whole)) == whole}
        rest, kept = memory.results(run, full)
        calls: list[Call] = []
        if rest:
            kernel = emit(rest, memory.array, kept)
            calls = [self.kernels.call(kernel)]
        memory.release(run)
        return calls

    def _dot(self, node: Traced) -> list[Call]:
        """A row times a column, as the sum of a norm; nothing where it is not one."""
        if not is_dot(node):
            return []
        memory = self.memory
        x, y = map(memory.array, node.args)
        if not (x.flags.c_contiguous and y.flags.c_contiguous):
            return []
        target = memory.plan.destination.get(node)
        if target is not None and not memory.array(target).flags.c_contiguous:
            return []
        out = memory.place(node)
        n = node.args[0].shape[-1]
        lines, count = node.size, dot_parts(n)
        scratch = object()
        parts = memory.arena.take(scratch, (lines, count), node.dtype)
        memory.arena.free(scratch)
        memory.release([node])
        rows = (lines, n)
        return self.kernels.dot(
            x.reshape(rows), y.reshape(rows), parts, out.reshape(lines)
        )

    def finish(self, calls: Calls, readers: Sequence[Reader], wait: bool) -> Program:
        """The program, its kernels compiled as one module."""
        compiled = self.kernels.compiled(calls)
        return self.program(compiled, source=self.kernels.source)
