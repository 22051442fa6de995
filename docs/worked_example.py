"""The worked example of compiler/README.md: what one step of a 2-3-2 net becomes.

    python -m docs.worked_example          writes the blocks of the README anew
    python -m docs.worked_example --check  only compares; exit status 1 if they differ

A block stands between `<!-- example: NAME -->` and `<!-- end -->`. The CUDA text needs
no GPU: the stand-in of the tests takes the place of CuPy, and nothing is launched.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

import xpnet as xn
from tests.cuda.fibers import fiber_backend
from xpnet.backend import Backend
from xpnet.compiler import Program, compile_tape
from xpnet.compiler.analysis import Plan
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.c.linker import runtime
from xpnet.compiler.cuda.module import handwritten
from xpnet.execution import step as execution
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.trace import Tape, Traced

README = Path(__file__).resolve().parents[1] / "compiler" / "README.md"
BLOCK = re.compile(r"(<!-- example: (\w+) -->\n).*?(?=<!-- end -->)", re.S)
BATCH = 4


@dataclass
class Recording:
    """A recorded step, and what its tape was before it let go of its arrays.

    Attributes:
        plan, runs: which nodes are live, where they are stored, which share a loop.
        leaves: {id(node): (address, elements)} of the leaves.
    """

    step: TrainingStep = field(init=False)
    tape: Tape = field(init=False)
    plan: Plan = field(init=False)
    runs: list[list[Traced]] = field(init=False)
    leaves: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """What the tape became."""
        assert self.step.program is not None
        return self.step.program


def record(device: str | Backend, **options: Any) -> Recording:
    """A training step of the net, for batches of four samples with labels."""
    layers = [xn.Dense(3, "tanh"), xn.Dense(2)]
    loss, rule = "softmax_cross_entropy", xn.SGD(0.1)
    trainer = xn.Trainer(xn.Sequential(layers), loss, rule, device, **options)
    trainer.build(2)
    found = Recording()

    def note(tape: Tape, *arguments: Any) -> Program:
        found.tape, found.plan = tape, Plan(tape, [], True)
        found.runs = found.plan.runs()
        for node in tape.nodes:
            if node.op == "leaf":
                found.leaves[id(node)] = address(node.array), node.size
        return compile_tape(tape, *arguments)

    with patch.object(execution, "compile_tape", note):
        found.step = trainer.training_step(BatchSpec((BATCH, 2), True, False))
    return found


def blocks() -> dict[str, str]:
    """Each block of the README by its name."""
    host, device = record("cpu", jit=True), record(fiber_backend())
    native = host.program.native
    assert native is not None
    lines = {
        "tape": tape_lines(host),
        "passes": pass_lines(host),
        "schedule": schedule_lines(native.ops, Names(host)),
        "launches": launch_lines(device.program, Names(device)),
    }
    texts = {name: "\n".join(found) for name, found in lines.items()}
    texts["c"] = host.program.source.removeprefix(runtime()).strip()
    texts["cuda"] = device.program.source.removeprefix(handwritten()).strip()
    return texts


def address(array: Any) -> int:
    """Where an array of NumPy, or of the stand-in for CuPy, begins."""
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.__cuda_array_interface__["data"][0])


def shown(ref: BufferRef) -> Any:
    """The array that a bound reference shows."""
    place = {"data": (ref.offset, True), "shape": tuple(ref.shape), "version": 3}
    layout = {"strides": tuple(ref.strides), "typestr": ref.dtype}
    return np.asarray(SimpleNamespace(__array_interface__=place | layout))


class Names:
    """Names of the arrays that a program reads and writes."""

    def __init__(self, found: Recording) -> None:
        step = found.step
        batch, buffers = step.batch, step.model.buffers
        assert buffers is not None
        arrays = {f"{layer}.{name}": a for (layer, name), a in buffers.views.items()}
        arrays |= {"parameters": buffers.params, "gradients": buffers.grads}
        arrays |= {"x": batch.x, "y": batch.y, "classes": batch.classes}
        arrays |= {"loss": step.loss, "steps": step.model.step, **step.rule.scalars}
        self.leaves = {(address(a), a.size): name for name, a in arrays.items()}
        self._owned = [(address(a), a.nbytes) for a in found.program.owned]

    def of(self, array: Any) -> str:
        """ "x (4, 2)", "buffer 0 (4, 3)", "ones (1, 4)" or a number."""
        place, shape = address(array), f" {array.shape}" if array.ndim else ""
        if (place, array.size) in self.leaves:
            return self.leaves[place, array.size] + shape
        for i, (start, nbytes) in enumerate(self._owned):
            if start <= place < start + nbytes:
                return f"buffer {i}{shape}"
        return f"ones{shape}" if shape and (array == 1).all() else f"{array}"


def _by_segment(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The lines, with a heading where their segment changes."""
    last = None
    for segment, line in items:
        if segment != last:
            yield f"{segment}:"
        last = segment
        yield f"    {line}"


