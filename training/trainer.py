"""The Trainer: a model, a loss, an update rule and a device."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import numpy as np

from xpnet.backend import Array, Backend, Shape, get_backend
from xpnet.backend.blas import one_thread
from xpnet.common import (
    check_flag,
    check_optional_flag,
    check_path,
    check_whole,
    explains_arguments,
)
from xpnet.compiler.buffers import FREED
from xpnet.compiler.drivers import driver_of
from xpnet.execution.step import EvaluationStep, Kind, TrainingStep
from xpnet.execution.update import Rule
from xpnet.layers import Buffers, Dense, Loss, Sequential, get_loss
from xpnet.layers.parameters import Named, check_names
from xpnet.optim import Optimizer, WeightAverage, get_optimizer
from xpnet.training import evaluate, inputs
from xpnet.training.batch_inputs import Staging
from xpnet.training.callbacks import (
    Callback,
    check_callbacks,
    check_monitors,
    checkpoint_of,
)
from xpnet.training.cuda_graphs import STEPS_PER_GRAPH
from xpnet.training.data import Samples
from xpnet.training.device_memory import DeviceMemoryError, batch_too_large, no_room
from xpnet.training.divergence import (
    DivergenceError,
    check_sound,
    divergence,
)
from xpnet.training.history import History
from xpnet.training.inputs import DEFAULT_BATCH
from xpnet.training.learning_rate import Rates
from xpnet.training.loop import Loop
from xpnet.training.metrics import check_metrics, get_metrics
from xpnet.training.progress import Progress
from xpnet.training.recent import Recent
from xpnet.training.rollback import Safety

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", TrainingStep, EvaluationStep)
Guess = tuple[Kind, bool, bool]  # with targets; with averages for weights
DTYPES = ("float32", "float64")
UNGUARDED = nullcontext()
PREDICT_ROWS = 1024  # samples a batch, where the caller names no batch size


def _alone(
    method: Callable[Concatenate["Trainer", P], T],
) -> Callable[Concatenate["Trainer", P], T]:
    """The method; meanwhile no other thread may change the model."""

    @wraps(method)
    def run(trainer: "Trainer", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with trainer.model.access.training():
            return method(trainer, *args, **kwargs)

    return run


@explains_arguments
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
        metrics: names (accuracy, binary_accuracy, top_3, top_5, mean_absolute_error,
            r2), functions (prediction, target, weights) -> number, or a `Metric`, which
            also says whether a higher number is better; None for what fits the loss.
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
        self.eager = check_flag("", "eager", eager)
        self.jit = check_optional_flag("", "jit", jit)
        backend = get_backend(device, _work(model), self.dtype.name)
        if precision is not None:
            backend = backend.with_precision(precision)
        if backend.precision != "float32" and (self.eager or self.dtype != np.float32):
            what = "eager=True" if self.eager else f"dtype={self.dtype.name!r}"
            raise ValueError(
                f"precision: {backend.precision!r} is for recorded products of "
                f"float32, not for {what}; leave one of them out"
            )
        self.backend = backend
        self.steps_per_graph = check_whole("", "steps_per_graph", steps_per_graph, 0)
        self.seed = check_whole("", "seed", seed, 0)
        self.metrics = get_metrics(metrics, self.loss_function.targets)
        self.average, self._inside_averages = inputs.check_average(average), False
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
        self._steps: Recent[Kind, TrainingStep] = Recent()
        self._staging = Staging(self)
        self._evaluations: Recent[Guess, EvaluationStep] = Recent()
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
        if hasattr(self, "rule") and features == self.model.sample_shape:
            self.check_owner()
            return
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
        access = model.access  # arrays of another trainer may be in use
        with access.writing if model.buffers is None else access.changing:
            if not hasattr(self, "rule"):
                self._placed(what, hint, self._allocate)

    def _allocate(self) -> None:
        self.model.allocate(self.backend, self.dtype, (self.seed,))
        driver = driver_of(self.backend)
        if driver is not None:
            with self.backend.active():
                driver.prepare()
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
        if self.average is not None:
            self._buffers.followers.append(self.rule.averaged_views())
        for programs in (self._steps, self._evaluations, self._staging):
            programs.clear()

    def check_outside_averages(self) -> None:
        """Raises ValueError within `averaged`, where nothing may be trained."""
        if self._inside_averages:
            raise ValueError("averaged: leave the block first, then train on")

    @property
    def takes_graphs(self) -> bool:
        """Whether its steps may become CUDA graphs."""
        return driver_of(self.backend) is not None and self.steps_per_graph > 0

    def training_step(self, kind: Kind) -> TrainingStep:
        """The step for batches of this kind: recorded when it is first asked for."""
        self.check_outside_averages()
        step = self._steps.get(kind)
        if step is None:
            samples = kind.shape[
                len(kind.shape) - len(self.model.sample_shape or ()) - 1
            ]
            inputs.check_batch(self.model, samples)
            self.model.bind_noise((self.seed,))
            step = self._recorded(kind, self._new_step)
            self._steps.put(kind, step)
            self._staging.forget(self._steps)
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

    def take_evaluation(self, guess: Guess) -> EvaluationStep:
        """A step for predictions, the caller's own until `put_evaluation`."""
        step = self._evaluations.take(guess)
        return self.evaluation_step(*guess) if step is None else step

    def put_evaluation(self, guess: Guess, step: EvaluationStep) -> None:
        """Keep a step for the next one who predicts batches of this kind."""
        self._evaluations.put(guess, step)
        if FREED.much:
            FREED.give_back()

    def evaluation_step(
        self, kind: Kind, targets: bool, averaged: bool = False
    ) -> EvaluationStep:
        """A new step for predictions, with the averages for weights if `averaged`."""
        views = self.rule.averaged_views() if averaged else None
        options = (self.eager, self.jit, views)
        return self._recorded(
            kind,
            lambda kind: EvaluationStep(
                self.model, self.loss_function, kind, targets, *options
            ),
        )

    @property
    def in_turn(self) -> AbstractContextManager[Any]:
        """Within the block predictions on a device have it for themselves."""
        return UNGUARDED if self.backend.is_host else self.model.access.recording

    @property
    def is_averaged(self) -> bool:
        """Whether predictions are those of the averages, now."""
        averages = self.average is not None and not self._inside_averages
        return averages and self.steps_done > 0

    # Training.

    @_alone
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
        epochs = check_whole("", "epochs", epochs, 1)
        hooks = check_callbacks(callbacks)
        shuffle = check_flag("", "shuffle", shuffle)
        diagnose = check_flag("", "diagnose", diagnose)
        progress = Progress(check_optional_flag("", "verbose", verbose))
        history = self._begun(hooks, validation is not None)
        samples = self._samples(x, y, sample_weight, class_weight)
        size = inputs.check_batch_size(batch_size, samples.count)
        rest = samples.count % size
        kinds = [samples.kind(n) for n in sorted({size, rest} - {0}, reverse=True)]
        with self.model.access.changing:
            with self.left_as_it_was(), self._steps.keeping(kinds):
                for kind in kinds:
                    self.training_step(kind)
            for step in self._steps:
                step.unbind()  # arrays that were read in place are let go
        held = None if validation is None else self._validation(validation)
        if held is not None:
            self._check_metrics(held, trial=True)
        data = (samples, held, size, shuffle)
        keeper, checkpoint = None, checkpoint_of(hooks)
        if checkpoint is not None or resume is not None:
            from xpnet.training.resume import keeper_of

            keeper = keeper_of(self, checkpoint, resume, hooks, epochs, data)
        self.history = history
        if keeper is not None:
            progress.note(keeper.begin(history))
            if keeper.finished:
                self.stop = history.stopped
                return history
        doctor = None
        if diagnose:
            from xpnet.diagnosis.doctor import Doctor

            doctor = Doctor(self, samples, size, epochs, progress, held)
        parts = (*data, hooks, progress, doctor, epochs, keeper)
        what = "a copy of the parameters, in case training diverges,"
        hint = "use fewer or narrower layers, or a smaller data set"
        sizes = [] if held is None else [size, held.count % size]
        guesses = [(held.kind(n), True, bool(self.average)) for n in sizes if held]
        with self._steps.keeping(kinds), self._evaluations.keeping(guesses):
            with self.model.access.changing:
                loop = self._placed(what, hint, partial(Loop, self, *parts))
            return loop.run(epochs)

    def _begun(
        self, hooks: list[Callback], validated: bool, extra: Sequence[str] = ()
    ) -> History:
        """The empty history of a training, which has the curves that hooks watch."""
        history = History.of(self.metrics, validated, extra)
        check_monitors(hooks, history)
        return history

    def _check_metrics(self, samples: Samples, trial: bool = False) -> None:
        shapes = (samples.host_y, self.model.n_outputs, samples.host_w)
        check_metrics(self.metrics, *shapes, trial)

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

    def left_as_it_was(self) -> AbstractContextManager[Any]:
        """Data that are refused within the block leave an unbuilt model unbuilt."""
        return UNGUARDED if self.model.sample_shape is not None else self._unbuilt()

    @contextmanager
    def _unbuilt(self) -> Iterator[None]:
        with self.model.access.writing:
            built = self.model.sample_shape is not None
            try:
                yield
            except (ValueError, TypeError, MemoryError):
                if not built:
                    self.model.unbuild()
                    vars(self).pop("rule", None)
                raise

    def _validation(self, validation: tuple[Any, ...]) -> Samples:
        inputs.check_validation(validation)
        with inputs.naming("validation"):
            return self._samples(*validation)

    def step(self, x: Any, y: Any, sample_weight: Any = None) -> None:
        """One update on one batch; the loss is there to read as `trainer.loss`.

        Args:
            x, y, sample_weight: as for `fit`.

        Raises:
            ValueError, TypeError: unfit data.
            DivergenceError: a gradient became NaN or infinite; everything is as before
                the step. A GPU is not asked for it: read `loss` from time to time.
        """
        alone = self.model.access.changing
        with alone, np.errstate(all="ignore"), self.backend.active():
            step = self._staging.stage(x, y, sample_weight)
            self.set_scalars()
            if self._safety is not None and self._safety.pairs:
                self._safety.keep()
            fine = step.run_whole()
            self.took(step)
            if not fine:
                self._fail(step)
            self.steps_done += 1
        if FREED.much:  # the step before this one, of another batch length
            FREED.give_back()

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
            alone = self.model.access.writing
            with alone, np.errstate(all="ignore"), self.backend.active():
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

    @explains_arguments
    def evaluate(
        self, x: Any, y: Any, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """{"loss": ..., metric: ...} over (x, y), as weighted means.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        samples = self._samples(x, y, sample_weight)
        self._check_metrics(samples)
        check_sound(self, "evaluate")
        rows = self._rows(batch_size, samples.count)
        scores = evaluate.evaluate(self, samples, self.metrics, rows)
        if not np.isfinite(scores["loss"]):
            check_sound(self, "evaluate", again=True)
        return scores

    @explains_arguments
    def predict(self, x: Any, batch_size: int | None = None) -> np.ndarray[Any, Any]:
        """The outputs for x (samples, *sample), as a NumPy array (samples, n).

        Probabilities where the loss is a cross-entropy, the outputs themselves
        elsewhere.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        with self.left_as_it_was():
            x = inputs.check_x(x, self.model.sample_shape, self.backend)
            self.build(x.shape[1:])
            inputs.check_finite(x, "x", self.backend)
            inputs.check_fits(x, "x", self.dtype)
        check_sound(self, "predict")
        return evaluate.predict(self, x, self._rows(batch_size, len(x)))

    @explains_arguments
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
        programs = [step.program for step in self._steps]
        shared = any(one is not None and one.crew.threads > 1 for one in programs)
        # Where training diverges this comes before the error. The sum is that of the
        # epochs in C, with as many threads of BLAS.
        blas = one_thread(shared)
        with np.errstate(over="ignore"), self.backend.active(), blas:
            square = w.dot(w) if self.backend.is_host else w[None] @ w[:, None]
            return float(self.backend.to_numpy(square).reshape(()))

    def parameters(self) -> dict[str, Array]:
        """{"0.W": (n_in, n_out), "0.b": (n_out,), ...}: views, on the device.

        To assign to one, `trainer.parameters()["0.W"] = values`, writes into it; see
        `set_parameters`.
        """
        return self._named("")

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Give parameters (and running statistics) these values: all, or none.

        Averages of the weights, if there are any, take the values too; the update
        rule's own arrays (momentum) stay.

        Args:
            values: {"0.W": (n_in, n_out), "0.b": (n_out,), ...}, of any of them.

        Raises:
            ValueError, TypeError: an unknown name, another shape, numbers that are not
                finite, a model without weights.
            RuntimeError: another thread trains the model.
        """
        self.model.set_parameters(values)

    def gradients(self) -> dict[str, Array]:
        """∂J/∂ of each parameter in the last step, under the same names."""
        return self._named("d")

    def _named(self, prefix: str) -> dict[str, Array]:
        what = "gradients" if prefix else "parameters"
        buffers = self._built(what)
        rows = {}
        places = {
            s.key: (s.layer, prefix + s.parameter.name) for s in buffers.layout.trained
        }

        def put(values: Mapping[str, Any]) -> None:
            check_names(values, places, what)
            found = {places[name]: value for name, value in values.items()}
            buffers.assign(found, self.model.access)

        for slot in sorted(buffers.layout.trained, key=lambda s: s.layer):
            view = buffers.views[slot.layer, prefix + slot.parameter.name]
            row = slot.parameter.shape[0] == 1 and not slot.parameter.penalized
            rows[slot.key] = view[..., 0, :] if row else view
        return Named(rows, put)

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
        train within the block is a ValueError, and another thread may not save.
        """
        if not self.is_averaged:
            yield
            return
        access = self.model.access
        with access.training(apart=True):
            with access.changing:
                kept = self.snapshot()
                self.restore((*kept[2:], *kept[2:]))
                self._inside_averages = True
            try:
                yield
            finally:
                with access.changing:
                    self._inside_averages = False
                    self.restore(kept)

    def snapshot(self, into: tuple[Array, ...] | None = None) -> tuple[Array, ...]:
        """Copies of the parameters, running statistics and averages, on the device."""
        arrays = self._learnt("snapshot")
        with self.model.access.reading, self.backend.active():
            if into is None:
                return tuple(array.copy() for array in arrays)
            for copy, array in zip(into, arrays, strict=True):
                copy[...] = array
        return into

    def restore(self, snapshot: tuple[Array, ...]) -> None:
        """Put a snapshot's values back."""
        self.sound = None
        with self.model.access.changing, self.backend.active():
            for array, copy in zip(self._learnt("restore"), snapshot, strict=True):
                array[...] = copy

    def _learnt(self, what: str) -> tuple[Array, ...]:
        buffers = self._built(what)
        return buffers.params, buffers.state, *self.rule.averages

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

        path = check_path(directory, "save: directory")
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

        return load(check_path(directory, "load: directory"), device)

    # Pickle and copies: as `save`, with parts of your own as Python objects.

    def __getstate__(self) -> dict[str, Any]:
        from xpnet.training.checkpoint import state_of

        return state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from xpnet.training.checkpoint import make_from

        make_from(self, state)

    def __copy__(self) -> "Trainer":
        return copy.deepcopy(self)  # two trainers cannot share the arrays of a rule


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
    return np.dtype(found.name)  # in the machine's byte order


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
