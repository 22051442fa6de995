"""Parameters of k networks stacked along the first axis, and programs over them.

    params, grads (k, n)      state (k, s)      slots {name: (k, n)}      step (k, 1, 1)

The rows take the values of the trainers and are copied back into them: each stays an
ordinary Trainer with arrays of its own. A `ModelSlice` is some consecutive rows, with
one recorded program per kind of batch; slices share the memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array
from xpnet.common.access import Reading
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import EvaluationStep, TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import Buffers
from xpnet.stack import compatibility
from xpnet.training import inputs

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


OBJECTS = 1 << 17  # bytes of a step's Python objects, about


class StackedParameters:
    """The trainers' arrays side by side.

    Args:
        trainers: built, of equal `stack_key`.
        training: whether there is to be any; else gradients and slots stay 0.
        settings: `RecordedSettings` of the trainers.
        counts: of the samples of each; none where that does not matter.

    Attributes:
        active: the rows of the networks that a call is about.
        buffers: parameters, gradients and running statistics, one row a trainer.
        slots: the arrays that the update rule keeps.
        averages: those of the parameters and the statistics, or nothing.
        step: steps that masks and noise have seen, uint32 (k, 1, 1).
    """

    def __init__(
        self,
        trainers: Sequence["Trainer"],
        training: bool = True,
        settings: Sequence[tuple[Any, ...] | None] = (),
        counts: Sequence[int] = (),
    ) -> None:
        first, self.training = trainers[0], training
        self.trainers, self.backend = list(trainers), first.backend
        self.settings = list(settings) or [None] * len(trainers)
        self.active = list(range(len(trainers)))
        self._threads = first.backend.threads
        self.counts = list(counts) or [0] * len(trainers)
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
        self._slices: dict[tuple[int, int], ModelSlice] = {}
        self.load(self.active)

    def slice(self, start: int, stop: int) -> "ModelSlice":
        """Rows start..stop, made when they are first asked for."""
        if (start, stop) not in self._slices:
            self._slices[start, stop] = ModelSlice(self, slice(start, stop))
        return self._slices[start, stop]

    # From one call to the next.

    def places(
        self, settings: Sequence[tuple[Any, ...] | None], counts: Sequence[int]
    ) -> list[int] | None:
        """A row for each network with these settings; None where there is none.

        A program of fewer networks must compute the same equations: the same numbers
        must differ among them.

        Args:
            settings: of the networks.
            counts: of the samples of each; those of all rows shall not rise.
        """
        if self._threads != self.backend.threads and not self.splits:
            return None  # loops that threads share may be divided otherwise
        if settings == self.settings and counts == self.counts:
            return list(range(len(settings)))
        if len(settings) < len(self.settings) and _varying(settings) != _varying(
            self.settings
        ):
            return None
        sized = zip(self.settings, self.counts, strict=True)
        same_size = sized, zip(settings, counts, strict=True)
        for keys, wanted in (same_size, (self.settings, settings)):
            free = defaultdict[Any, list[int]](list)
            for row, key in enumerate(keys):
                free[key].append(row)
            rows = [free[key].pop(0) if free[key] else -1 for key in wanted]
            if min(rows) >= 0 and self._falling(rows, counts):
                return rows
        return None

    def _falling(self, rows: Sequence[int], counts: Sequence[int]) -> bool:
        """Whether no row has more samples than the one before it."""
        found = list(self.counts)
        for row, count in zip(rows, counts, strict=True):
            found[row] = count
        return all(a >= b for a, b in pairwise(found))

    def take(
        self, trainers: Sequence["Trainer"], rows: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Rows `rows` take the values of these trainers, and the others zeros."""
        self.active = sorted(rows)
        self.trainers = [trainers[0]] * len(self.settings)
        for row in {*range(len(self.settings))} - {*rows}:
            self.zero(row)
        for trainer, row, count in zip(trainers, rows, counts, strict=True):
            self.trainers[row], self.counts[row] = trainer, count
            if len(trainer.optimizer.slots) < len(self.slots):
                self.zero(row)
        self.load(rows)

    def let_go(self) -> None:
        """Hold no trainers, and no programs that were made while a row was empty."""
        self.trainers = []
        known = self._slices.items()
        self._slices = {rows: models for rows, models in known if models.complete}

    @property
    def splits(self) -> bool:
        """Whether every recorded step can leave networks out."""
        programs = [step.program for step in self.recorded]
        natives = [None if p is None else p.native for p in programs]
        return all(native is not None and native.splits for native in natives)

    @property
    def recorded(self) -> list[TrainingStep | EvaluationStep]:
        """All steps that have been recorded."""
        return [step for models in self._slices.values() for step in models.steps]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and of the steps, about."""
        mine = self.buffers
        arrays = [mine.params, mine.grads, mine.state, *self.averages]
        arrays += self.slots.values()
        held = sum([int(array.nbytes) for array in arrays])
        for step in self.recorded:
            own = 0 if step.program is None else step.program.nbytes
            held += OBJECTS + own + int(step.batch.x.nbytes + step.batch.y.nbytes)
        return held

    # Values.

    def _pairs(self, i: int) -> list[tuple[Array, Array]]:
        """(row i, the trainer's own array) of everything that training changes."""
        trainer, mine = self.trainers[i], self.buffers
        own = trainer.model.buffers
        assert own is not None
        pairs = [
            (mine.params[i], own.params),
            (mine.state[i], own.state),
            (self.step[i], trainer.model.step),
        ]
        for mean, array in zip(self.averages, trainer.rule.averages, strict=True):
            pairs.append((mean[i], array))
        if self.training:
            pairs.append((mine.grads[i], own.grads))
            names = trainer.optimizer.slots
            for name, slot in zip(names, trainer.rule.slots, strict=True):
                pairs.append((self.slots[name][i], slot))
        return pairs

    def load(self, rows: Sequence[int]) -> None:
        """These rows take the values of their trainers."""
        models = [self.trainers[i].model.access for i in rows]
        with Reading(models), self.backend.active():
            for i in rows:
                for row, own in self._pairs(i):
                    row[...] = own

    def store(self, i: int) -> None:
        """The trainer takes the values of its row."""
        with self.trainers[i].model.access.writing, self.backend.active():
            for row, own in self._pairs(i):
                own[...] = row
        self.trainers[i].last_step = None

    def zero(self, i: int) -> None:
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


def _varying(settings: Sequence[tuple[Any, ...] | None]) -> list[bool]:
    """Which settings differ among networks, but for their seeds."""
    columns = zip(*[one[1:] for one in settings if one is not None], strict=False)
    return [len({*column}) > 1 for column in columns]


class ModelSlice:
    """Consecutive networks of a parameters as one model.

    Attributes:
        rows: which.
        model, loss, rule: of all of them; numbers that differ are `PerNetwork`.
        complete: whether all of its networks were there when it was made.
    """

    def __init__(self, parameters: StackedParameters, rows: slice) -> None:
        trainers = parameters.trainers[rows]
        first = trainers[0]
        self.rows, self.count, self.jit = rows, len(trainers), first.jit
        self.graphs = first.takes_graphs
        self.model = compatibility.stacked_model(trainers)
        self.loss = compatibility.stacked_loss(trainers)
        self.complete = set(range(rows.start, rows.stop)) <= {*parameters.active}
        buffers, seeds = parameters.buffers.rows(rows), tuple(t.seed for t in trainers)
        self.model.adopt(buffers, parameters.step[rows], seeds)
        self.grads = buffers.grads
        self._steps: dict[BatchSpec, TrainingStep] = {}
        self._evaluations: dict[tuple[BatchSpec, bool], EvaluationStep] = {}
        optimizer = compatibility.stacked_optimizer(trainers)
        slots = [parameters.slots[name][rows] for name in optimizer.slots]
        averages = [mean[rows] for mean in parameters.averages]
        self.rule = UpdateState(
            optimizer, buffers, seeds, first.average, first.rule.names, slots, averages
        )

    @property
    def steps(self) -> list[TrainingStep | EvaluationStep]:
        """Its steps, for batches of every kind."""
        return [*self._steps.values(), *self._evaluations.values()]

    def _stacked(self, kind: BatchSpec) -> BatchSpec:
        """One batch of `kind` for every network."""
        return BatchSpec((self.count, *kind.shape), kind.labels, kind.weighted)

    def training_step(self, kind: BatchSpec) -> TrainingStep:
        """The step of all networks for batches of this kind each."""
        step = self._steps.get(kind)
        if step is None:
            inputs.check_batch(self.model, kind.shape[0])
            step = self._steps[kind] = TrainingStep(
                self.model,
                self.loss,
                self.rule,
                self._stacked(kind),
                jit=self.jit,
                graphs=self.graphs,
                whole=("gradients", "loss", "update"),
            )
        return step

    def evaluation_step(self, kind: BatchSpec, targets: bool) -> EvaluationStep:
        """Likewise for predictions."""
        key = (kind, targets)
        if key not in self._evaluations:
            self._evaluations[key] = EvaluationStep(
                self.model, self.loss, self._stacked(kind), targets, jit=self.jit
            )
        return self._evaluations[key]
