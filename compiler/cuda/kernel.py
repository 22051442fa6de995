"""A generated kernel: its text, its launch, and two kernels as one launch."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from xpnet.backend import Array
from xpnet.compiler.buffers import BufferRef, meet
from xpnet.compiler.cuda.launch import Strided

Dim = tuple[int, int, int]
FREE_THREADS = 256  # of a block: 256 × 255 registers, the most of a thread, are there
SHARED_MEMORY_BYTES = 48 << 10  # bytes that a block may declare


@dataclass(frozen=True)
class Kernel:
    """A generated kernel, and what it is launched with.

    Attributes:
        kind: "flat", "row" or "column", or several of them.
        parameters: their declarations, a0, a1, ...
        body: its lines, in which `block` stands for the number of the block.
        blocks, threads: how many blocks of how many threads.
        arrays: the arguments.
        written: the numbers of those that it writes.
    """

    kind: str
    parameters: tuple[str, ...]
    body: tuple[str, ...]
    blocks: int
    threads: int
    arrays: tuple[Array, ...]
    written: frozenset[int]

    @property
    def name(self) -> str:
        """Its kind, and a hash of everything else in its text."""
        text = "\n".join([str(self.threads), *self.parameters, *self.body])
        return f"{self.kind}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def shared(self) -> int:
        """Bytes of shared memory of a block, at most."""
        declared = re.compile(r"\s*__shared__ .*\[(\d+)\];")
        return sum(8 * int(m[1]) for m in map(declared.match, self.body) if m)

    @property
    def text(self) -> str:
        """The function in CUDA C.

        A block of more than FREE_THREADS has bounds, or the compiler might give each
        thread more registers than there are for all, and the launch would be refused.
        """
        parameters = ", ".join(self.parameters)
        lines = ["const unsigned int block = blockIdx.x;", *self.body]
        body = "".join(f"    {line}\n" for line in lines)
        free = self.threads <= FREE_THREADS
        bounds = "" if free else f"__launch_bounds__({self.threads}) "
        head = f'extern "C" __global__ void {bounds}{self.name}'
        return f"{head}({parameters}) {{\n{body}}}\n"

    @property
    def launch(self) -> tuple[Dim, Dim, tuple[Any, ...]]:
        """(grid, block, arguments)."""
        args = tuple(a if a.flags.c_contiguous else Strided(a) for a in self.arrays)
        return (self.blocks, 1, 1), (self.threads, 1, 1), args

    def beside(self, other: "Kernel") -> "Kernel | None":
        """This kernel and `other`, which follows it, as one; None if they may not.

        The first blocks do the one, the rest the other, at the same time: neither may
        touch a byte that the other writes.
        """
        if (
            self.threads != other.threads
            or self.shared + other.shared > SHARED_MEMORY_BYTES
        ):
            return None
        if _meet(self, other) or _meet(other, self):
            return None
        count, more = len(self.arrays), self.blocks
        parameters = [_renumbered(line, count) for line in other.parameters]
        body = [_renumbered(line, count) for line in other.body]
        body = [re.sub(r"\bblock\b", f"(block - {more}u)", line) for line in body]
        return Kernel(
            self.kind if self.kind == other.kind else f"{self.kind}_{other.kind}",
            (*self.parameters, *parameters),
            (
                f"if (block < {more}u) {{",
                *[f"    {line}" for line in self.body],
                "} else {",
                *[f"    {line}" for line in body],
                "}",
            ),
            more + other.blocks,
            self.threads,
            (*self.arrays, *other.arrays),
            self.written | {count + place for place in other.written},
        )


def _meet(writer: Kernel, other: Kernel) -> bool:
    """Whether `writer` writes a byte that `other` reads or writes."""
    spans = [BufferRef.of(array).span for array in other.arrays]
    written = [BufferRef.of(writer.arrays[place]).span for place in writer.written]
    return any(meet(one, other) for one in written for other in spans)


def _renumbered(line: str, count: int) -> str:
    """`line` with parameters numbered from `count`."""
    return re.sub(r"\ba(\d+)\b", lambda m: f"a{int(m[1]) + count}", line)
