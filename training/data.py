"""The samples of one `fit`, checked, on the device, gathered batch by batch."""

from functools import lru_cache, partial
from typing import Any

import numpy as np

from xpnet.backend import ORDER, Array, generator
from xpnet.common.arrays import NDArray
from xpnet.compiler import Program, primitives
from xpnet.execution.batch import Batch, BatchSpec
from xpnet.training import inputs
from xpnet.training.device_memory import placed
from xpnet.training.state import TrainingState
from xpnet.training.weights import scaled

Rows = np.ndarray[Any, np.dtype[np.int64]]  # numbers of samples


class Samples:
    """x, y and weights of a training or validation set.

    Arrays in memory are converted to the model's dtype once, and copied to its device
    once. A `np.memmap` stays where it is: only the rows of a batch are read.

    Attributes:
        count: number of samples.
        labels: whether y holds labels.
        by_count: whether the mean of an epoch weighs its batches by their samples, as
            scikit-learn does, rather than by Σ w.
    """

    def __init__(
        self,
        state: TrainingState,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
    ) -> None:
        backend, loss = state.backend, state.loss_function
        x = inputs.check_x(x, state.model.sample_shape, backend)
        self.count = int(x.shape[0])
        state.build(x.shape[1:])
        width = state.model.n_outputs
        inputs.check_finite(x, "x", backend)
        y = inputs.check_y(y, self.count, loss, width, backend)
        self.labels = y.ndim == 1  # as `check_y` leaves labels, which are whole numbers
        if not self.labels:
            inputs.check_finite(y, "y", backend)
        dtype, w = state.dtype, sample_weight
        if w is not None:
            w = inputs.check_weights(w, self.count, backend)
        if class_weight is not None:
            if not self.labels:
                raise ValueError(
                    "class_weight: expected y to hold class labels; use sample_weight "
                    f"with {type(loss).__name__}"
                )
            shares = inputs.class_weights(class_weight, y, width, backend, w)
            shares = scaled(shares)  # neither overflows in the product
            w = shares if w is None else backend.to_numpy(w) * shares
            w = inputs.check_weights(w, self.count, backend)
        self.backend = backend
        inputs.check_fits(x, "x", dtype)
        if not self.labels:
            inputs.check_fits(y, "y", dtype)
        self.x = self._here(x, dtype)
        self.y = self._here(y, np.dtype(np.int32) if self.labels else dtype)
        self.w = None if w is None else self._here(w, dtype)
        self.by_count = state.by_count
        self._gathers: dict[Batch, Gather] = {}
        self.host_y = backend.to_numpy(self.y)
        self.host_w = None if self.w is None else backend.to_numpy(self.w)

    def _here(self, values: Array, dtype: np.dtype[Any]) -> Array:
        if self.backend.is_host:
            memmap = isinstance(values, np.memmap)
            return values if memmap else np.asarray(values, dtype)
        with self.backend.active():
            array = self.backend.asarray(values, dtype)
            # Kernels read rows that lie one after the other.
            return array if array.flags.c_contiguous else array.copy()

    def kind(self, size: int) -> BatchSpec:
        """The kind of a batch of `size` samples."""
        return BatchSpec((size, *self.x.shape[1:]), self.labels, self.w is not None)

    def gather(self, rows: Array, batch: Batch) -> None:
        """Copy samples `rows` (whole numbers on the device) into `batch`."""
        if batch not in self._gathers:
            self._gathers[batch] = Gather(self, batch, self.w)
        self._gathers[batch].run(rows)

    def gathering(self, batch: Batch) -> tuple[Program, Array]:
        """The program that fills `batch`, and the row numbers that it reads."""
        if batch not in self._gathers:
            self._gathers[batch] = Gather(self, batch, self.w)
        return self._gathers[batch].program, self._gathers[batch].rows

    def pairs(self, batch: Batch, w: Array = None) -> list[tuple[Array, Array]]:
        """(all samples, where a batch goes) of x, y and the weights (or `w`)."""
        w = self.w if w is None else w
        pairs = [(self.x, batch.x), (self.y, batch.y_rows)]
        return pairs if w is None else [*pairs, (w, batch.w_rows)]

    @property
    def total(self) -> float:
        """Σ w of all samples; their number where w is not given."""
        if self.host_w is None:
            return float(self.count)
        return float(np.add.reduceat(self.host_w.astype(np.float64), [0])[0])

    def weights(self, rows: NDArray, size: int) -> NDArray:
        """What the mean of an epoch weighs its batches of `size` of `rows` with.

        Σ w of each, (..., samples) to (..., batches); the number of samples where w is
        not given, or `by_count`.
        """
        *lead, count = rows.shape
        if self.host_w is None or self.by_count:
            found = sizes(count, size)
            return np.broadcast_to(found, (*lead, len(found)))
        starts = np.arange(0, count, size)
        w = self.host_w[rows].astype(np.float64)
        return np.add.reduceat(w, starts, axis=-1)


