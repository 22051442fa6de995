"""MLPRegressor: scikit-learn's, on xpnet's training."""

from typing import Any

from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from xpnet.common.arrays import refuse_masked
from xpnet.estimators.base import MLP, Values
from xpnet.estimators.losses import HalfPoissonDeviance, regression_loss
from xpnet.layers import Loss
from xpnet.optim import LBFGS, Optimizer
from xpnet.training import metrics


class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]
    """A multilayer perceptron that predicts numbers, in scikit-learn's terms.

        J = Σ w l / Σ w + ½ (alpha / Σ w) Σ W²  over each batch, l = ½ Σⱼ (zⱼ - tⱼ)²

    A drop-in for `sklearn.neural_network.MLPRegressor`, trained by a `Trainer`.

    As in scikit-learn are the parameters, the objective, the update rules "adam" and
    "sgd", the initial weights and held-out samples of a `random_state`, the stopping
    rule and its warnings: with shuffle=False the weights are the same. The orders of
    the samples are xpnet's own, and so is L-BFGS. coefs_ are copies: writing into them
    changes no prediction.

    Args:
        loss: "squared_error" (half of it), "poisson" (half the deviance, outputs eᶻ),
            "mean_squared_error", "mean_absolute_error", "huber", or a `Loss`.
        hidden_layer_sizes: width of each hidden layer.
        activation: a name ("logistic" is sigmoid), a function f(z), an
            `ActivationFunction`, or a list of one a hidden layer.
        solver: "adam", "sgd" or any name of `optim.OPTIMIZERS`, each at
            learning_rate_init; an `Optimizer`, which keeps its own rate and momenta;
            "lbfgs" or an `LBFGS`, which takes all samples at once and at most max_fun
            evaluations.
        alpha: L2 penalty, divided by the samples of each batch (by Σ w with weights):
            ½ (alpha / Σ w) Σ W². It is added to an `Optimizer`'s own penalties.
        batch_size: samples an update; "auto" is min(200, samples).
        learning_rate: "constant"; "invscaling": learning_rate_init / (t + 1)^power_t
            after t samples; "adaptive": divided by 5 each time the stopping rule would
            end training. For solver="sgd".
        max_iter: epochs, or iterations of L-BFGS, at most.
        shuffle: whether each epoch has an order of its own.
        random_state: of the initial weights, the orders, the held-out samples, masks.
        tol, n_iter_no_change: training ends when the objective has not fallen by tol,
            or the held-out score not risen by it, for more epochs in a row than this.
        verbose: a table row an epoch.
        warm_start: whether `fit` goes on from the weights of the fit before.
        momentum, nesterovs_momentum: of solver="sgd"; momentum in [0, 1).
        early_stopping: whether the score of held-out samples decides, and the weights
            of the best score are kept.
        validation_fraction: share of the samples that is held out for it.
        beta_1, beta_2, epsilon: of the rules that have them.
        dropout: rate after each hidden layer, or a list of one a layer.
        batch_norm: whether each hidden layer has a `BatchNorm` in front of its
            activation, or a list of one answer a layer.
        callbacks: xpnet's, such as `ReduceOnPlateau`; "val_" curves need `validation`
            or early_stopping.
        device: "cpu", "cuda", "cuda:1", "auto" (a GPU if one works).
        dtype: "float32" or "float64"; None for that of X, as in scikit-learn. float32
            moves half the bytes.

    Attributes:
        coefs_, intercepts_: W (n_in, n_out) and b (n_out,) of each layer, copies.
        loss_, best_loss_, loss_curve_: the objective, penalty included, by epoch.
        validation_scores_, best_validation_score_: R² with early_stopping, else None.
        history_: the `History`: loss, val_ curves, rates and seconds of every epoch.
        n_iter_, t_: epochs of this fit; samples seen in all.
        n_layers_, n_outputs_, out_activation_: the shape of the network.
        n_features_in_, feature_names_in_: of X.

    Raises (in `fit`):
        ValueError, TypeError: unfit data or parameters, a training that diverged.
    """

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str | Optimizer | LBFGS = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: Any = False,
        callbacks: Any = (),
        device: Any = "auto",
        dtype: Any = None,
    ):
        for name, value in locals().items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None
    ) -> "MLPRegressor":
        """Train on X (samples, features) and y.

        Args:
            X: an array, a data frame or a sparse matrix, which is made dense.
            y: numbers (samples,) or (samples, outputs).
            sample_weight: (samples,), wᵢ ≥ 0.
            validation: (X, y) or (X, y, sample_weight), scored after every epoch: the
                curves are in `history_`, and early_stopping watches them instead of
                a share of X.

        Raises:
            ValueError, TypeError: unfit data or parameters, a training that diverged.
        """
        self._fit(X, y, sample_weight, validation)
        return self

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
    ) -> tuple[Values, Values, Any]:
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

    def predict(self, X: Any) -> Values:
        """The outputs for X: (samples,), or (samples, outputs) if there are several.

        Raises:
            NotFittedError: before `fit`.
            ValueError: another number of features than in `fit`.
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
