"""The Trainer: a model, a loss, an update rule and a device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from xpnet.backend import Array, Backend, Shape, get_backend
from xpnet.backend.blas import one_thread
from xpnet.common import check_whole
from xpnet.layers import Buffers, Dense, Loss, Sequential, get_loss
from xpnet.optim import Optimizer, WeightAverage, get_optimizer
from xpnet.training import checks, evaluation
from xpnet.training.callbacks import Callback, check_callbacks
from xpnet.training.capture import STEPS_PER_GRAPH
from xpnet.training.dataset import Samples
from xpnet.training.divergence import (
    DivergenceError,
    check_outputs,
    check_sound,
    divergence,
)
from xpnet.training.doctor import Doctor
from xpnet.training.history import History
from xpnet.training.loop import Loop
from xpnet.training.memory import DeviceMemoryError, batch_too_large, no_room
from xpnet.training.metrics import get_metrics
from xpnet.training.progress import Progress
from xpnet.training.rates import Rates
from xpnet.training.rule import Rule
from xpnet.training.safety import Safety
from xpnet.training.staging import Staging
from xpnet.training.step import EvaluationStep, Kind, TrainingStep

T = TypeVar("T")
S = TypeVar("S", TrainingStep, EvaluationStep)
DTYPES = ("float32", "float64")
PREDICT_ROWS = 1024  # samples a batch, where the caller names no batch size


class _Default(int):
    """A default that may shrink: told from the same number given by a caller."""


DEFAULT_BATCH = _Default(32)


class Trainer:
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
        metrics: names or functions, see `metrics`; None for what fits the loss.
        eager: run the layers' Python every step instead of recording it once, to step
            through it with a debugger. The numbers are the same, but for the rounding
            of products that threads share.
        jit: compile a step to machine code, in C or, where there is no C compiler,
            its loops with Numba (extra `jit`): None when a program has run long enough
            to repay it, True at once, False never. The numbers are the same.
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
        steps_per_graph: int = STEPS_PER_GRAPH,
        average: WeightAverage | None = None,
    ):
        if not isinstance(model, Sequential):
            raise TypeError(f"model: expected a Sequential, got {model!r}")
        self.model, self.loss_function = model, get_loss(loss)
        _check_logits(model, self.loss_function)
        self.optimizer = get_optimizer(optimizer)
        self.dtype = _dtype(dtype)
        backend = get_backend(device, _work(model), self.dtype.name)
        if precision is not None:
            backend = backend.with_precision(precision)
        if backend.precision != "float32" and (eager or self.dtype != np.float32):
            what = "eager=True" if eager else f"dtype={self.dtype.name!r}"
            raise ValueError(
                f"precision: {backend.precision!r} is for recorded products of "
                f"float32, not for {what}; leave one of them out"
            )
        self.backend = backend
        self.steps_per_graph = check_whole("", "steps_per_graph", steps_per_graph, 0)
        self.seed = check_whole("", "seed", seed, 0)
        self.metrics = get_metrics(metrics, self.loss_function.targets)
        self.eager, self.jit = eager, jit
        self.average, self._inside_averages = checks.check_average(average), False
        self.history, self.stop = History(), ""
        self.steps_done = self.epochs_done = 0
        self.rates = Rates(self.optimizer.schedule, self.dtype)
        self.notes: dict[str, Any] = {}
        self.by_count = False
        self.newest: TrainingStep | None = None
        self._loss: float | None = None
        self._failed: DivergenceError | None = None
        self._safety: Safety | None = None  # of `step`
        self.sound: int | None = None  # updates when the weights were last seen finite
        self.square_then: float | None = None  # while epochs gone by are told of
        self._buffers: Buffers | None = None
        self._steps: dict[Kind, TrainingStep] = {}
        self._staging = Staging(self)
        self._evaluations: dict[tuple[Kind, bool], EvaluationStep] = {}
        if model.sample_shape is not None:
            self.build(model.sample_shape)

    def __repr__(self) -> str:
        return (
            f"Trainer({self.model!r}, {self.loss_function!r}, {self.optimizer!r}, "
            f"device={self.backend.device!r}, dtype={self.dtype.name!r}, "
            f"seed={self.seed})"
        )

    # Set-up.

    def build(self, features: int | Shape) -> None:
        """Fix the shape of a sample and place the parameters on the device.

        Raises:
            ValueError: a model that is built for another shape, or whose last layer
                does not give one row a sample.
        """
        model = self.model.build(features)
        if len(model.shapes[-1]) != 1:
            raise ValueError(
                f"the model: expected outputs of one axis, got {model.shapes[-1]}; end "
                "with Flatten() or Dense(...)"
            )
        if hasattr(self, "rule"):
            self.check_owner()
            return
        what, hint = "the model", "use fewer or narrower layers"
        self._placed(what, hint, self._allocate)

    def _allocate(self) -> None:
        self.model.allocate(self.backend, self.dtype, (self.seed,))
        if self.backend.driver is not None:
            with self.backend.active():
                self.backend.driver.prepare()
        self._make_rule()

    def check_owner(self) -> None:
        """Raises ValueError if another trainer has moved the model elsewhere."""
        buffers = self.model.buffers
        if None not in (buffers, self._buffers) and buffers is not self._buffers:
            raise ValueError(
                "this model was moved to another device or dtype by another Trainer "
                f"since this one put it on {self.backend.device} as {self.dtype}; use "
                "the newer one, or give each a Sequential of its own"
            )

    def _make_rule(self) -> None:
        """The rule's arrays start at 0; programs for other arrays are forgotten."""
        assert self.model.buffers is not None
        self._buffers = self.model.buffers
        self.rule = Rule(self.optimizer, self._buffers, (self.seed,), self.average)
        self._safety = Safety(self) if self.backend.is_host else None
        self.sound = None
        for programs in (self._steps, self._evaluations, self._staging):
            programs.clear()

    def check_outside_averages(self) -> None:
        """Raises ValueError within `averaged`, where nothing may be trained."""
        if self._inside_averages:
            raise ValueError("averaged: leave the block first, then train on")

    @property
    def takes_graphs(self) -> bool:
        """Whether its steps may become CUDA graphs."""
        return self.backend.driver is not None and self.steps_per_graph > 0

    def training_step(self, kind: Kind) -> TrainingStep:
        """The step for batches of this kind: recorded when it is first asked for."""
        self.check_outside_averages()
        step = self._steps.get(kind)
        if step is None:
            samples = kind.shape[
                len(kind.shape) - len(self.model.sample_shape or ()) - 1
            ]
            checks.check_batch(self.model, samples)
            self.model.bind_noise((self.seed,))
            step = self._steps[kind] = self._recorded(kind, self._new_step)
        return step

    def _new_step(self, kind: Kind) -> TrainingStep:
        options = (self.eager, self.jit, self.takes_graphs)
        return TrainingStep(self.model, self.loss_function, self.rule, kind, *options)

    def _recorded(self, kind: Kind, record: Callable[[Kind], S]) -> S:
        """`record(kind)`; raises MemoryError if the device has no room for it."""
        try:
            return record(kind)
        except MemoryError as error:
            if self.backend.is_host or isinstance(error, DeviceMemoryError):
                raise
            problem = str(error)
        # With the error go the arrays that were made before it.
        raise batch_too_large(self.backend, kind, problem, record)

    def evaluation_step(self, kind: Kind, targets: bool) -> EvaluationStep:
        """Likewise for predictions."""
        key = (kind, targets)
        if key not in self._evaluations:
            self._evaluations[key] = self._recorded(
                kind,
                lambda kind: EvaluationStep(
                    self.model, self.loss_function, kind, targets, self.eager, self.jit
                ),
            )
        return self._evaluations[key]

    # Training.

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
    ) -> History:
        """Train for `epochs` passes over the samples.

        Args:
            x: (samples, *sample): NumPy, a list, an array on the model's device, or a
                `np.memmap`, which is read batch by batch.
            y: labels (samples,), or targets (samples, n) (see `Loss.targets`).
            epochs: passes over the data.
            batch_size: samples an update (32, or all if there are fewer): 1 is
                stochastic, None (all) full-batch gradient descent, anything between
                mini-batch. The short last batch is a batch of its own: its loss is the
                mean over its own samples.
            validation: (x, y) or (x, y, sample_weight), evaluated after each epoch.
            callbacks: such as `EarlyStopping`; called in this order.
            sample_weight: (samples,), wᵢ ≥ 0.
            class_weight: {label: weight} or "balanced"; multiplies sample_weight.
            shuffle: a new order each epoch, drawn from (seed, epoch).
            verbose: a table row an epoch; None prints on a terminal only.
            diagnose: look at each layer a few times an epoch; what is found, in words,
                is `history.diagnosis` (a `Diagnosis`). The training is the same.

        Returns:
            The `History`, also found as `trainer.history`. After Ctrl-C, which ends
            training when the step is done, `history.stopped` says so.

        Raises:
            ValueError, TypeError: unfit data or arguments.
            MemoryError: the device's memory does not hold the data or a batch; weights
                are as before, and the message names a batch size that fits.
            DivergenceError: a loss or gradient became NaN or infinite; weights, the
                rule's arrays and the history are as before that step (on a GPU, which
                is asked once an epoch: as before that epoch). Or the last update left
                weights that are not finite: they stay, and `predict` refuses them.
        """
        epochs = check_whole("", "epochs", epochs, 1)
        hooks = check_callbacks(callbacks)
        samples = self._samples(x, y, sample_weight, class_weight)
        size = samples.count if batch_size is None else batch_size
        if size is DEFAULT_BATCH:
            size = min(int(DEFAULT_BATCH), samples.count)
        size = check_whole("", "batch_size", size, 1, samples.count)
        rest = samples.count % size
        with self.left_as_it_was():
            for n in {size, rest} - {0}:
                self.training_step(samples.kind(n))
        for step in self._steps.values():
            step.unbind()  # arrays that were read in place are let go
        held = None if validation is None else self._validation(validation)
        self.history = History()
        progress = Progress(verbose)
        doctor = None
        if diagnose:
            doctor = Doctor(self, samples, size, epochs, progress, held)
        parts = (samples, held, size, shuffle, hooks, progress, doctor, epochs)
        what = "a copy of the parameters, in case training diverges,"
        hint = "use fewer or narrower layers, or a smaller data set"
        return self._placed(what, hint, partial(Loop, self, *parts)).run(epochs)

    def _placed(self, what: str, hint: str, place: Callable[[], T]) -> T:
        """`place()`; raises MemoryError if the device has no room for `what`."""
        try:
            return place()
        except MemoryError as error:
            if self.backend.is_host or isinstance(error, DeviceMemoryError):
                raise
            problem = str(error)
        raise no_room(self.backend, what, problem, hint)

    def _samples(self, *arguments: Any) -> Samples:
        hint = "train on parts of it with trainer.step(x, y), or use float32"
        with self.backend.active(), self.left_as_it_was():
            place = partial(Samples, self, *arguments)
            return self._placed("x, y: the data set", hint, place)

    @contextmanager
    def left_as_it_was(self) -> Iterator[None]:
        """Data that are refused within the block leave an unbuilt model unbuilt."""
        built = self.model.sample_shape is not None
        try:
            yield
        except (ValueError, TypeError, MemoryError):
            if not built:
                self.model.unbuild()
                vars(self).pop("rule", None)
            raise

    def _validation(self, validation: tuple[Any, ...]) -> Samples:
        checks.check_validation(validation)
        try:
            return self._samples(*validation)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation: {error}") from None

    def step(self, x: Any, y: Any, sample_weight: Any = None) -> None:
        """One update on one batch; the loss is there to read as `trainer.loss`.

        Args:
            x, y, sample_weight: as for `fit`.

        Raises:
            ValueError, TypeError: unfit data.
            DivergenceError: a gradient became NaN or infinite; everything is as before
                the step. A GPU is not asked for it: read `loss` from time to time.
        """
        with np.errstate(all="ignore"), self.backend.active():
            step = self._staging.stage(x, y, sample_weight)
            self.set_scalars()
            if self._safety is not None and self._safety.pairs:
                self._safety.keep()
            fine = step.run_whole()
        self.took(step)
        if not fine:
            self._fail(step)
        self.steps_done += 1

    def _fail(self, step: TrainingStep) -> NoReturn:
        """Take back what `step`, which had no update, has moved; say what is wrong."""
        with np.errstate(all="ignore"):
            step.run("loss")
        assert self._safety is not None
        if self._safety.pairs:
            self._safety.put_back()
        number, loss = self.steps_done + 1, float(step.loss.sum())
        self._failed = divergence(self, step, number, loss)
        raise self._failed

    def set_scalars(self) -> None:
        """Write this step's numbers (learning rate, corrections) for the update."""
        self.rule.write(self.learning_rate, self.steps_done + 1)

    @property
    def loss(self) -> float:
        """The last step's loss: the weighted mean over its batch, before its update.

        Reading it waits for the device.

        Raises:
            ValueError: no step has been taken yet.
            DivergenceError: it is NaN or infinite.
        """
        if self.newest is None:
            raise ValueError("loss: no step has been taken yet; call step or fit first")
        if self._failed is not None:
            raise self._failed
        if self._loss is None:
            with np.errstate(all="ignore"), self.backend.active():
                self.newest.run("loss")
            self._loss = float(self.backend.to_numpy(self.newest.loss).sum())
        if not np.isfinite(self._loss):
            raise divergence(self, self.newest, self.steps_done, self._loss)
        return self._loss

    def took(self, step: TrainingStep) -> None:
        """Note that `step` has computed new gradients: its loss is not read yet."""
        self.newest, self._loss, self._failed = step, None, None

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; assigning scales the schedule."""
        return self.rates.at(self.steps_done)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.rates.set(rate, self.steps_done)

    # Using what was learnt.

    def evaluate(
        self, x: Any, y: Any, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """{"loss": ..., metric: ...} over (x, y), as weighted means.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        samples = self._samples(x, y, sample_weight)
        check_sound(self, "evaluate")
        rows = self._rows(batch_size, samples.count)
        scores = evaluation.evaluate(self, samples, self.metrics, rows)
        if not np.isfinite(scores["loss"]):
            check_sound(self, "evaluate", again=True)
        return scores

    def predict(self, x: Any, batch_size: int | None = None) -> np.ndarray[Any, Any]:
        """The outputs for x (samples, *sample), as a NumPy array (samples, n).

        Probabilities where the loss is a cross-entropy, the outputs themselves
        elsewhere.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        with self.left_as_it_was():
            x = checks.check_x(x, self.model.sample_shape, self.backend)
            self.build(x.shape[1:])
            checks.check_finite(x, "x", self.backend)
            checks.check_fits(x, "x", self.dtype)
        check_sound(self, "predict")
        found = evaluation.predict(self, x, self._rows(batch_size, len(x)))
        check_outputs(self, found, "predict")
        return found

    def predict_classes(
        self, x: Any, batch_size: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Labels (samples,) of the most probable class; yes/no as 0 and 1.

        Raises:
            ValueError: a loss that does not classify; else as `predict`.
        """
        if self.loss_function.targets == "values":
            raise ValueError(
                f"predict_classes: expected a classifying loss, got "
                f"{type(self.loss_function).__name__}; use predict"
            )
        p = self.predict(x, batch_size)
        if self.loss_function.targets == "classes":
            return np.asarray(p.argmax(axis=1))
        answers = (p >= 0.5).astype(np.int64)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def _rows(self, batch_size: int | None, count: int) -> int:
        if batch_size is None:
            return min(PREDICT_ROWS, count)
        return check_whole("", "batch_size", batch_size, 1)

    # Parameters.

    @property
    def flat_gradients(self) -> Array:
        """The flat array of all gradients, (n,), as the last step left it."""
        return self._built("flat_gradients").grads

    def penalized_weights(self) -> Array:
        """The flat array of the weights that penalties apply to: not the biases."""
        buffers = self._built("penalized_weights")
        return buffers.params[: self.model.layout.penalized]

    @property
    def weights_square(self) -> float:
        """Σ W² over these weights; for a callback, when its epoch had ended."""
        if self.square_then is not None:
            return self.square_then
        w = self.penalized_weights()
        programs = [step.program for step in self._steps.values()]
        shared = any(one is not None and one.crew.threads > 1 for one in programs)
        # Where training diverges this comes before the error. The sum is that of the
        # epochs in C, with as many threads of BLAS.
        blas = one_thread(shared)
        with np.errstate(over="ignore"), self.backend.active(), blas:
            square = w.dot(w) if self.backend.is_host else w[None] @ w[:, None]
            return float(self.backend.to_numpy(square).reshape(()))

    def parameters(self) -> dict[str, Array]:
        """{"0.W": (n_in, n_out), "0.b": (n_out,), ...}: views, on the device."""
        return self._named("")

    def gradients(self) -> dict[str, Array]:
        """∂J/∂ of each parameter in the last step, under the same names."""
        return self._named("d")

    def _named(self, prefix: str) -> dict[str, Array]:
        buffers = self._built("gradients" if prefix else "parameters")
        rows = {}
        for slot in sorted(buffers.layout.trained, key=lambda s: s.layer):
            view = buffers.views[slot.layer, prefix + slot.parameter.name]
            row = slot.parameter.shape[0] == 1 and not slot.parameter.penalized
            rows[slot.key] = view[..., 0, :] if row else view
        return rows

    def _built(self, what: str) -> Any:
        if self.model.buffers is None:
            raise ValueError(
                f"{what}: the model has no weights yet; call trainer.build(n_features) "
                "or train first"
            )
        return self.model.buffers

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the weights (and running statistics) are their averages.

        Without `average`, and before the first update, they stay what they are. To
        train within the block is a ValueError.
        """
        average, around = self.average, self._inside_averages
        if average is None or around or self.steps_done == 0:
            yield
            return
        kept = self.snapshot()
        self.restore((*kept[2:], *kept[2:]))
        self._inside_averages = True
        try:
            yield
        finally:
            self._inside_averages = around
            self.restore(kept)

    def snapshot(self, into: tuple[Array, ...] | None = None) -> tuple[Array, ...]:
        """Copies of the parameters, running statistics and averages, on the device."""
        arrays = self._learnt("snapshot")
        with self.backend.active():
            if into is None:
                return tuple(array.copy() for array in arrays)
            for copy, array in zip(into, arrays, strict=True):
                copy[...] = array
        return into

    def restore(self, snapshot: tuple[Array, ...]) -> None:
        """Put a snapshot's values back."""
        self.sound = None
        with self.backend.active():
            for array, copy in zip(self._learnt("restore"), snapshot, strict=True):
                array[...] = copy

    def _learnt(self, what: str) -> tuple[Array, ...]:
        buffers = self._built(what)
        return buffers.params, buffers.state, *self.rule.averages

    # Files.

    def save(self, directory: str | Path) -> Path:
        """Write the model, its weights and the optimiser's state into `directory`.

        See `load`; returns the directory.

        Raises:
            ValueError: a layer, activation, loss or schedule of your own, which a file
                cannot hold; weights that are NaN or infinite.
        """
        from xpnet.training.checkpoint import save

        return save(self, Path(directory))

    @staticmethod
    def load(directory: str | Path, device: str | Backend = "auto") -> "Trainer":
        """The trainer that `save` wrote, ready to predict or to go on training.

        Metrics, `eager` and `jit` are those of a new Trainer: they are no part of the
        model.

        Raises:
            FileNotFoundError: there is no saved model.
            ValueError: a damaged one, with the file and what is wrong with it.
        """
        from xpnet.training.checkpoint import load

        return load(Path(directory), device)


def _work(model: Sequential) -> tuple[int, int] | None:
    """What device="auto" is chosen for: the widest layer at the default batch size."""
    widths = [layer.units for layer in model.layers if isinstance(layer, Dense)]
    return (max(widths), DEFAULT_BATCH) if widths else None


def _dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or float64; raises ValueError for anything else."""
    try:
        found = np.dtype("object" if dtype is None else dtype)
    except TypeError:
        found = np.dtype("object")
    if found.name not in DTYPES:
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return found


def _check_logits(model: Sequential, loss: Loss) -> None:
    """The cross-entropies apply softmax or sigmoid themselves."""
    last = getattr(model.layers[-1], "activation", None)
    double = {"classes": "softmax", "binary": "sigmoid"}.get(loss.targets)
    if double and last == double:
        raise ValueError(
            f"the last layer: {type(loss).__name__} expects logits and applies "
            f"{double} itself, got activation={last!r}; leave it out, predict gives "
            "probabilities"
        )
