"""Stack: networks of one shape that train together as one recorded program."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.common import check_whole
from xpnet.training import checks, stack_memory, stacked_evaluation
from xpnet.training.bank import Bank
from xpnet.training.callbacks import Callback, check_callbacks
from xpnet.training.dataset import Samples
from xpnet.training.gather import Rows
from xpnet.training.history import History
from xpnet.training.member import Member
from xpnet.training.stack_checks import check_rows, check_trainers
from xpnet.training.stackable import check_stackable
from xpnet.training.stacked_evaluation import Evaluation
from xpnet.training.together import Together, workers
from xpnet.training.trainer import DEFAULT_BATCH, Trainer

AT_ONCE = 8192  # samples × networks that a prediction computes in one go


class Stack:
    """k trainers, trained together: each ends as if it had been trained alone.

        θᵢ ← ruleᵢ(θᵢ, ∂Jᵢ/∂θᵢ),  i = 1 ... k, in one call an operation

    A step of a small network costs mostly its calls, and a stack makes them once for
    all: a product of matrices (batch, n) is one of (k, batch, n), an update one formula
    over (k, parameters). The networks may differ in seed, learning rate, schedule and
    every other number of the update rule (momentum, penalties, decay, clipping), in
    dropout rates and other numbers of layers and of the loss, in the samples they see
    and in when they stop. Layers, widths, the kind of rule and of loss are common.

    The trainers stay ordinary ones: between two calls each holds its own arrays, and
    can be stepped, saved or put into another stack.

        stack = xn.Stack([
            xn.Trainer(xn.Sequential([xn.Dense(64, "relu"), xn.Dense(10)]),
                       "softmax_cross_entropy", xn.Adam(rate), seed=seed)
            for rate in (1e-3, 3e-3) for seed in range(5)
        ])
        stack.fit(x, y, epochs=20)
        stack.trainers[3].predict(x)

    Args:
        trainers: with a model each, that differ only in what a stack allows.

    Raises:
        TypeError: something else than trainers.
        ValueError: two that cannot be stacked, with the setting that keeps them apart.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = check_trainers(trainers)
        built = [t.model.sample_shape for t in self.trainers if t.model.sample_shape]
        if built:
            self._build(built[0])
        check_stackable(self.trainers)
        self.errors: dict[int, ArithmeticError] = {}

    def __len__(self) -> int:
        return len(self.trainers)

    def __getitem__(self, i: int) -> Trainer:
        return self.trainers[i]

    def __repr__(self) -> str:
        return f"Stack of {len(self)}: {self.trainers[0]!r}, ..."

    def _build(self, sample: Any) -> None:
        for trainer in self.trainers:
            trainer.build(sample)

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 10,
        batch_size: int | None = DEFAULT_BATCH,
        rows: Sequence[Any] | None = None,
        validation: tuple[Any, ...] | None = None,
        validation_rows: Sequence[Any] | None = None,
        callbacks: Sequence[Callback] | Callback = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        shuffle: bool = True,
        memory: float | None = None,
        verbose: bool | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[History]:
        """Train every network for `epochs` passes over its samples.

        A network that a callback stops, or that diverges, is left as it is then; the
        others go on. `errors[i]` is the DivergenceError of network i, and
        `trainers[i].history.stopped` says why any of them ended early. Ctrl-C ends all
        after the current step. The history's seconds are those of the whole stack.

        Args:
            x, y: as for `Trainer.fit`; kept once, whatever the number of networks.
            epochs: passes of each network over its own samples.
            batch_size: samples an update of a network; None for all. A network with
                fewer samples takes all it has.
            rows: for each network the numbers of the samples that it trains on, (n,)
                whole numbers, repeated ones allowed; None for all samples.
            validation: (x, y) or (x, y, sample_weight), evaluated after each epoch.
            validation_rows: for each network the numbers of its samples in
                `validation`, or, where that is None, in x.
            callbacks: every network has its own copy of them.
            sample_weight: (samples,), wᵢ ≥ 0.
            class_weight: {label: weight}, or "balanced": over each network's rows.
            shuffle: a new order each epoch, drawn from (seed, epoch) of each network.
            memory: bytes that the stack may take; half of what is free unless given.
                What does not fit is trained in several stacks, one after the other.
            verbose: a bar; None shows it on a terminal only.
            progress: called with 1 for each network and epoch, in place of the bar.

        Returns:
            The `History` of each network.

        Raises:
            ValueError, TypeError: unfit data or arguments.
        """
        epochs = check_whole("", "epochs", epochs, 1)
        check_callbacks(callbacks)
        for trainer in self.trainers:
            trainer.check_outside_averages()
        memory = stack_memory.check_memory(memory)
        balanced = isinstance(class_weight, str)
        samples = self._samples(x, y, sample_weight, None if balanced else class_weight)
        own = check_rows(rows, "rows", samples.count, len(self))
        most = max(map(len, own))
        size = most if batch_size is None else batch_size
        size = min(size, most) if size is DEFAULT_BATCH else size
        size = check_whole("", "batch_size", size, 1, most)
        held = self._held(validation, validation_rows, samples)
        w, blocks = samples.w, [0] * len(self)
        if balanced:
            w, blocks = self._balanced(samples, own, class_weight)
        members = [
            Member(t, rows, None if held is None else held[1][i], blocks[i])
            for i, (t, rows) in enumerate(zip(self.trainers, own, strict=True))
        ]
        for member in members:
            member.callbacks = check_callbacks(deepcopy(callbacks))
        monitor = "loss" if held is None else "val_loss"
        run = Together(samples, held and held[0], size, shuffle, w, epochs, monitor)
        fitting = stack_memory.room(self.trainers[0], samples, size, memory)
        with _bar(progress, verbose, epochs * len(self)) as run.progress:
            run.all(members, fitting)
        self.errors = {i: m.error for i, m in enumerate(members) if m.error}
        return [trainer.history for trainer in self.trainers]

    def _samples(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> Samples:
        first = self.trainers[0]
        with first.backend.active(), first.left_as_it_was():
            samples = Samples(first, x, y, sample_weight, class_weight)
        self._build(samples.x.shape[1:])
        return samples

    def _balanced(
        self, samples: Samples, rows: list[Rows], name: str
    ) -> tuple[Array, list[int]]:
        """A block of weights a network, and where each begins: balanced in its rows."""
        if not samples.labels:
            raise ValueError(
                "class_weight: expected y to hold class labels; use sample_weight with "
                f"{type(self.trainers[0].loss_function).__name__}"
            )
        backend, width = samples.backend, self.trainers[0].model.n_outputs
        table = np.zeros((len(self), samples.count), np.float64)
        for line, own in zip(table, rows, strict=True):
            line[own] = checks.class_weights(name, samples.host_y[own], width, backend)
        if samples.host_w is not None:
            table *= samples.host_w
        with backend.active():
            w = backend.asarray(table.reshape(-1), self.trainers[0].dtype)
            if samples.w is None:
                samples.w = backend.asarray(np.ones(samples.count), w.dtype)
                samples.host_w = np.ones(samples.count)
        return w, [i * samples.count for i in range(len(self))]

    def _held(
        self, validation: Any, rows: Sequence[Any] | None, samples: Samples
    ) -> tuple[Samples, list[Rows]] | None:
        """What is validated on: the samples, and each network's rows of them."""
        if validation is None and rows is None:
            return None
        if validation is not None:
            checks.check_validation(validation)
            samples = self._samples(*validation)
        return samples, check_rows(rows, "validation_rows", samples.count, len(self))

    # Using what was learnt.

    def evaluate(
        self,
        x: Any,
        y: Any,
        rows: Sequence[Any] | None = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
    ) -> list[dict[str, float]]:
        """For each network {"loss": ..., metric: ...} over (x, y), or its rows of them.

        Raises:
            ValueError, TypeError: unfit data.
        """
        samples = self._samples(x, y, sample_weight)
        own = check_rows(rows, "rows", samples.count, len(self))
        size = self._at_once(batch_size)
        bank, threads = Bank(self.trainers, training=False), workers(self.trainers)
        with one_thread(threads > 1), ThreadPoolExecutor(threads) as pool:
            return Evaluation(bank, samples, own, size, pool, threads).run()

    def predict(
        self, x: Any, rows: Sequence[Any] | None = None, batch_size: int | None = None
    ) -> Any:
        """The outputs of each network for x (samples, *sample): (k, samples, n).

        Probabilities where the loss is a cross-entropy, the outputs themselves
        elsewhere. With `rows`, the numbers of the samples that each network is to
        predict, a list of k arrays (rows, n).

        Raises:
            ValueError, TypeError: unfit data.
        """
        first = self.trainers[0]
        backend = first.backend
        x = checks.check_x(x, first.model.sample_shape, backend)
        checks.check_finite(x, "x", backend)
        checks.check_fits(x, "x", first.dtype)
        self._build(x.shape[1:])
        own = check_rows(rows, "rows", len(x), len(self))
        if not isinstance(x, np.memmap) or not backend.is_host:
            with backend.active():
                x = backend.asarray(x, first.dtype)
        size = self._at_once(batch_size)
        bank = Bank(self.trainers, training=False)
        found = stacked_evaluation.predict(bank, x, own, size)
        return np.stack(found) if rows is None else found

    def _at_once(self, batch_size: int | None) -> int:
        if batch_size is None:
            return max(1, AT_ONCE // len(self))
        return check_whole("", "batch_size", batch_size, 1)


@contextmanager
def _bar(
    progress: Callable[[int], object] | None, verbose: bool | None, total: int
) -> Iterator[Callable[[int], object]]:
    """What is told of each network and epoch: the caller's function, or a bar."""
    if progress is not None:
        yield progress
        return
    if not (sys.stderr.isatty() if verbose is None else verbose):
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="epoch", leave=False) as bar:
        yield bar.update
