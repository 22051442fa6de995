"""The arrays of k trainers as the rows of one set, and programs over some of the rows.

    params, grads (k, n)      state (k, s)      slots {name: (k, n)}      step (k, 1, 1)

A bank is filled from its trainers and copied back into them: each stays an ordinary
Trainer with arrays of its own. A *lane* is a stretch of consecutive rows with one
recorded program a kind of batch; lanes of different stretches share the memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import Array
from xpnet.execution.step import BatchSpec, EvaluationStep, TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import Buffers
from xpnet.stack import compatibility
from xpnet.training import inputs

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


class Bank:
    """The trainers' arrays side by side.

    Args:
        trainers: built, of equal `stack_key`.
        training: whether there is to be any; else gradients and slots stay 0.

    Attributes:
        buffers: parameters, gradients and running statistics, one row a trainer.
        slots: the arrays that the update rule keeps.
        averages: those of the parameters and the statistics, or nothing.
        step: steps that masks and noise have seen, uint32 (k, 1, 1).
    """

    def __init__(self, trainers: Sequence["Trainer"], training: bool = True) -> None:
        first, self._training = trainers[0], training
        self.trainers, self.backend = list(trainers), first.backend
        lead = (len(trainers),)
        self.buffers = Buffers(first.model.layout, self.backend, first.dtype, lead)
        self.buffers.add_gradients()
        with self.backend.active():
            zeros, shape = self.backend.zeros, self.buffers.params.shape
            names = {name for t in trainers for name in t.optimizer.slots}
            self.slots = {name: zeros(shape, first.dtype) for name in sorted(names)}
            self.step = zeros((*lead, 1, 1), np.uint32)
            kept = [] if first.average is None else [self.buffers.params]
            kept += [self.buffers.state for _ in kept]
            self.averages = [zeros(array.shape, first.dtype) for array in kept]
        self._lanes: dict[tuple[int, int], Lane] = {}
        for i in range(len(trainers)):
            self.push(i)

    def lane(self, start: int, stop: int) -> "Lane":
        """Rows start..stop, made when they are first asked for."""
        if (start, stop) not in self._lanes:
            self._lanes[start, stop] = Lane(self, slice(start, stop))
        return self._lanes[start, stop]

    def close(self) -> None:
        """Let go of the lanes, which refer back."""
        self._lanes.clear()

    def _pairs(self, i: int) -> list[tuple[Array, Array]]:
        """(row i, the trainer's own array) of everything that training changes."""
        trainer, mine = self.trainers[i], self.buffers
        own = trainer.model.buffers
        assert own is not None
        pairs = [
            (mine.params[i], own.params),
            (mine.state[i], own.state),
            (self.step[i], trainer.model.step),
            *zip((a[i] for a in self.averages), trainer.rule.averages, strict=True),
        ]
        if self._training:
            slots = zip(trainer.optimizer.slots, trainer.rule.slots, strict=True)
            pairs.append((mine.grads[i], own.grads))
            pairs += [(self.slots[name][i], slot) for name, slot in slots]
        return pairs

    def push(self, i: int) -> None:
        """Row i takes the values of its trainer."""
        with self.trainers[i].model.access.reading, self.backend.active():
            for row, own in self._pairs(i):
                row[...] = own

    def pull(self, i: int) -> None:
        """The trainer takes the values of its row."""
        with self.trainers[i].model.access.writing, self.backend.active():
            for row, own in self._pairs(i):
                own[...] = row
        self.trainers[i].last_step = None

    def clear(self, i: int) -> None:
        """Row i computes with zeros from now on, which nothing makes infinite."""
        with self.backend.active():
            mine = self.buffers
            arrays = (mine.params, mine.grads, mine.state)
            for array in (*arrays, *self.slots.values(), *self.averages):
                array[i] = 0

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block networks that keep averages are these.

        Before a network's first update they are its weights themselves.
        """
        if not self.averages:
            yield
            return
        arrays = self.buffers.params, self.buffers.state
        kept = [array.copy() for array in arrays]
        for array, mean in zip(arrays, self.averages, strict=True):
            array[...] = mean
        for i, trainer in enumerate(self.trainers):
            if trainer.steps_done == 0:
                for array, copy in zip(arrays, kept, strict=True):
                    array[i] = copy[i]
        try:
            yield
        finally:
            for array, copy in zip(arrays, kept, strict=True):
                array[...] = copy


class Lane:
    """Consecutive networks of a bank as one model.

    Attributes:
        rows: which.
        model, loss: of all of them; numbers that differ are `PerMember`.
    """

    def __init__(self, bank: Bank, rows: slice) -> None:
        trainers = bank.trainers[rows]
        first = trainers[0]
        self.rows, self.count, self.jit = rows, len(trainers), first.jit
        self.graphs = first.takes_graphs
        self.model = compatibility.stacked_model(trainers)
        self.loss = compatibility.stacked_loss(trainers)
        self._bank, self._seeds = bank, tuple(trainer.seed for trainer in trainers)
        self._buffers = bank.buffers.rows(rows)
        self.model.adopt(self._buffers, bank.step[rows], self._seeds)
        self.grads = self._buffers.grads
        self._steps: dict[BatchSpec, TrainingStep] = {}
        self._evaluations: dict[tuple[BatchSpec, bool], EvaluationStep] = {}
        self._rule: UpdateState | None = None

    @property
    def rule(self) -> UpdateState:
        """The update of all networks; numbers that differ are `PerMember`."""
        # Not a cached_property: its lock may be held by another thread at a fork.
        if self._rule is None:
            self._rule = self._made_rule()
        return self._rule

    def _made_rule(self) -> UpdateState:
        bank, rows = self._bank, self.rows
        first = bank.trainers[rows][0]
        optimizer = compatibility.stacked_optimizer(bank.trainers[rows])
        slots = [bank.slots[name][rows] for name in optimizer.slots]
        names = list(first.optimizer.scalars(1.0, 1))
        averages = [mean[rows] for mean in bank.averages]
        buffers, seeds = self._buffers, self._seeds
        return UpdateState(
            optimizer, buffers, seeds, first.average, names, slots, averages
        )

    def _stacked(self, kind: BatchSpec) -> BatchSpec:
        """One batch of `kind` for every network."""
        return BatchSpec((self.count, *kind.shape), kind.labels, kind.weighted)

    def training_step(self, kind: BatchSpec) -> TrainingStep:
        """The step of all networks for batches of this kind each."""
        if kind not in self._steps:
            inputs.check_batch(self.model, kind.shape[0])
            self._steps[kind] = TrainingStep(
                self.model,
                self.loss,
                self.rule,
                self._stacked(kind),
                jit=self.jit,
                graphs=self.graphs,
                whole=("gradients", "loss", "update"),
            )
        return self._steps[kind]

    def evaluation_step(self, kind: BatchSpec, targets: bool) -> EvaluationStep:
        """Likewise for predictions."""
        key = (kind, targets)
        if key not in self._evaluations:
            self._evaluations[key] = EvaluationStep(
                self.model, self.loss, self._stacked(kind), targets, jit=self.jit
            )
        return self._evaluations[key]