def tape_lines(found: Recording) -> Iterator[str]:
    """A line a node: its number, operation, arguments, shape and dtype."""
    number = {id(node): i for i, node in enumerate(found.tape.nodes)}
    leaves = Names(found).leaves

    def made(node: Traced) -> str:
        if node.op == "leaf":
            return f"leaf {leaves[found.leaves[id(node)]]}"
        parts = [f"n{number[id(a)]}" if id(a) in number else str(a) for a in node.args]
        return f"{_name(node)}({', '.join([*parts, *map(str, node.options)])})"

    return _by_segment(
        (
            node.segment or "parameters and their gradients",
            f"{f'n{number[id(node)]}':<3} = {made(node):<30} {node.shape} {node.dtype}",
        )
        for node in found.tape.nodes
    )


def pass_lines(found: Recording) -> Iterator[str]:
    """A line for the nodes that become one call, and where their values are stored."""
    number = {id(node): i for i, node in enumerate(found.tape.nodes)}
    leaves, plan = Names(found).leaves, found.plan

    def line(run: list[Traced]) -> str:
        values = [node for node in run if node.op != "store"]
        text = "  ".join(f"n{number[id(node)]} {_name(node)}" for node in values)
        stored = [plan.destination[node] for node in values if node in plan.destination]
        return text + "".join(f"  -> {leaves[found.leaves[id(to)]]}" for to in stored)

    runs = [run for run in found.runs if any(node.op != "store" for node in run)]
    return _by_segment((run[0].segment, line(run)) for run in runs)


def schedule_lines(segments: dict[str, list[Any]], names: Names) -> Iterator[str]:
    """A line a call of C: what it reads alone, and what it writes (and may read)."""
    for segment, ops in segments.items():
        yield f"{segment}:"
        for op in ops:
            written = [i % len(op.operands) for i in op.written]
            arrays = list(map(shown, op.operands))
            out = [names.of(arrays[i]) for i in written]
            read = [names.of(a) for i, a in enumerate(arrays) if i not in written]
            yield f"    {op.function:<6}  {', '.join(read)}  ->  {', '.join(out)}"


def launch_lines(program: Program, names: Names) -> Iterator[str]:
    """A line a launch on a GPU."""
    for segment, calls in program.segments.items():
        yield f"{segment}:"
        for function, arguments in calls:
            if function.__name__ == "gemm":
                gemm = arguments[0]
                read = f"{names.of(gemm.a)}, {names.of(gemm.b)}"
                yield f"    product  {read}  ->  {names.of(gemm.out)}"
            else:
                kernel, grid, block, _ = arguments
                size = f"{grid[0]} block of {block[0]} threads"
                yield f"    {kernel.signature.name}  {size}"


def _name(node: Traced) -> str:
    return node.op if isinstance(node.op, str) else node.op.__name__


def with_blocks(text: str, found: dict[str, str]) -> str:
    """The text of a README with these blocks."""

    def block(match: re.Match[str]) -> str:
        name = match[2]
        language = name if name == "c" else "cpp" if name == "cuda" else "text"
        return f"{match[1]}```{language}\n{found[name]}\n```\n"

    return BLOCK.sub(block, text)


def main(arguments: list[str], path: Path = README) -> int:
    """Write the blocks, or compare them."""
    before = path.read_text(encoding="utf-8")
    after = with_blocks(before, blocks())
    if "--check" not in arguments:
        path.write_text(after, encoding="utf-8")
        return 0
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
