"""What the two estimators share: from X and y to a trained network and back."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from xpnet.common.arrays import refuse_masked
from xpnet.common.console import warn
from xpnet.estimators import recipe
from xpnet.estimators.architecture import draw
from xpnet.estimators.convergence import Convergence, Curves, Flatness
from xpnet.estimators.losses import HalfSquaredError
from xpnet.estimators.network import Network
from xpnet.estimators.pool import POOL
from xpnet.estimators.ridge import Ridge, Shares, even
from xpnet.layers import BatchNorm, Dense, Loss
from xpnet.optim import LBFGS
from xpnet.training.callbacks import Callback, check_callbacks
from xpnet.training.divergence import DivergenceError
from xpnet.training.inputs import check_batch_size
from xpnet.training.minimize import minimize
from xpnet.training.trainer import Trainer

Values = np.ndarray[Any, Any]
AUTO = 200  # samples a batch, at most, where batch_size is "auto"


@dataclass
class Data:
    """Checked samples: x (n, features), targets as the loss takes them, weights.

    `rows` are their numbers in the data that they were taken from.
    """

    x: Values
    y: Values
    w: Values | None
    rows: Values | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Values) -> "Data":
        w = None if self.w is None else self.w[rows]
        return Data(self.x[rows], self.y[rows], w, rows)

    @property
    def parts(self) -> tuple[Values, ...]:
        """(x, y) or (x, y, w), as `Trainer.fit` takes a validation set."""
        return (self.x, self.y) if self.w is None else (self.x, self.y, self.w)


@dataclass
class Plan:
    """One training, ready to run."""

    train: Data
    held: Data | None
    batch_size: int
    epochs: int
    convergence: Convergence
    callbacks: list[Callback]


@cache
def _parameter_names(kind: Hashable) -> tuple[str, ...]:
    names: Any = BaseEstimator._get_param_names
    return tuple(names.__func__(kind))


class MLP(BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron whose training is a `Trainer`'s."""

    _network: Network
    _curves: Curves

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """As scikit-learn finds them, which reads the signature each time."""
        kind: Any = cls
        return list(_parameter_names(kind))

    # What a subclass says.

    def _targets(
        self, X: Any, y: Any, w: Any, fresh: bool, incremental: bool
    ) -> tuple[Values, Values, Any]:
        """(X, targets for the loss, sample weights) of what `fit` was given."""
        raise NotImplementedError

    def _task(self) -> tuple[Loss, int, Any]:
        """(loss, outputs, metric of the held-out samples)."""
        raise NotImplementedError

    # Fitting.

    def _fit(
        self, X: Any, y: Any, w: Any, validation: Any = None, incremental: bool = False
    ) -> "MLP":
        fresh = not hasattr(self, "_network") or not (self.warm_start or incremental)
        data = self._data(X, y, w, fresh, incremental)
        held = None if validation is None else self._held(*validation)
        pool = None if incremental or held is not None else POOL.get()
        try:
            if pool is not None and pool.hands_over(self, data):
                return self
            plan = self._prepare(data, held, fresh, incremental)
            if recipe.is_newton(self.solver):
                self._fit_newton(plan)
            else:
                self._run(plan)
                self._conclude(plan, incremental)
        except DivergenceError as error:
            raise ValueError(
                f"Solver produced non-finite parameter weights: {error}"
            ) from error
        return self

    def _prepare(
        self,
        data: Data,
        held: Data | None,
        fresh: bool = True,
        incremental: bool = False,
    ) -> Plan:
        """See to a network, and say how it is to be trained."""
        settings = self.get_params(deep=False)
        recipe.check(settings)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        rng = check_random_state(self.random_state)
        self._connect(data, settings, fresh, incremental, rng)
        return self._plan(data, held, settings, incremental, rng)

    def _data(self, X: Any, y: Any, w: Any, fresh: bool, incremental: bool) -> Data:
        X, t, w = self._targets(X, y, w, fresh, incremental)
        return Data(dense(X), t, w)

    def _held(self, X: Any, y: Any, w: Any = None) -> Data:
        """Samples of the caller's own to score every epoch on."""
        X, t, w = self._targets(X, y, w, False, True)
        return Data(dense(X), t, w)

    def _checked(
        self, X: Any, y: Any, w: Any, reset: bool, numeric: bool
    ) -> tuple[Values, Values, Any]:
        """What scikit-learn checks of every estimator's input, and masks."""
        for values, name in ((X, "X"), (y, "y"), (w, "sample_weight")):
            refuse_masked(values, name)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=numeric,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if w is not None:
            w = _check_sample_weight(w, X, ensure_non_negative=True)
        return X, y, w

    def _connect(
        self, data: Data, settings: Any, fresh: bool, incremental: bool, rng: Any
    ) -> None:
        """See to a network that this fit can go on with."""
        if incremental and not fresh:
            return
        loss, outputs, metric = self._task()
        # The weights are drawn as scikit-learn draws them.
        state = rng.get_state(legacy=False)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        rng.set_state(state)
        dtype = np.dtype(self.dtype or data.x.dtype).name
        maker = partial(recipe.trainer, settings, outputs, loss, [metric], dtype, seed)
        trainer = maker()
        trainer.build(data.x.shape[1])
        if not fresh:
            _take_over(trainer, self._network.trainer)
        else:
            draw(trainer, self.activation, rng)
            self._curves = Curves()
        self._network = Network(trainer, maker)

    def _plan(
        self, data: Data, held: Data | None, settings: Any, incremental: bool, rng: Any
    ) -> Plan:
        trainer = self._network.trainer
        train = replace(data, rows=np.arange(len(data)))
        early = self.early_stopping and not recipe.is_newton(self.solver)
        if early and held is None:
            rows, kept = self._split(data, rng)
            train, held = data[rows], data[kept]
        n = len(train)
        norms = (layer.min_batch for layer in trainer.model.layers)
        if n < max(norms, default=1):
            raise ValueError("batch_norm: expected at least 2 samples, got n_samples=1")
        size = n if recipe.is_newton(self.solver) else self._batch_size(n)
        monitor = f"val_{next(iter(trainer.metrics))}" if early else ""
        half = isinstance(trainer.loss_function, HalfSquaredError)
        outputs = trainer.model.n_outputs if half else 1
        convergence = Convergence(self._curves, settings, n, monitor, outputs)
        if isinstance(trainer.optimizer, Ridge):
            trainer.optimizer.outputs = float(outputs)
            steps, epochs = trainer.steps_done, trainer.epochs_done
            seed = trainer.seed if self.shuffle else None
            trainer.optimizer.shares = (
                even(n, size, steps)
                if train.w is None
                else Shares(n, size, steps, epochs, seed, train.w)
            )
        epochs = 1 if incremental else int(self.max_iter)
        callbacks = [convergence, *check_callbacks(self.callbacks)]
        return Plan(train, held, size, epochs, convergence, callbacks)

    def _split(self, data: Data, rng: Any) -> tuple[Values, Values]:
        """Row numbers to train on and to hold out."""
        rows, kept = train_test_split(
            np.arange(len(data)),
            test_size=self.validation_fraction,
            random_state=rng,
            stratify=self._strata(data),
        )
        if len(kept) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or "
                "the size of your dataset."
            )
        return rows, kept

    def _strata(self, data: Data) -> Values | None:
        """What the held-out samples are a fair share of."""
        return None

    def _batch_size(self, n: int) -> int:
        if isinstance(self.batch_size, str) and self.batch_size == "auto":
            size, model = min(AUTO, n), self._network.trainer.model
            normed = any(isinstance(layer, BatchNorm) for layer in model.layers)
            while normed and size > 2 and n % size == 1:
                size -= 1  # a batch of one has no variance
            return size
        return check_batch_size(self.batch_size, n)

    def _run(self, plan: Plan) -> None:
        held = None if plan.held is None else plan.held.parts
        try:
            self._network.trainer.fit(
                plan.train.x,
                plan.train.y,
                plan.epochs,
                plan.batch_size,
                validation=held,
                callbacks=plan.callbacks,
                sample_weight=plan.train.w,
                shuffle=bool(self.shuffle),
                verbose=bool(self.verbose),
            )
        except DivergenceError as error:
            self._diverged(plan, error)

    def _diverged(self, plan: Plan, error: ArithmeticError) -> None:
        """Raise the error, unless early stopping has weights to keep."""
        if not plan.convergence.monitor:
            raise error
        warn(
            f"{error}; the weights of the best validation score are kept",
            ConvergenceWarning,
            stacklevel=5,
        )

    def _conclude(self, plan: Plan, incremental: bool = False) -> None:
        """Set the attributes of a fitted estimator; warn where it has not converged."""
        curves, early = self._curves, bool(plan.convergence.monitor)
        self._describe()
        self.n_iter_ = plan.convergence.epochs
        self.t_ = curves.samples
        self.loss_curve_ = curves.losses
        self.loss_ = curves.losses[-1] if curves.losses else np.nan
        self.best_loss_ = None if early else curves.best_loss
        self.validation_scores_ = curves.scores if early else None
        self.best_validation_score_ = curves.best_score if early else None
        self._warn(not incremental and self.n_iter_ >= plan.epochs)

    def _fit_newton(self, plan: Plan) -> None:
        data, held, solver = plan.train, plan.held, self.solver
        method = LBFGS(tolerance=self.tol) if isinstance(solver, str) else solver
        flat = Flatness(self.max_fun)
        total = float(len(data) if data.w is None else data.w.sum())
        trainer = self._network.trainer
        history = minimize(
            trainer,
            data.x,
            data.y,
            method,
            int(self.max_iter),
            l2=self.alpha / total,
            validation=None if held is None else held.parts,
            callbacks=[flat, *check_callbacks(self.callbacks)],
            sample_weight=data.w,
            verbose=bool(self.verbose),
        )
        self._describe()
        self.n_iter_ = max(len(history), 1)
        if history.rows:
            self.loss_ = flat.value
        self.t_ = 0  # as in scikit-learn, where no batches are drawn
        self._warn(len(history) >= self.max_iter, flat.exhausted)

    def _warn(self, last: bool, exhausted: bool = False) -> None:
        """Say that training ended before it had converged."""
        stopped = self.history_.stopped
        if stopped.startswith("interrupted"):
            warn("Training interrupted by user.", stacklevel=5)
        elif exhausted or (last and not stopped):
            limit = (
                f"max_fun={self.max_fun}" if exhausted else f"max_iter={self.max_iter}"
            )
            warn(
                f"{limit} reached and the optimization hasn't converged yet; allow "
                "more, or scale the inputs",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _describe(self) -> None:
        """The attributes that tell what the network is."""
        trainer = self._network.trainer
        dense = [layer for layer in trainer.model.layers if isinstance(layer, Dense)]
        host = trainer.backend.to_numpy
        self.coefs_ = [host(layer.W).copy() for layer in dense]
        self.intercepts_ = [host(layer.b).reshape(-1).copy() for layer in dense]
        self.n_layers_ = len(dense) + 1
        self.n_outputs_ = trainer.model.n_outputs
        self.history_ = trainer.history

    # Using what was learnt.

    def _outputs(self, X: Any) -> Values:
        """The network's predictions for X, (samples, outputs)."""
        check_is_fitted(self)
        refuse_masked(X, "X")
        X = validate_data(
            self,
            X,
            accept_sparse=["csr", "csc"],
            dtype=(np.float64, np.float32),
            reset=False,
        )
        return self._network.trainer.predict(dense(X))

    def _check_solver(self) -> bool:
        if recipe.is_newton(self.solver):
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense(X: Any) -> Values:
    """X as an ordinary array: the products of a recorded step are dense."""
    return X.toarray() if hasattr(X, "toarray") else np.asarray(X)


def _take_over(trainer: Trainer, old: Trainer) -> None:
    """Let `trainer` go on with the weights of `old`; raises ValueError if unfit."""
    mine, theirs = trainer.model.buffers, old.model.buffers
    assert mine is not None
    assert theirs is not None
    shapes = [(s.key, s.parameter.shape) for s in trainer.model.slots().values()]
    if shapes != [(s.key, s.parameter.shape) for s in old.model.slots().values()]:
        raise ValueError(
            "warm_start: expected the same layers as in the fit before, got "
            f"{trainer.model!r} after {old.model!r}; use warm_start=False"
        )
    with trainer.backend.active():
        for array, values in ((mine.params, theirs.params), (mine.state, theirs.state)):
            trainer.backend.upload(array, old.backend.to_numpy(values))