class Gather:
    """Copies samples into a batch: in a stack, each network its own.

    Args:
        samples: x and y.
        batch: (batch,) or (k, batch) samples.
        w: weights on the device, one a sample, or several blocks of them; None where
            the batch has none, or others.
        blocks: (k, 1), where each network's weights begin in w.

    Attributes:
        program: what copies.
        rows: the numbers of the samples, as the program reads them.
    """

    def __init__(
        self, samples: Samples, batch: Batch, w: Array = None, blocks: Array = None
    ) -> None:
        backend, shape = samples.backend, batch.y.shape[:-1]
        self.rows = self._weighted = backend.zeros(shape, np.int64)
        self._blocks = None if w is None else blocks
        if self._blocks is not None:
            self._weighted = backend.zeros(shape, np.int64)
        take = partial(primitives.take, backend)
        calls = [
            take(samples.x, self.rows, batch.x),
            take(samples.y, self.rows, batch.y_rows),
            *([] if w is None else [take(w, self._weighted, batch.w_rows)]),
        ]
        self.program = Program({"gather": calls}, {}, 0, [self.rows, self._weighted])

    def run(self, rows: Array) -> None:
        """Fetch samples `rows`, whole numbers on the device."""
        self.rows[...] = rows
        if self._blocks is not None:
            self._weighted[...] = rows + self._blocks
        self.program.run("gather")


def samples_of(state: TrainingState, *arguments: Any) -> Samples:
    """x, y and weights, checked and placed on the device.

    Raises:
        ValueError, TypeError: unfit data; an unbuilt model stays unbuilt.
        MemoryError: the device has no room for them.
    """
    hint = "train on parts of it with trainer.step(x, y), or use float32"
    with state.backend.active(), state.unbuild_on_error():
        place = partial(Samples, state, *arguments)
        return placed(state.backend, "x, y: the data set", hint, place)


def validation_of(state: TrainingState, validation: tuple[Any, ...]) -> Samples:
    """Likewise for (x, y) or (x, y, sample_weight) of `validation`."""
    inputs.check_validation(validation)
    with inputs.naming("validation"):
        return samples_of(state, *validation)


@lru_cache(64)
def sizes(count: int, size: int) -> NDArray:
    """Samples of each batch of an epoch; not to be written to."""
    found = np.minimum(size, count - np.arange(0, count, size)).astype(np.float64)
    found.flags.writeable = False
    return found


class Orders:
    """The order of the samples in every epoch: permutations drawn from (seed, epoch).

    The epoch is the highest word of Philox's counter: no epoch needs those before it.

    Args:
        seed: of the training.
        batch_size: samples that are in one batch anyway are left as they are.
        shuffle: whether any are shuffled.
    """

    def __init__(self, seed: int, batch_size: int, shuffle: bool = True) -> None:
        self._batch_size, self._shuffle = batch_size, shuffle
        self._draw = generator(seed, ORDER)
        self._start: Any = self._draw.bit_generator.state

    def of(self, epoch: int, count: int) -> NDArray:
        """The row numbers 0 .. count - 1 as epoch 0, 1, ... takes them."""
        order: np.ndarray[Any, Any] = np.empty(count, np.int64)
        self.write(epoch, order[None])
        return order

    def write(self, epoch: int, orders: NDArray) -> None:
        """Those of epoch, epoch + 1, ... as the rows of `orders`, (epochs, count)."""
        count = orders.shape[1]
        if not self._shuffle or count <= self._batch_size:
            orders[...] = np.arange(count)
            return
        for i, order in enumerate(orders, epoch):
            self._start["state"]["counter"][-1] = i
            self._draw.bit_generator.state = self._start
            order[...] = self._draw.permutation(count)


def mean_loss(losses: Array, weights: Array) -> Array:
    """Σ w l / Σ w over an epoch's batches, (..., batches) to (...); 0 where Σ w is."""
    total = np.add.reduce(weights, axis=-1)
    weighted = np.add.reduce(losses.astype(np.float64) * weights, axis=-1)
    return np.where(total > 0.0, weighted, 0.0) / np.where(total > 0.0, total, 1.0)
