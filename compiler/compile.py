"""From a tape to a program: which calls, in which order, on which buffers.

1. *Order and runs* (`analysis.py`). Only what a store or an output needs is kept; the
   input gradient of the first layer, for one, disappears here. A value that is only
   stored (a weight gradient, an updated parameter) is computed in the place where it is
   wanted. Neighbours that can share one pass over memory form a run.
2. *Buffers* (`placement.py`, `buffers.py`). A value's memory is used again after its
   last use; an elementwise result takes over the memory of an operand that dies with
   it. What crosses from one segment into another keeps its buffer, so segments may run
   in any order that respects their data.
3. *Lowering* (`lowering.py`). Each run becomes calls of NumPy or CuPy (`calls.py`), a
   loop of C (`c/lower.py`) or a kernel (`cuda/lower.py`).
"""

from xpnet.backend import Backend
from xpnet.backend.blas import openblas
from xpnet.compiler import c as native
from xpnet.compiler.analysis import Plan
from xpnet.compiler.c.lower import CLowering
from xpnet.compiler.calls import CallLowering
from xpnet.compiler.drivers import driver_of
from xpnet.compiler.lowering import Calls, Lowering, Reader, Recording
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import ALONE, RowPartition, partition_of
from xpnet.trace import Tape, Traced


def compile_tape(
    tape: Tape,
    backend: Backend,
    outputs: dict[str, Traced],
    segments: tuple[str, ...],
    loops: bool = False,
    source: Traced | None = None,
    n_networks: int | None = None,
    wait: bool = True,
    partition: RowPartition | None = None,
) -> Program:
    """The program of `tape` on `backend`.

    Args:
        tape: the record.
        backend: where buffers are allocated and calls run.
        outputs: nodes that must be readable after a replay.
        segments: the names of the segments, empty ones too.
        loops: compile runs of operations: to CUDA kernels where the backend has a
            driver, to C on the CPU where there is a compiler.
        source: the leaf that a batch is read from (see `Program.rebind`).
        n_networks: along the first axis of a stack's arrays.
        wait: whether to wait for the C compiler.
        partition: of an earlier program of this tape, for the same bits; None chooses
            one.

    Raises:
        NotCompiledError: the library does not exist yet, and `wait` is False.
        BuildError: the compiler fails.
    """
    how = (source, n_networks, partition)
    recording = Recording(tape, backend, outputs, segments, *how)
    lowering = _lowering(recording, loops)
    program = lowering.load(wait)
    if program is not None:
        return program
    plan = lowering.plan()
    # How products are divided decides their bits: in calls as in C.
    lowering.begin(plan, partition or _partition(recording, plan))
    calls: Calls = {name: [] for name in segments}
    readers: list[Reader] = []
    for run in plan.runs():
        segment = run[0].segment
        if recording.reads_source(run[0]):
            readers.append(Reader(segment, len(calls[segment]), run[0]))
        calls[segment] += lowering.lower(run)
    return lowering.finish(calls, readers, wait)


def _lowering(recording: Recording, loops: bool) -> Lowering:
    driver = driver_of(recording.backend) if loops else None
    if driver is not None:
        from xpnet.compiler.cuda.lower import CudaLowering  # on a GPU alone

        return CudaLowering(recording, driver)
    if loops and recording.backend.is_host and native.available():
        return CLowering(recording)
    return CallLowering(recording)


def _partition(recording: Recording, plan: Plan) -> RowPartition:
    """How many threads share the calls: one where they cannot become C."""
    backend = recording.backend
    in_c = backend.is_host and native.available() and native.THREAD_TEAMS
    if not (recording.rows and in_c) or openblas() is None:
        return ALONE
    return partition_of(plan.live, recording.rows, backend.threads)
