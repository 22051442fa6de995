"""How many networks fit side by side: estimated before any is allocated."""

import math
from typing import TYPE_CHECKING

from xpnet.common import check_number
from xpnet.training.data import Samples

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

SHARE = 0.5  # of the memory that is free, unless the caller says otherwise
VALUES = 8  # arrays of a layer's size that a step keeps at once, generously
INDEX = 8  # bytes of a row number
EPOCH_BLOCKS = 0.25  # of a network's own arrays: what is prepared of the epochs to come


def network_bytes(trainer: "Trainer", samples: Samples, batch_size: int) -> int:
    """What one more network of a stack takes, rather more than less.

    Its rows of the parameters; the batch, and `VALUES` values of the size of each
    layer's output, in the steps for full batches, for the last one, and in the
    evaluation; its predictions for the samples, and their numbers in the order of an
    epoch; what is prepared for the epochs after it.
    """
    own = _own_bytes(trainer, batch_size)
    item = trainer.dtype.itemsize
    outputs = samples.count * trainer.model.n_outputs * item
    return int((1 + EPOCH_BLOCKS) * own + outputs + 4 * samples.count * INDEX)


def _own_bytes(trainer: "Trainer", batch_size: int) -> int:
    """Of its arrays, whatever the number of samples."""
    buffers, model = trainer.model.buffers, trainer.model
    assert buffers is not None
    rows = (2 + len(trainer.optimizer.slots)) * buffers.params.nbytes
    rows += 2 * buffers.state.nbytes
    for mean in trainer.rule.averages:
        rows += mean.nbytes
    widths = sum(map(math.prod, (model.sample_shape or (), *model.shapes)))
    step = batch_size * VALUES * widths * buffers.dtype.itemsize
    return int(rows + 3 * step)


def epochs_ahead(trainer: "Trainer", samples: Samples, batch_size: int) -> int:
    """How many epochs of a network may be prepared together, in that memory.

    An order of the samples, and the numbers and the loss of each step.
    """
    orders = 1 if samples.w is None else 2
    steps = math.ceil(samples.count / batch_size)
    numbers = steps * (trainer.rule.numbers.size + 1) * trainer.dtype.itemsize
    each = orders * samples.count * INDEX + numbers
    return int(EPOCH_BLOCKS * _own_bytes(trainer, batch_size) / each)


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
    one = network_bytes(trainer, samples, batch_size)
    budget = SHARE * trainer.backend.memory()["free"] if memory is None else memory
    if memory is not None and one > memory:
        raise ValueError(
            f"memory: expected at least the {one:,} bytes of one network, got "
            f"{int(memory):,}; allow more, or choose a smaller batch_size"
        )
    return max(1, int(budget // one))
