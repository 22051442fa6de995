"""What a training is at any moment: everything that it reads and changes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn

import numpy as np

from xpnet.backend import Backend, Shape, get_backend
from xpnet.backend.blas import one_thread
from xpnet.common import check_flag, check_optional_flag, check_whole
from xpnet.compiler.drivers import driver_of
from xpnet.execution.rollback import Rollback
from xpnet.execution.step import TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import Buffers, Dense, Loss, Sequential, get_loss
from xpnet.optim import Optimizer, WeightAverage, get_optimizer
from xpnet.training import inputs
from xpnet.training.device_memory import placed
from xpnet.training.divergence import DivergenceError, divergence
from xpnet.training.history import History
from xpnet.training.learning_rate import LearningRate
from xpnet.training.metrics import get_metrics
from xpnet.training.parameters import STATISTICS
from xpnet.training.recorded_steps import UNGUARDED, RecordedSteps

DTYPES = ("float32", "float64")


class TrainingState(RecordedSteps):
    """A model on a device, its loss and update rule, counters, and recorded steps.

    What runs a training (loop, callbacks, rollback, files) knows this class; the
    `Trainer` that users see is one, with `fit`, `step` and `predict`. Inherited rather
    than owned: each step reads these attributes, and none of that costs a call.

    Args:
        model, loss, optimizer, device, dtype, seed, metrics, eager, jit, precision,
            steps_per_graph, average: see `Trainer`.

    Attributes:
        history, stop, steps_done, epochs_done, notes, by_count: see `Trainer`.
        rates: the learning rate of each step.
        last_step: the recorded step that computed the newest gradients; None if none.
        square_then: Σ W² of an epoch that has gone by, while callbacks hear of it.
    """

    def __init__(
        self,
        model: Sequential,
        loss: str | Loss,
        optimizer: str | Optimizer,
        device: str | Backend,
        dtype: Any,
        seed: int,
        metrics: Any,
        eager: bool,
        jit: bool | None,
        precision: str | None,
        steps_per_graph: int,
        average: WeightAverage | None,
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
        self.average, self.inside_averages = inputs.check_average(average), False
        self.history, self.stop = History(), ""
        self.steps_done = self.epochs_done = 0
        self.rates = LearningRate(self.optimizer.schedule, self.dtype)
        self.notes: dict[str, Any] = {}
        self.by_count = False
        self.last_step: TrainingStep | None = None
        self._loss: float | None = None
        self._failed: DivergenceError | None = None
        self._rollback: Rollback | None = None  # of `step`
        self.sound: int | None = None
        self.square_then: float | None = None
        self._buffers: Buffers | None = None
        self._make_room_for_steps()
        if model.sample_shape is not None:
            self.build(model.sample_shape)

    # Arrays.

    def build(self, features: int | Shape) -> None:
        """Fix the shape of a sample and place the parameters on the device.

        Raises:
            ValueError: a model that is built for another shape, or whose last layer
                does not give one row a sample.
        """
        if hasattr(self, "rule") and features == self.model.sample_shape:
            if self.model.buffers is not self._buffers:
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
                placed(self.backend, what, hint, self._allocate)

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
        self.rule = UpdateState(
            self.optimizer, self._buffers, (self.seed,), self.average
        )
        self._rollback = None
        if self.backend.is_host:
            self._rollback = self.rollback()
        self.sound = None
        if self.average is not None:
            self._buffers.followers.append(self.rule.averaged_views())
        for programs in (self._steps, self._evaluations, self._accepted):
            programs.clear()

    def unbuild_on_error(self) -> AbstractContextManager[Any]:
        """Data that are refused within the block leave an unbuilt model unbuilt."""
        return UNGUARDED if self.model.sample_shape is not None else self._unbuilding()

    @contextmanager
    def _unbuilding(self) -> Iterator[None]:
        with self.model.access.writing:
            built = self.model.sample_shape is not None
            try:
                yield
            except (ValueError, TypeError, MemoryError):
                if not built:
                    self.model.unbuild()
                    vars(self).pop("rule", None)
                raise

    # Steps.

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; assigning scales the schedule."""
        return self.rates.at(self.steps_done)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.rates.set(rate, self.steps_done)

    def set_scalars(self) -> None:
        """Write this step's numbers (learning rate, corrections) for the update."""
        self.rule.write(self.learning_rate, self.steps_done + 1)

    def set_last_step(self, step: TrainingStep) -> None:
        """Note that `step` has computed new gradients: its loss is not read yet."""
        self.last_step, self._loss, self._failed = step, None, None

    def rollback(self) -> Rollback:
        """What its steps are taken back to."""
        arrays = self.arrays()
        return Rollback(self.backend, arrays.pop(STATISTICS), arrays.values())

    def diverged(
        self, rollback: Rollback, step: TrainingStep, loss: float
    ) -> DivergenceError:
        """Take back what `step`, which had no update, has moved; says what is wrong."""
        rollback.restore()
        self.set_last_step(step)
        return divergence(self, step, self.steps_done + 1, loss)

    def _fail(self, step: TrainingStep) -> NoReturn:
        with np.errstate(all="ignore"):
            step.run("loss")
        assert self._rollback is not None
        self._failed = self.diverged(self._rollback, step, float(step.loss.sum()))
        raise self._failed

    @property
    def loss(self) -> float:
        """The last step's loss: the weighted mean over its batch, before its update.

        Reading it waits for the device.

        Raises:
            ValueError: no step has been taken yet.
            DivergenceError: it is NaN or infinite.
        """
        if self.last_step is None:
            raise ValueError("loss: no step has been taken yet; call step or fit first")
        if self._failed is not None:
            raise self._failed
        if self._loss is None:
            alone = self.model.access.writing
            with alone, np.errstate(all="ignore"), self.backend.active():
                self.last_step.run("loss")
                self._loss = float(self.backend.to_numpy(self.last_step.loss).sum())
        if not np.isfinite(self._loss):
            raise divergence(self, self.last_step, self.steps_done, self._loss)
        return self._loss

    @property
    def weights_square(self) -> float:
        """Σ W² over these weights; for a callback, when its epoch had ended."""
        if self.square_then is not None:
            return self.square_then
        w = self.penalized_weights()
        programs = [step.program for step in self._steps]
        shared = any(one is not None and one.partition.threads > 1 for one in programs)
        # Where training diverges this comes before the error. The sum is that of the
        # epochs in C, with as many threads of BLAS.
        blas = one_thread(shared)
        with np.errstate(over="ignore"), self.backend.active(), blas:
            square = w.dot(w) if self.backend.is_host else w[None] @ w[:, None]
            return float(self.backend.to_numpy(square).reshape(()))


def _work(model: Sequential) -> tuple[int, int] | None:
    """What device="auto" is chosen for: the widest layer at the default batch size."""
    widths = [layer.units for layer in model.layers if isinstance(layer, Dense)]
    return (max(widths), inputs.DEFAULT_BATCH) if widths else None


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
