"""MLP, the base of both estimators: from X and y to a trained network and back."""

from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from xpnet.common.arrays import NDArray, refuse_masked
from xpnet.common.console import warn
from xpnet.estimators.architecture import draw
from xpnet.estimators.convergence import Curves, Flatness
from xpnet.estimators.data import Data, FitPlan, dense
from xpnet.estimators.network import Network
from xpnet.estimators.parameters import Parameters
from xpnet.estimators.planning import plan_fit
from xpnet.estimators.prefit import PREFIT
from xpnet.estimators.settings import check_settings, is_newton, make_trainer
from xpnet.layers import Dense, Loss
from xpnet.optim import LBFGS
from xpnet.training.callbacks import check_callbacks
from xpnet.training.divergence import DivergenceError
from xpnet.training.minimize import minimize
from xpnet.training.trainer import Trainer


class MLP(Parameters):
    """A multilayer perceptron that a `Trainer` trains."""

    _network: Network
    _curves: Curves

    # What a subclass implements.

    def _targets(
        self, X: Any, y: Any, w: Any, fresh: bool, incremental: bool
    ) -> tuple[NDArray, NDArray, Any]:
        """(X, targets for the loss, sample weights) of what `fit` was given."""
        raise NotImplementedError

    def _task(self) -> tuple[Loss, int, Any]:
        """(loss, outputs, metric of the held-out samples)."""
        raise NotImplementedError

    # Fitting.

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None
    ) -> Self:
        """Train on X (samples, features) and y.

        Args:
            X: an array, a data frame or a sparse matrix, which is made dense.
            y: labels or numbers, (samples,) or (samples, outputs); several columns of 0
                and 1 are multilabel.
            sample_weight: (samples,), wᵢ ≥ 0.
            validation: (X, y) or (X, y, sample_weight), scored after every epoch: the
                curves are in `history_`, and early_stopping uses them instead of a
                share of X.

        Raises:
            ValueError, TypeError: unfit data or parameters, a training that diverged.
        """
        self._fit(X, y, sample_weight, validation)
        return self

    def _fit(
        self, X: Any, y: Any, w: Any, validation: Any = None, incremental: bool = False
    ) -> "MLP":
        fresh = not hasattr(self, "_network") or not (self.warm_start or incremental)
        data = self._data(X, y, w, fresh, incremental)
        held = None if validation is None else self._held(*validation)
        prefits = None if incremental or held is not None else PREFIT.get()
        try:
            if prefits is not None and prefits.take_prefit(self, data):
                return self
            plan = self._prepare(data, held, fresh, incremental)
            if is_newton(self.solver):
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
    ) -> FitPlan:
        """Make or keep the network, and plan its training."""
        settings = self.get_params(deep=False)
        check_settings(settings)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        rng = check_random_state(self.random_state)
        self._connect(data, settings, fresh, incremental, rng)
        trainer, strata = self._network.trainer, self._strata
        given = data, held, strata, incremental, rng
        return plan_fit(settings, trainer, self._curves, *given)

    def _data(
        self,
        X: Any,
        y: Any,
        w: Any,
        fresh: bool = True,
        incremental: bool = False,
    ) -> Data:
        """Checked samples with the targets of the loss."""
        X, t, w = self._targets(X, y, w, fresh, incremental)
        return Data(dense(X), t, w)

    def _held(self, X: Any, y: Any, w: Any = None) -> Data:
        """The caller's validation samples."""
        return self._data(X, y, w, False, True)

    def _checked(
        self, X: Any, y: Any, w: Any, reset: bool, numeric: bool
    ) -> tuple[NDArray, NDArray, Any]:
        """scikit-learn's checks of an estimator's input; refuses masked arrays."""
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
        """Make the network of this fit, unless it continues the previous one."""
        if incremental and not fresh:
            return
        loss, outputs, metric = self._task()
        # The weights are drawn as scikit-learn draws them.
        state = rng.get_state(legacy=False)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        rng.set_state(state)
        dtype = np.dtype(self.dtype or data.x.dtype).name
        maker = partial(make_trainer, settings, outputs, loss, [metric], dtype, seed)
        trainer = maker()
        trainer.build(data.x.shape[1])
        if not fresh:
            _take_over(trainer, self._network.trainer)
        else:
            draw(trainer, self.activation, rng)
            self._curves = Curves()
        self._network = Network(trainer, maker)

    def _strata(self, data: Data) -> NDArray | None:
        """The labels by which held-out samples are stratified, or None."""
        return None

    def _run(self, plan: FitPlan) -> None:
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

    def _diverged(self, plan: FitPlan, error: ArithmeticError) -> None:
        """Raise the error, unless early stopping has weights to keep."""
        if not plan.convergence.monitor:
            raise error
        warn(
            f"{error}; the weights of the best validation score are kept",
            ConvergenceWarning,
            stacklevel=5,
        )

    def _conclude(self, plan: FitPlan, incremental: bool = False) -> None:
        """Set the attributes of a fitted estimator; warn if it has not converged."""
        curves, early = self._curves, bool(plan.convergence.monitor)
        self._describe()
        self.n_iter_ = plan.convergence.epochs
        self.t_ = curves.samples
        self.loss_curve_ = curves.losses
        self.loss_ = curves.losses[-1] if curves.losses else np.nan
        self.best_loss_ = None if early else curves.best_loss
        self.validation_scores_ = curves.scores if early else None
        self.best_validation_score_ = curves.best_score if early else None
        _warn_unconverged(self, not incremental and self.n_iter_ >= plan.epochs)

    def _fit_newton(self, plan: FitPlan) -> None:
        data, held, solver = plan.train, plan.held, self.solver
        method: Any = LBFGS(tolerance=self.tol) if isinstance(solver, str) else solver
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
        self.t_ = 0  # as in scikit-learn, which draws no batches
        _warn_unconverged(self, len(history) >= self.max_iter, flat.exhausted)

    def _describe(self) -> None:
        """Set the attributes that describe the network."""
        trainer = self._network.trainer
        dense = [layer for layer in trainer.model.layers if isinstance(layer, Dense)]
        host = trainer.backend.to_numpy
        self.coefs_ = [host(layer.W).copy() for layer in dense]
        self.intercepts_ = [host(layer.b).reshape(-1).copy() for layer in dense]
        self.n_layers_ = len(dense) + 1
        self.n_outputs_ = trainer.model.n_outputs
        self.history_ = trainer.history

    # Prediction.

    def _outputs(self, X: Any) -> NDArray:
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
        if is_newton(self.solver):
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _take_over(trainer: Trainer, old: Trainer) -> None:
    """Copy the weights of `old` to `trainer`; raises ValueError for other layers."""
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


def _warn_unconverged(model: MLP, last: bool, exhausted: bool = False) -> None:
    """Warn if the training of `model` ended before it converged.

    Args:
        last: whether it took all iterations that it may take.
        exhausted: whether it took all evaluations that it may take.
    """
    stopped = model.history_.stopped
    if stopped.startswith("interrupted"):
        warn("Training interrupted by user.", stacklevel=5)
    elif exhausted or (last and not stopped):
        limit = (
            f"max_fun={model.max_fun}" if exhausted else f"max_iter={model.max_iter}"
        )
        warn(
            f"{limit} reached and the optimization hasn't converged yet; allow more, "
            "or scale the inputs",
            ConvergenceWarning,
            stacklevel=5,
        )
