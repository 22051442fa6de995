"""The samples of a stack: one copy on the device, each network with its own batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import Program, primitives
from xpnet.execution.step import Batch
from xpnet.training.data import Samples

Rows = np.ndarray[Any, np.dtype[np.int64]]


class Gather:
    """Copies the samples of each network of a batch into the batch's buffers.

    Args:
        samples: x and y, shared by all.
        batch: of k networks.
        w: weights on the device, where the batch has some: one a sample, or several
            blocks of them.
        blocks: (k, 1), where each network's weights begin in w.
    """

    def __init__(
        self, samples: Samples, batch: Batch, w: Array = None, blocks: Array = None
    ) -> None:
        backend, shape = samples.backend, batch.y.shape[:-1]
        self._rows = backend.zeros(shape, np.int64)
        self._owned = [self._rows]
        calls = [
            primitives.take(backend, samples.x, self._rows, batch.x),
            primitives.take(backend, samples.y, self._rows, batch.y_rows),
        ]
        self._blocks = blocks
        if w is not None:
            self._owned.append(backend.zeros(shape, np.int64))
            calls.append(primitives.take(backend, w, self._owned[1], batch.w_rows))
        self._program = Program({"gather": calls}, {}, 0, self._owned)

    def run(self, rows: Array) -> None:
        """Fetch samples `rows` (k, batch), whole numbers on the device."""
        self._rows[...] = rows
        if len(self._owned) > 1:
            self._owned[1][...] = rows + self._blocks
        self._program.run("gather")


def padded(rows: Sequence[Rows], width: int) -> Rows:
    """Row numbers of networks that see different numbers of samples, as (k, width).

    What is over repeats a network's first sample.
    """
    table = np.empty((len(rows), width), np.int64)
    for line, own in zip(table, rows, strict=True):
        line[: len(own)], line[len(own) :] = own, own[0]
    return table
