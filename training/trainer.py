"""The Trainer: a model, a loss, an update rule and a device."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xpnet.backend import Backend
from xpnet.common import check_directory, check_path, explains_arguments
from xpnet.compiler import tuning
from xpnet.compiler.buffers import FREED
from xpnet.layers import Loss, Sequential
from xpnet.optim import Optimizer, WeightAverage
from xpnet.training.batch_inputs import BatchInputs
from xpnet.training.callbacks import Callback
from xpnet.training.fit import fit
from xpnet.training.history import History
from xpnet.training.inputs import DEFAULT_BATCH
from xpnet.training.predictor import Predictor


@explains_arguments
class Trainer(Predictor):
    """Trains `model`: θ ← rule(θ, ∂J/∂θ), J the weighted mean loss of a batch.

    Args:
        model: a `Sequential`. It keeps its weights: a second Trainer goes on with them.
            One that moves it to another device or dtype puts the first out of use.
        loss: a name (mean_squared_error, mean_absolute_error, huber,
            binary_cross_entropy, softmax_cross_entropy) or a `Loss`. The
            cross-entropies take logits: no activation after the last layer.
        optimizer: a name (sgd, adam, ..., see `optim.OPTIMIZERS`) or an `Optimizer`.
        device: "cpu", "cuda", "cuda:1", "auto" (a GPU if one works), or a `Backend`.
        dtype: "float32" or "float64".
        seed: of the initial weights, the order of the samples, masks and noise. With
            the same seed they are the same on every device.
        metrics: names (accuracy, binary_accuracy, top_3, top_5, mean_absolute_error,
            r2), functions (prediction, target, weights) -> number, or a `Metric`, which
            also says whether a higher number is better; None for what fits the loss.
        eager: run the layers' Python every step instead of recording it once, to step
            through it with a debugger. The numbers are the same, but for the rounding
            of products that threads share.
        jit: compile a step to machine code, where there is a C compiler (the extra
            `jit` brings one): None when a program has run long enough to repay it,
            True at once, False never. The numbers are the same.
        precision: of products on a GPU: "float32", "tf32" or "bfloat16"; None takes
            the backend's, "float32". Arrays, sums and updates stay float32; operands
            may be rounded to 10 or 7 bits of mantissa, which tensor cores multiply
            faster.
        steps_per_graph: how many steps of `fit` one CUDA graph holds (`step` has one
            of its own); 0 does without graphs. The numbers are the same. Without a
            meaning on the CPU.
        average: a `WeightAverage`: `fit`'s validation, `evaluate` and `predict` then
            use the averaged weights, training and `parameters` the weights themselves
            (see `averaged`). None for no averages.

    Attributes:
        history: the `History` of the last `fit`.
        steps_done, epochs_done: updates and epochs so far.
        stop: set by a callback to the reason why training should end.
        notes: plain values of your own (class names, scaling) that `save` keeps.
        by_count: see `Samples`.

    Raises:
        ValueError, TypeError: a misspelt or unfit argument, with the nearest valid one.
        DeviceError: a CUDA device that cannot be used.
    """

    def __init__(
        self,
        model: Sequential,
        loss: str | Loss,
        optimizer: str | Optimizer = "adam",
        device: str | Backend = "auto",
        dtype: Any = "float32",
        seed: int = 0,
        metrics: Any = None,
        eager: bool = False,
        jit: bool | None = None,
        precision: str | None = None,
        steps_per_graph: int = tuning.STEPS_PER_GRAPH,
        average: WeightAverage | None = None,
    ):
        super().__init__(
            model,
            loss,
            optimizer,
            device,
            dtype,
            seed,
            metrics,
            eager,
            jit,
            precision,
            steps_per_graph,
            average,
        )
        self._batch_inputs = BatchInputs(self)

    def __repr__(self) -> str:
        return (
            f"Trainer({self.model!r}, {self.loss_function!r}, {self.optimizer!r}, "
            f"device={self.backend.device!r}, dtype={self.dtype.name!r}, "
            f"seed={self.seed})"
        )

    # Training.

    @explains_arguments
    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 10,
        batch_size: int | None = DEFAULT_BATCH,
        validation: tuple[Any, ...] | None = None,
        callbacks: Sequence[Callback] | Callback = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        shuffle: bool = True,
        verbose: bool | None = None,
        diagnose: bool = False,
        resume: str | Path | None = None,
    ) -> History:
        """Train for `epochs` passes over the samples.

        Args:
            x: (samples, *sample): NumPy, a list, an array on the model's device, or a
                `np.memmap`, which is read batch by batch.
            y: labels (samples,), or targets (samples, n) (see `Loss.targets`).
            epochs: passes over the data.
            batch_size: samples an update (32, or all if there are fewer): 1 is
                stochastic, None (all) full-batch gradient descent, anything between
                mini-batch. A larger number than there are samples takes all, with a
                warning. The short last batch is a batch of its own: its loss is the
                mean over its own samples.
            validation: (x, y) or (x, y, sample_weight), evaluated after each epoch.
            callbacks: such as `EarlyStopping`; called in this order.
            sample_weight: (samples,), wᵢ ≥ 0.
            class_weight: {label: weight} or "balanced"; multiplies sample_weight.
            shuffle: a new order each epoch, drawn from (seed, epoch).
            verbose: a table row an epoch; None prints on a terminal only.
            diagnose: look at each layer a few times an epoch; what is found, in words,
                is `history.diagnosis` (a `Diagnosis`). The training is the same.
            resume: a folder with what a `Checkpoint` of the same training has kept (see
                there): it goes on from there, or, where it had finished, is as it was
                at the end. A folder that is empty or not there starts it. The doctor
                looks at what is left of it.

        Returns:
            The `History`, also found as `trainer.history`. After Ctrl-C, which ends
            training when the step is done, `history.stopped` says so; another `fit`
            without `resume` begins with a new epoch.

        Raises:
            ValueError, TypeError: unfit data or arguments.
            MemoryError: the device's memory does not hold the data or a batch; weights
                are as before, and the message names a batch size that fits.
            DivergenceError: a loss or gradient became NaN or infinite; weights, the
                rule's arrays and the history are as before that step (on a GPU, which
                is asked once an epoch: as before that epoch). Or the last update left
                weights that are not finite: they stay, and `predict` refuses them.
        """
        with self.model.access.training():
            return fit(
                self,
                x,
                y,
                epochs,
                batch_size,
                validation,
                callbacks,
                sample_weight,
                class_weight,
                shuffle,
                verbose,
                diagnose,
                resume,
            )

    def step(self, x: Any, y: Any, sample_weight: Any = None) -> None:
        """One update on one batch; the loss is there to read as `trainer.loss`.

        Args:
            x, y, sample_weight: as for `fit`.

        Raises:
            ValueError, TypeError: unfit data.
            DivergenceError: a gradient became NaN or infinite; everything is as before
                the step. A GPU is not asked for it: read `loss` from time to time.
        """
        with self.model.access.changing, self.backend.active():
            step = self._batch_inputs.stage(x, y, sample_weight)
            self.set_scalars()
            if self._rollback is not None and self._rollback.pairs:
                self._rollback.keep()
            fine = step.run_whole()
            self.set_last_step(step)
            if not fine:
                self._fail(step)
            self.steps_done += 1
        if FREED.much:  # the step before this one, of another batch length
            FREED.give_back()

    # Files.

    def save(self, directory: str | Path) -> Path:
        """Write the model, its weights and the optimiser's state into `directory`.

        A model or ensemble that was saved there is replaced in one step: killed or
        failed, this leaves the older one. Writers of one folder take turns. See `load`;
        returns the directory.

        Raises:
            ValueError: a layer, activation, loss or schedule of your own, which a file
                cannot hold; weights that are not finite; a folder that holds other
                things and no model.
            OSError: it cannot be written.
        """
        from xpnet.training.checkpoint import save

        path = check_directory(directory, "save: directory")
        with self.model.access.reading:
            self.model.access.check_whole()
            return save(self, path)

    @staticmethod
    def load(directory: str | Path, device: str | Backend = "auto") -> "Trainer":
        """The trainer that `save` wrote, ready to predict or to go on training.

        Metrics of your own are not in the file: such a trainer has the default ones.
        `precision` comes back on a GPU.

        Raises:
            FileNotFoundError: there is no saved model.
            ValueError: a damaged one, with the file and the entry; an ensemble.
        """
        from xpnet.training.checkpoint import load

        return load(Trainer, check_path(directory, "load: directory"), device)

    # Pickle and copies: as `save`, with parts of your own as Python objects.

    def __getstate__(self) -> dict[str, Any]:
        from xpnet.training.copies import state_of

        return state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from xpnet.training.copies import make_from

        make_from(self, state)

    def __copy__(self) -> "Trainer":
        return copy.deepcopy(self)  # two trainers cannot share the arrays of a rule
