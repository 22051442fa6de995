"""Steps of one length for all parameters: the sign of a momentum."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.schedules import Schedule


class Lion(Optimizer):
    """Each parameter moves by η, up or down.

        p ← p - η sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    Steps have no unit of the gradient: η is 3 to 10 times smaller than Adam's, and
    weight_decay as much larger. A gradient that is 0 up to rounding moves its parameter
    as far as any other. Keras and optax have the same form, optax with a default
    weight_decay of 0.001; PyTorch has no such rule. Chen et al.
    (2023), arXiv:2302.06675, algorithm 2.

    Args:
        learning_rate: η.
        beta1: β₁ in [0, 1), the weight of m against g in the step.
        beta2: β₂ in [0, 1), of the running mean.
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1).
    """

    slots = ("m",)

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.beta1 = self._check("beta1", beta1, 1.0)
        self.beta2 = self._check("beta2", beta2, 1.0)

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        (m,) = slots
        direction = np.sign(self.beta1 * m + (1.0 - self.beta1) * g)
        return p - rate * direction, self.beta2 * m + (1.0 - self.beta2) * g
