"""Stack: networks of one shape that train together as one recorded program."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from xpnet.common import (
    check_flag,
    check_optional_flag,
    check_whole,
    explains_arguments,
)
from xpnet.common.access import Training
from xpnet.stack import evaluate as stacked_evaluation
from xpnet.stack import memory as stack_memory
from xpnet.stack.checks import (
    balanced_weights,
    check_all_sound,
    check_rows,
    check_scores,
    check_trainers,
    check_weighed,
)
from xpnet.stack.compatibility import check_stackable
from xpnet.stack.evaluate import StackEvaluation, in_rows, stacked
from xpnet.stack.fit import StackFit, shared_by, workers
from xpnet.stack.group import NetworkGroup
from xpnet.stack.kept import Kept
from xpnet.stack.network import Network
from xpnet.stack.progress import progress_of
from xpnet.training import inputs
from xpnet.training.callbacks import Callback, check_callbacks, check_monitors
from xpnet.training.checkpoint_callback import refuse_checkpoints
from xpnet.training.data import Rows, Samples
from xpnet.training.divergence import check_outputs
from xpnet.training.history import History
from xpnet.training.inputs import DEFAULT_BATCH
from xpnet.training.trainer import Trainer

AT_ONCE = 8192  # samples × networks that a prediction computes in one go


@explains_arguments
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
    can be stepped, saved or put into another stack. The stack keeps what it has
    recorded, up to 32 MiB of it: another `fit`, `evaluate` or `predict` of the same
    networks, or of a `part` of them, begins at once.

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
        self.errors: dict[int, ArithmeticError] = {}
        self._kept: Kept[NetworkGroup] = Kept()
        built = [t.model.sample_shape for t in self.trainers if t.model.sample_shape]
        for trainer in self.trainers if built else ():
            trainer.build(built[0])
        check_stackable(self.trainers)

    def __getstate__(self) -> dict[str, Any]:
        return {"trainers": self.trainers, "errors": self.errors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["trainers"])  # type: ignore[misc]
        self.errors = state["errors"]

    def __len__(self) -> int:
        return len(self.trainers)

    def __getitem__(self, i: int) -> Trainer:
        return self.trainers[i]

    def __repr__(self) -> str:
        return f"Stack of {len(self)}: {self.trainers[0]!r}, ..."

    def part(self, networks: Sequence[int]) -> "Stack":
        """A stack of some of these networks, which runs the same recorded programs.

        Args:
            networks: their places in this stack, each once.

        Raises:
            ValueError: none of them, or one twice.
            IndexError: one that is not there.
        """
        found = Stack([self.trainers[i] for i in networks])
        found._kept = self._kept
        return found

    @explains_arguments
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
        hooks = check_callbacks(callbacks)
        shuffle = check_flag("", "shuffle", shuffle)
        verbose = check_optional_flag("", "verbose", verbose)
        first = self.trainers[0]
        if hooks:
            refuse_checkpoints(hooks, "Stack.fit")
            validated = validation is not None or validation_rows is not None
            check_monitors(hooks, History.of(first.metrics, validated))
        for trainer in self.trainers:
            if trainer.inside_averages:
                trainer.check_outside_averages()
        memory = stack_memory.check_memory(memory)
        balanced = isinstance(class_weight, str)
        samples = self._samples(x, y, sample_weight, None if balanced else class_weight)
        own = check_rows(rows, "rows", samples.count, len(self.trainers))
        check_weighed(samples, own, "rows")
        size = inputs.check_batch_size(batch_size, max(map(len, own)))
        held = self._held(validation, validation_rows, samples)
        if held is not None:
            check_scores(first, *held, trial=True)
        w, blocks = samples.w, [0] * len(own)
        if balanced:
            w, blocks = balanced_weights(first, samples, own, class_weight)
        networks = [
            Network(t, rows, None if held is None else held[1][i], blocks[i])
            for i, (t, rows) in enumerate(zip(self.trainers, own, strict=True))
        ]
        for network in networks if hooks else ():
            network.callbacks = check_callbacks(deepcopy(callbacks))
        run = StackFit(samples, held and held[0], size, shuffle, w, epochs, self._kept)
        fitting = stack_memory.room(first, samples, size, memory)
        bar = progress_of(progress, verbose, epochs * len(networks))
        models = [trainer.model.access for trainer in self.trainers]
        with Training(models, apart=True), bar as run.progress:
            run.all(networks, fitting)
        self.errors = {i: m.error for i, m in enumerate(networks) if m.error}
        return [trainer.history for trainer in self.trainers]

    def _samples(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> Samples:
        first = self.trainers[0]
        with first.backend.active(), first.unbuild_on_error():
            samples = Samples(first, x, y, sample_weight, class_weight)
        self._kept.settings(self.trainers, samples.x.shape[1:])
        return samples

    def _held(
        self, validation: Any, rows: Sequence[Any] | None, samples: Samples
    ) -> tuple[Samples, list[Rows]] | None:
        """What is validated on: the samples, and each network's rows of them."""
        if validation is None and rows is None:
            return None
        if validation is not None:
            inputs.check_validation(validation)
            with inputs.naming("validation"):
                samples = self._samples(*validation)
        own = check_rows(rows, "validation_rows", samples.count, len(self))
        check_weighed(samples, own, "validation_rows")
        return samples, own

    # Using what was learnt.

    @explains_arguments
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
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        samples = self._samples(x, y, sample_weight)
        own = check_rows(rows, "rows", samples.count, len(self))
        check_weighed(samples, own, "rows")
        check_scores(self.trainers[0], samples, own, trial=False)
        size = _at_once(batch_size, len(self))
        check_all_sound(self.trainers, "evaluate")
        parameters, rows = stacked(self.trainers, self._kept, leaves_out=True)
        threads, own = workers(self.trainers), in_rows(parameters, rows, own)
        with shared_by(threads) as pool:
            found = StackEvaluation(parameters, samples, own, size, pool, threads)
            scores = found.run(sorted(rows))
        self._kept.put(parameters)
        return [scores[row] for row in rows]

    @explains_arguments
    def predict(
        self, x: Any, rows: Sequence[Any] | None = None, batch_size: int | None = None
    ) -> Any:
        """The outputs of each network for x (samples, *sample): (k, samples, n).

        Probabilities where the loss is a cross-entropy, the outputs themselves
        elsewhere. With `rows`, the numbers of the samples that each network is to
        predict, a list of k arrays (rows, n).

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        first = self.trainers[0]
        backend = first.backend
        x = inputs.check_x(x, first.model.sample_shape, backend)
        inputs.check_finite(x, "x", backend)
        inputs.check_fits(x, "x", first.dtype)
        self._kept.settings(self.trainers, x.shape[1:])
        own = check_rows(rows, "rows", len(x), len(self))
        if not isinstance(x, np.memmap) or not backend.is_host:
            with backend.active():
                x = backend.asarray(x, first.dtype)
        size = _at_once(batch_size, len(self))
        check_all_sound(self.trainers, "predict")
        parameters, places = stacked(self.trainers, self._kept, leaves_out=False)
        found = stacked_evaluation.predict(
            parameters, x, in_rows(parameters, places, own), size
        )
        self._kept.put(parameters)
        found = [found[row] for row in places]
        for i, (trainer, outputs) in enumerate(zip(self.trainers, found, strict=True)):
            with np.errstate(over="ignore"):
                check_outputs(trainer, outputs, f"predict: network {i}")
        return np.stack(found) if rows is None else found


def _at_once(batch_size: int | None, networks: int) -> int:
    """Samples of each network that are computed in one go."""
    if batch_size is None:
        return max(1, AT_ONCE // networks)
    return check_whole("", "batch_size", batch_size, 1)
