"""The samples of a fit and its plan, and what prefits need of an estimator."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.estimators.convergence import Convergence
from xpnet.estimators.network import Network
from xpnet.layers import Loss
from xpnet.training.callbacks import Callback


@dataclass
class Data:
    """Checked samples.

    Attributes:
        x: (n, features).
        y: targets as the loss takes them.
        w: weights (n,), or None.
        rows: row numbers in the data that they were taken from, or None.
    """

    x: NDArray
    y: NDArray
    w: NDArray | None
    rows: NDArray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: NDArray) -> "Data":
        w = None if self.w is None else self.w[rows]
        return Data(self.x[rows], self.y[rows], w, rows)

    @property
    def parts(self) -> tuple[NDArray, ...]:
        """(x, y) or (x, y, w), as `Trainer.fit` takes a validation set."""
        return (self.x, self.y) if self.w is None else (self.x, self.y, self.w)


@dataclass
class FitPlan:
    """One training, ready to run."""

    train: Data
    held: Data | None
    batch_size: int
    epochs: int
    convergence: Convergence
    callbacks: list[Callback]


class Estimator(Protocol):
    """What `prefit` needs of an `MLPClassifier` or `MLPRegressor`."""

    solver: Any
    shuffle: bool
    callbacks: Any
    random_state: Any
    _network: Network

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""

    def _data(
        self, X: Any, y: Any, w: Any, fresh: bool = True, incremental: bool = False
    ) -> Data: ...

    def _prepare(self, data: Data, held: Data | None) -> FitPlan: ...

    def _task(self) -> tuple[Loss, int, Any]: ...

    def _diverged(self, plan: FitPlan, error: ArithmeticError) -> None: ...

    def _conclude(self, plan: FitPlan) -> None: ...


def dense(X: Any) -> NDArray:
    """X as an ordinary array: the products of a recorded step are dense."""
    return X.toarray() if hasattr(X, "toarray") else np.asarray(X)
