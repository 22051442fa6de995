"""MLPClassifier: scikit-learn's, on xpnet's training."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)

from xpnet.common.arrays import NDArray, refuse_masked
from xpnet.estimators.base import MLP
from xpnet.estimators.data import dense
from xpnet.estimators.losses import classification_loss
from xpnet.layers import Loss
from xpnet.training import metrics
from xpnet.training.inputs import balanced
from xpnet.training.metric import Metric


def _subset_accuracy(
    p: NDArray, target: NDArray, weights: NDArray | None = None
) -> float:
    """Subset accuracy: the share of samples whose labels are all right."""
    right = ((p > 0.5) == (target > 0.5)).all(axis=1)
    return float(np.average(right, weights=weights))


accuracy = Metric(_subset_accuracy, True, "accuracy")


@dataclass(eq=False, repr=False, match_args=False)
class MLPClassifier(ClassifierMixin, MLP):  # type: ignore[misc]
    """A multilayer perceptron that classifies, in scikit-learn's terms.

        J = Σ w l / Σ w + ½ (alpha / Σ w) Σ W²  over each batch, l the log-loss

    A drop-in for `sklearn.neural_network.MLPClassifier`, trained by a `Trainer`.
    Labels may be text. A y of 0 and 1 with several columns is multilabel.

    {differences}

    Args:
        loss: "log_loss", "softmax_cross_entropy", "binary_cross_entropy" or a `Loss`,
            such as SoftmaxCrossEntropy(label_smoothing=0.1).
        class_weight: {label: weight} or "balanced", Σ w / (classes · Σ w of the class);
            multiplies sample_weight.
        {parameters}

    Attributes:
        classes_: the labels.
        validation_scores_, best_validation_score_: accuracies with early_stopping,
            else None.
        {attributes}

    Raises (in `fit`):
        ValueError, TypeError: unfit data or parameters, a training that diverged.
    """

    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    loss: str | Loss = field(default="log_loss", kw_only=True)
    class_weight: Any = field(default=None, kw_only=True)

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Train for one more epoch, on these samples.

        Args:
            X, y, sample_weight: as for `fit`.
            classes: all labels of all calls; required in the first call.

        Raises:
            ValueError: a first call without classes, or a label that is not in them.
        """
        first = _check_partial_fit_first_call(self, classes)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight: 'balanced' needs all samples at once; give partial_fit "
                "a dict, such as compute_class_weight('balanced', ...) makes"
            )
        if first:
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def _targets(
        self, X: Any, y: Any, w: Any, fresh: bool, incremental: bool
    ) -> tuple[NDArray, NDArray, Any]:
        X, y, w = self._checked(X, y, w, fresh, False)
        labels = y  # may be sparse, then `predict` returns sparse labels too
        y = dense(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._learn_classes(labels, fresh, incremental)
        if self.class_weight is not None:
            shares = self._shares(y, w)
            w = shares if w is None else w * shares
        if self._loss().targets == "classes":
            return X, np.searchsorted(self.classes_, y), w
        if y.ndim == 1 and len(self.classes_) == 2:  # faster than the binarizer
            return X, (y == self.classes_[-1])[:, None].astype(X.dtype), w
        return X, dense(self._label_binarizer.transform(y)).astype(X.dtype), w

    def _shares(self, y: NDArray, w: NDArray | None) -> NDArray:
        """The class weight of each sample; multilabel: Π over the columns."""
        if self.class_weight != "balanced":
            if y.ndim == 2:
                return np.asarray(compute_sample_weight(self.class_weight, y))
            options = {"classes": self.classes_, "y": y}
            table = compute_class_weight(self.class_weight, **options)
            return np.asarray(table[np.searchsorted(self.classes_, y)])
        if y.ndim == 1:
            y = np.searchsorted(self.classes_, y)
        columns = y.reshape(len(y), -1).T.astype(np.int64)
        width = max(2, len(self.classes_))
        shares = [balanced(column, width, w)[column] for column in columns]
        return np.asarray(np.prod(shares, axis=0))

    def _loss(self) -> Loss:
        return classification_loss(self.loss, self._label_binarizer.y_type_)

    def _learn_classes(self, y: NDArray, fresh: bool, incremental: bool) -> None:
        if not hasattr(self, "classes_") or (fresh and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return
        classes = unique_labels(y)
        if self.warm_start and not incremental:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in "
                    f"the previous call to fit. Previously got {self.classes_}, `y` "
                    f"has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. 'y' has {classes}."
            )

    def _task(self) -> tuple[Loss, int, Any]:
        kind = self._label_binarizer.y_type_
        loss = self._loss()
        softmax = loss.targets == "classes"
        self.out_activation_ = "softmax" if softmax else "logistic"
        several = len(self.classes_) if kind != "binary" or softmax else 1
        return loss, several, metrics.accuracy if softmax else accuracy

    def _strata(self, data: Any) -> NDArray | None:
        single = self._label_binarizer.y_type_ == "binary"
        return data.y if single else None

    def predict(self, X: Any) -> NDArray:
        """The most probable label of each sample.

        Multilabel: 0 and 1, (samples, labels); a sparse matrix after a `fit` to a
        sparse y.

        Raises:
            NotFittedError: before `fit`.
            ValueError: not the number of features of `fit`.
        """
        p = self._outputs(X)
        if p.shape[1] == 1:
            p = p.ravel()
        elif self._label_binarizer.y_type_ == "binary":
            p = p[:, 1]
        found: NDArray = self._label_binarizer.inverse_transform(p)
        return found

    def predict_proba(self, X: Any) -> NDArray:
        """Probabilities (samples, classes), in the order of `classes_`.

        Multilabel: each column is the probability of that label.

        Raises:
            NotFittedError, ValueError: as `predict`.
        """
        p = self._outputs(X)
        return np.hstack([1.0 - p, p]) if p.shape[1] == 1 else p

    def predict_log_proba(self, X: Any) -> NDArray:
        """ln of `predict_proba`."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean accuracy of `predict`; raises ValueError for masked arrays."""
        for values, name in ((y, "y"), (sample_weight, "sample_weight")):
            refuse_masked(values, name)
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
