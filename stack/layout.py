"""The networks that train together: their rows, their batches, their samples.

The networks stand in the order of their numbers of samples, most first. In every step
the batch sizes therefore only fall from row to row, and the networks with batches of
one size are consecutive rows: all of them while batches are full, then some rows for
each size of the short last batch. Nothing is padded, so that a network's batches, and
what BatchNorm sees of them, are those that it would have alone.

When the training of a network has ended, its trainer takes the values of its row at
once. In C the row is left out from then on; elsewhere it is computed at a rate of 0,
unread, until the stack is compacted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.execution.rollback import Rollback
from xpnet.stack.hyperparameters import Numbers
from xpnet.stack.network import Network
from xpnet.stack.parameters import StackedParameters
from xpnet.training.data import Orders, Samples, mean_loss

Part = tuple[int, int, int]  # (start, stop, batch size) of rows that take a step


def layout_of(
    parameters: StackedParameters, samples: Samples, batch_size: int, w: Array
) -> tuple[Any, ...]:
    """What the arrays of a group, and its calls of C, are made for."""
    arrays = [samples.x, samples.y, *([] if w is None else [w])]
    rows = [
        (type(a), a.dtype.str, a.shape[1:], bool(a.flags.c_contiguous)) for a in arrays
    ]
    return (batch_size, samples.labels, *rows, *parameters.counts)


class GroupLayout:
    """Networks as the rows of stacked parameters.

    Args:
        parameters: one row a network.
        samples: x, y and weights that all draw from.
        batch_size: samples a step; a network with fewer takes all it has.
        w: the weights on the device, in blocks where networks have their own.

    Attributes:
        layout: what another fit must have in common to use this again.
        counts, steps: samples and steps of each network in an epoch.
        plan: for each step of an epoch [(start, stop, batch size)] of the rows.
        parts: {of the plan: steps in an epoch}.
        networks: what is trained, one a row.
        same_order: the networks, in lists of those that see the same samples in the
            same order.
        losses: of the steps of an epoch, (steps, k).
    """

    def __init__(
        self, parameters: StackedParameters, samples: Samples, batch_size: int, w: Array
    ) -> None:
        self.parameters, self.backend = parameters, parameters.backend
        self.batch_size = batch_size
        self.layout = layout_of(parameters, samples, batch_size, w)
        self._orders: dict[tuple[int, bool], Orders] = {}
        self.counts = np.array(parameters.counts)
        self.steps = -(-self.counts // batch_size)
        self.plan = [self._parts(i) for i in range(int(self.steps[0]))]
        self.parts = Counter(part for parts in self.plan for part in parts)
        first, k = parameters.trainers[0], len(parameters.trainers)
        shape = (len(self.plan), k)
        with self.backend.active():
            zeros, names = self.backend.zeros, first.rule.numbers.shape
            self.losses = zeros(shape, first.dtype)
            own = (parameters.buffers.params, parameters.step, *parameters.averages)
            others = [*own, *parameters.slots.values()]
            state = parameters.buffers.state
            self.rollback = Rollback(self.backend, state, others)
            # Of this epoch: the samples' order, that of their weights, the numbers.
            order = (k, len(self.plan), batch_size)
            self.index = zeros(order, np.int64)
            self.weighted = zeros(order if w is not None else (0, 0, 0), np.int64)
            self.device_blocks = zeros((k, 1), np.int64)
            self.own = np.arange(k)
            self.table = zeros((*shape, *names), first.dtype)

    def _parts(self, i: int) -> list[Part]:
        """(start, stop, batch size) of the rows that take step i of an epoch."""
        sizes = np.clip(self.counts - i * self.batch_size, 0, self.batch_size)
        cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
        parts = [(a, b, int(sizes[a])) for a, b in pairwise(cuts)]
        return [part for part in parts if part[2]]

    def take(
        self, networks: Sequence[Network], samples: Samples, shuffle: bool, w: Array
    ) -> None:
        """Train these networks from now on.

        Args:
            networks: one a row.
            samples, w: of this `layout`.
            shuffle: a new order each epoch, drawn from each network's (seed, epoch).
        """
        self.networks, self.samples, self.w = list(networks), samples, w
        self.numbers = Numbers([network.trainer for network in self.networks])
        known, self._orders, self._shuffle = self._orders, {}, shuffle
        for network in self.networks:
            key = (network.trainer.seed, shuffle)
            if key not in self._orders:
                order = known.get(key) or Orders(key[0], self.batch_size, shuffle)
                self._orders[key] = order
        self.same_order = self._same_order()
        self.host_w = None if w is None else self.backend.to_numpy(w)
        with self.backend.active():
            self.losses[...] = 0
            blocks = [[network.block] for network in self.networks]
            self.blocks = np.array(blocks, np.int64)
            if w is not None:
                self.backend.upload(self.device_blocks, self.blocks)

    def let_go(self) -> None:
        """Hold neither the networks nor their samples."""
        del self.networks, self.samples, self.w, self.host_w, self.numbers
        self.parameters.let_go()

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays and of its programs, about."""
        own = (self.index, self.weighted, self.table, self.losses)
        held = self.parameters.nbytes + self.rollback.nbytes
        return held + sum([int(array.nbytes) for array in own])

    @property
    def training(self) -> list[int]:
        """The rows whose networks still train."""
        return [i for i, one in enumerate(self.networks) if not one.frozen]

    @property
    def frozen(self) -> list[bool]:
        """Whether the training of each network has ended."""
        return [network.frozen for network in self.networks]

    @property
    def alive(self) -> int:
        """How many networks still train."""
        return len(self.training)

    def freeze(self, i: int) -> None:
        """Network i is done: its trainer takes what its row holds now."""
        self.networks[i].frozen = True
        self.parameters.store(i)

    def release(self) -> None:
        """Every trainer that still trains takes what its row holds."""
        for i in self.training:
            self.parameters.store(i)

    # The order of the samples.

    def _same_order(self) -> list[list[int]]:
        found: dict[tuple[int, int, int], list[int]] = {}
        for i in self.parameters.active:
            network = self.networks[i]
            trainer = network.trainer
            key = (trainer.seed, trainer.epochs_done, id(network.rows))
            found.setdefault(key, []).append(i)
        return list(found.values())

    def orders(self, epochs: int) -> Iterator[NDArray]:
        """The samples in the orders of the next epochs, (epochs, n), for each of
        `same_order`.
        """
        drawn: dict[tuple[int, int, int], NDArray] = {}
        for rows in self.same_order:
            one = self.networks[rows[0]]
            for i in rows:
                # The epochs of those that have ended do not count on, and are not read.
                if one.frozen:
                    one = self.networks[i]
            seed, done = one.trainer.seed, one.trainer.epochs_done
            key = (seed, done, len(one.rows))
            if key not in drawn:
                drawn[key] = np.empty((epochs, len(one.rows)), np.int64)
                self._orders[seed, self._shuffle].write(done, drawn[key])
            yield one.rows[drawn[key]]

    def order(self) -> NDArray:
        """The samples of each network's batches in this epoch, (k, steps, batch)."""
        found = np.zeros(self.index.shape, np.int64)  # what is over is not read
        table = found.reshape((len(found), -1))
        for rows, (order,) in zip(self.same_order, self.orders(1), strict=True):
            table[rows, : len(order)] = order
        return found

    # Mean losses.

    def weights(self, index: NDArray | None) -> NDArray:
        """`Samples.weights` of each network, (k, steps), 0 behind its last batch.

        Args:
            index: the samples of an epoch, (k, steps, batch); read only where there
                are weights.
        """
        ends = np.arange(1, len(self.plan) + 1) * self.batch_size
        ends = np.minimum(ends, self.counts[:, None])
        if self.host_w is None or index is None or self.samples.by_count:
            found: NDArray = np.diff(ends, axis=1, prepend=0).astype(np.float64)
            return found
        index = index.reshape((len(index), -1))
        w = self.host_w[index + self.blocks].astype(np.float64)
        w[np.arange(index.shape[1]) >= self.counts[:, None]] = 0.0
        sums = np.cumsum(w, axis=1)
        upto = sums[np.arange(len(w))[:, None], ends - 1]
        found = np.diff(upto, axis=1, prepend=0.0)
        return found

    @staticmethod
    def means(losses: NDArray, weights: NDArray) -> NDArray:
        """Each network's mean loss over its batches: (..., k).

        Args:
            losses: (..., steps, k).
            weights: of the batches, (..., k, steps).
        """
        each = np.ascontiguousarray(np.swapaxes(losses, -1, -2))
        found: NDArray = mean_loss(np.where(weights > 0.0, each, 0.0), weights)
        return found
