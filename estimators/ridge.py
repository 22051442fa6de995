"""scikit-learn's alpha: an L2 penalty divided by the weights of each batch."""

import copy
from functools import lru_cache

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.optim import Optimizer, Transform
from xpnet.training.data import Orders


class Shares:
    """1 / Σ w of every batch of an epoch; without weights Σ w is the batch size.

    Args:
        count: samples of an epoch.
        batch_size: samples of a batch; the last may be shorter.
        first: number of updates before this fit.
        epoch: number of epochs before this fit.
        seed: of the orders of the samples; None for no shuffling.
        weights: (count,), of the samples, or None.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        first: int,
        epoch: int,
        seed: int | None,
        weights: NDArray | None,
    ) -> None:
        self.starts = np.arange(0, count, batch_size)
        self.sizes = np.minimum(batch_size, count - self.starts)
        self.count, self.first, self.epoch = count, first, epoch
        self.orders = Orders(seed or 0, batch_size, seed is not None)
        self.weights = weights
        self._known: tuple[int, list[float]] = (-1, [])

    def at(self, t: int) -> float:
        """Of the batch of update t = 1, 2, ..."""
        epoch, i = divmod(max(t - 1 - self.first, 0), len(self.starts))
        return self.of(epoch)[i]

    def of(self, epoch: int) -> list[float]:
        """Of every batch of epoch 0, 1, ..."""
        if self._known[0] < 0 or (self.weights is not None and self._known[0] != epoch):
            self._known = epoch, self._computed(epoch)
        return self._known[1]

    def _computed(self, epoch: int) -> list[float]:
        if self.weights is None:
            return [1.0 / int(size) for size in self.sizes]
        weights = self.weights[self.orders.of(self.epoch + epoch, self.count)]
        sums = np.add.reduceat(weights.astype(np.float64), self.starts)
        return [1.0 / total if total > 0.0 else 0.0 for total in sums.tolist()]


@lru_cache(maxsize=64)
def even(count: int, batch_size: int, first: int) -> Shares:
    """`Shares` without weights, shared by networks with the same arguments."""
    return Shares(count, batch_size, first, 0, None, None)


class Alpha(Transform):
    """Adds alpha / Σ w of the batch times W to the gradient of the weights.

        J = Σ w l / Σ w + ½ (alpha / Σ w) Σ W²

    over each batch, as in scikit-learn's MLP. The penalty is a number of the step, so a
    recorded step takes every value.

    Attributes:
        alpha: the penalty.
        shares: 1 / Σ w of the batches of this fit.
        outputs: divisor of reported losses, which does not divide the penalty.
    """

    of_weights = keeps_zeros = True

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.outputs = 1.0
        self.shares: Shares | None = None

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """alpha / Σ w of step t."""
        return {"share": self.alpha * self.shares.at(t) if self.shares else 0.0}

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """g + (alpha / Σ w) W."""
        return g + own["share"] * p

    def penalty(self, weights: Array, **own: Array) -> Array:
        """½ (alpha / Σ w) Σ W² of this step."""
        square = weights[..., None, :] @ weights[..., :, None]
        return (0.5 * self.outputs) * own["share"].reshape(square.shape) * square


def with_alpha(rule: Optimizer, alpha: float) -> Optimizer:
    """A copy of `rule` with scikit-learn's alpha; the rule itself if alpha is 0."""
    if alpha == 0.0:
        return rule
    found = copy.copy(rule)
    found.transforms = (*rule.transforms, Alpha(alpha))
    return found
