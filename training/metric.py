"""A metric: a function of predictions and targets, and which end of it is good."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from xpnet.common import check_flag, choose
from xpnet.common.arrays import NDArray
from xpnet.training import scored

Function = Callable[..., Any]
TAKES = {"labels": "classes", "probabilities": "classes", "values": "values"}


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are, and which end of it is good.

        xn.Metric(lambda p, y: float(abs(p - y).max()), False, "worst")
        xn.Metric(sklearn.metrics.f1_score, True, takes="labels")

    Called by hand, it checks what it is given. Before a training that validates, or a
    search, a function of your own is called once on made-up predictions, so that its
    faults show then. Functions of scikit-learn that have a scorer there need neither a
    direction nor `takes`.

    Args:
        function: of (prediction (samples, n), target, weights (samples,) or None),
            where `target` holds labels (samples,) or rows (samples, n), none of them to
            be written to; the weights may be left out. With `takes`: of (y_true,
            y_pred), as in scikit-learn, and sample_weight where it knows that.
        higher_is_better: None where that is not known: the number is shown, and what
            chooses by it asks for `mode`.
        name: in tables and curves; the function's own unless given.
        takes: what y_pred is: "labels"; "probabilities", of which two classes have one
            column, (samples,) of class 1; "values" of a regression, (samples,) where
            there is one output.
        targets: "classes", "binary" or "values": set by a Trainer, from its loss.

    Attributes:
        weighted: whether the function takes weights.

    Raises:
        TypeError: no function, or one of other arguments.
        ValueError: another word for `takes`.
    """

    function: Function
    higher_is_better: bool | None = None
    name: str = ""
    takes: str | None = None
    targets: str = field(default="", repr=False)
    weighted: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"Metric: expected a function, got {self.function!r}")
        if not isinstance(self.name, str):
            raise TypeError(f"Metric: expected name, a text, got {self.name!r}")
        self._set("name", self.name or _name(self.function))
        if self.higher_is_better is not None:
            known = check_flag("Metric", "higher_is_better", self.higher_is_better)
            self._set("higher_is_better", known)
        if self.takes is not None:
            choose(self.takes, TAKES, "Metric: takes")
        self._set("weighted", self._takes_weights())
        self._set("__name__", self.name)
        self._set("__doc__", self.function.__doc__)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _takes_weights(self) -> bool:
        parameters = signature_of(self.function)
        if parameters is None:
            return True
        rows = list(parameters.parameters.values())
        if self.takes is not None:
            return any(
                row.name == "sample_weight" or row.kind is row.VAR_KEYWORD
                for row in rows
            )
        if _binds(parameters, 3):
            # A third one with a value of its own, such as beta=1, is not for weights.
            return len(rows) < 3 or any(
                rows[2].default is none for none in (rows[2].empty, None)
            )
        if _binds(parameters, 2):
            return False
        raise TypeError(
            f"metric {self.name!r}: expected a function of (prediction, target, "
            f"weights), got one of {parameters}"
        )

    def __call__(self, p: Any, target: Any, weights: Any = None) -> float:
        """The number for predictions and targets of any form that `fit` takes.

        Args:
            p: predictions (samples, n); (samples,) is one column.
            target: labels (samples,), or rows as many as p has.
            weights: (samples,), wᵢ ≥ 0; None for equal ones.

        Raises:
            ValueError, TypeError: unfit arguments.
        """
        try:
            p = scored.predictions(p)
            target = scored.targets(target, p)
            weights = scored.weights(weights, len(p))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.name}: {error}") from None
        self.check(p.shape[1], target, weights)
        return self.score(p, target, weights)

    def check(self, outputs: int, target: NDArray, weights: NDArray | None) -> None:
        """Raises ValueError where it has no meaning for such predictions and targets.

        Args:
            outputs: columns of the predictions.
            target: labels (samples,) or rows (samples, n).
            weights: (samples,) or None.
        """
        if weights is not None and not self.weighted:
            raise ValueError(
                f"metric {self.name!r}: it takes no weights, and the samples have "
                "some; let its function take (prediction, target, weights), or "
                "sample_weight"
            )

    def score(self, p: NDArray, target: NDArray, weights: NDArray | None) -> float:
        """The number for arrays that have been checked."""
        if self.takes is not None:
            more = {} if weights is None else {"sample_weight": weights}
            value = self.function(*self._pair(p, target), **more)
        else:
            given = (p, target, weights) if self.weighted else (p, target)
            value = self.function(*self._guarded(*given))
        return value if type(value) is float else self._number(value)

    def _guarded(self, *given: NDArray | None) -> Sequence[NDArray | None]:
        """Not to be written to: other metrics and epochs read them too."""
        return [None if values is None else _read_only(values) for values in given]

    def _number(self, value: Any) -> float:
        plain = isinstance(value, int | float | np.number | np.bool_)
        if not plain and getattr(value, "ndim", None) != 0:
            shape = getattr(value, "shape", None)
            what = type(value).__name__ + (f" of shape {shape}" if shape else "")
            raise TypeError(f"metric {self.name!r}: expected a number, got {what}")
        return float(value)

    def _pair(self, p: NDArray, target: NDArray) -> tuple[NDArray, NDArray]:
        """(y_true, y_pred) as a function of scikit-learn takes them."""
        if self.takes == "values":
            return flat(target), flat(p)
        if target.ndim == 1 or self.targets == "classes":
            if self.takes == "labels":
                return labels_of(target), p.argmax(axis=1)
            return labels_of(target), p[:, 1] if p.shape[1] == 2 else p
        if p.shape[1] > 1 and not self.targets:
            raise ValueError(
                f"{self.name}: expected labels (samples,), got rows, which may hold "
                "one class or several a sample"
            )
        said = (p >= 0.5).astype(np.int64) if self.takes == "labels" else p
        return flat((target >= 0.5).astype(np.int64)), flat(said)


def _name(function: Function) -> str:
    """What a function is called."""
    inner = inner_function(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def inner_function(function: Function) -> Function:
    """What a functools.partial calls."""
    return inner_function(function.func) if isinstance(function, partial) else function


def signature_of(function: Function) -> inspect.Signature | None:
    """None for a function that does not tell."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _binds(parameters: inspect.Signature, count: int) -> bool:
    """Whether the function can be called with so many arguments."""
    try:
        parameters.bind(*range(count))
    except TypeError:
        return False
    return True


def _read_only(values: NDArray) -> NDArray:
    view = values.view()
    view.flags.writeable = False
    return view


def labels_of(target: NDArray) -> NDArray:
    """Labels from labels, or from one-hot rows and shares of classes."""
    return target if target.ndim == 1 else target.argmax(axis=-1)


def flat(rows: NDArray) -> NDArray:
    """(samples,) of a single column."""
    return rows[:, 0] if rows.shape[1] == 1 else rows
