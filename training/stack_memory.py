"""How many networks fit side by side: estimated from one, before any is allocated."""

from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import check_number
from xpnet.training.dataset import Samples
from xpnet.training.step import EvaluationStep, Kind, TrainingStep

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

SHARE = 0.5  # of the memory that is free, unless the caller says otherwise


def member_bytes(trainer: "Trainer", samples: Samples, batch_size: int) -> int:
    """What one more network of a stack takes: its arrays, and its batch's.

    The programs of the network alone are recorded and asked for their buffers. Batches
    of other sizes (the short last one) and the evaluation need as much again.
    """
    buffers = trainer.model.buffers
    assert buffers is not None
    size = min(batch_size, samples.count)
    step = TrainingStep(
        trainer.model,
        trainer.loss_function,
        trainer.rule,
        samples.kind(size),
        jit=False,
    )
    kind = Kind(step.batch.kind.shape, step.batch.kind.labels, True)
    held = EvaluationStep(trainer.model, trainer.loss_function, kind, True, jit=False)
    assert step.program is not None
    assert held.program is not None
    own = 2 * buffers.params.nbytes + 2 * buffers.state.nbytes
    own += len(trainer.rule.slots) * buffers.params.nbytes
    batch = step.batch.x.nbytes + step.batch.y.nbytes + held.output.nbytes
    work = 2 * (step.program.nbytes + batch) + held.program.nbytes + batch
    outputs = samples.count * trainer.model.n_outputs * buffers.dtype.itemsize
    return int(own + work + outputs + 3 * samples.count * np.dtype(np.int64).itemsize)


def check_memory(memory: float | None) -> float | None:
    """A number of bytes above 0, or None; raises ValueError or TypeError."""
    if memory is None:
        return None
    return check_number("memory", memory, "bytes > 0 or None", lambda b: b > 0.0)


def room(
    trainer: "Trainer", samples: Samples, batch_size: int, memory: float | None
) -> int:
    """How many networks like `trainer` a stack may hold, at least one.

    Raises:
        ValueError: `memory` was given and one network takes more.
    """
    one = member_bytes(trainer, samples, batch_size)
    budget = SHARE * trainer.backend.memory()["free"] if memory is None else memory
    if memory is not None and one > memory:
        raise ValueError(
            f"memory: expected at least the {one:,} bytes of one network, got "
            f"{int(memory):,}; allow more, or choose a smaller batch_size"
        )
    return max(1, int(budget // one))
