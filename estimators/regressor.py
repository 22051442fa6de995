"""MLPRegressor: scikit-learn's, on xpnet's training."""

from dataclasses import dataclass
from typing import Any

from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from xpnet.common.arrays import NDArray, refuse_masked
from xpnet.estimators.base import MLP
from xpnet.estimators.losses import HalfPoissonDeviance, regression_loss
from xpnet.layers import Loss
from xpnet.training import metrics


@dataclass(eq=False, repr=False, match_args=False)
class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]
    """A multilayer perceptron that predicts numbers, in scikit-learn's terms.

        J = Σ w l / Σ w + ½ (alpha / Σ w) Σ W²  over each batch, l = ½ Σⱼ (zⱼ - tⱼ)²

    A drop-in for `sklearn.neural_network.MLPRegressor`, trained by a `Trainer`.

    {differences}

    Args:
        loss: "squared_error" (half of it), "poisson" (half the deviance, outputs eᶻ),
            "mean_squared_error", "mean_absolute_error", "huber", or a `Loss`.
        {parameters}

    Attributes:
        validation_scores_, best_validation_score_: R² with early_stopping, else None.
        {attributes}

    Raises (in `fit`):
        ValueError, TypeError: unfit data or parameters, a training that diverged.
    """

    loss: str | Loss = "squared_error"
    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Train for one more epoch, on these samples.

        Args:
            X, y, sample_weight: as for `fit`.

        Raises:
            ValueError, TypeError: unfit data or parameters.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def _targets(
        self, X: Any, y: Any, w: Any, fresh: bool, incremental: bool
    ) -> tuple[NDArray, NDArray, Any]:
        X, y, w = self._checked(X, y, w, fresh, True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.reshape(len(y), -1)
        if fresh:
            self._n_targets = y.shape[1]
        loss = regression_loss(self.loss)
        if isinstance(loss, HalfPoissonDeviance) and y.min() < 0:
            raise ValueError(
                f"y: expected numbers >= 0 for loss='poisson', got {y.min():g}"
            )
        return X, y, w

    def _task(self) -> tuple[Loss, int, Any]:
        loss = regression_loss(self.loss)
        exp = isinstance(loss, HalfPoissonDeviance)
        self.out_activation_ = "exp" if exp else "identity"
        return loss, self._n_targets, metrics.r2

    def predict(self, X: Any) -> NDArray:
        """The outputs for X: (samples,), or (samples, outputs) if there are several.

        Raises:
            NotFittedError: before `fit`.
            ValueError: not the number of features of `fit`.
        """
        p = self._outputs(X)
        return p.ravel() if p.shape[1] == 1 else p

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of `predict`; raises ValueError for masked arrays."""
        for values, name in ((y, "y"), (sample_weight, "sample_weight")):
            refuse_masked(values, name)
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
