"""The update rules."""

import math
from typing import Any, ClassVar

import numpy as np

from xpnet.backend import Array, check_number, choose
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.schedules import Schedule


class SGD(Optimizer):
    """Gradient descent, with momentum.

        v ← μ v + g
        p ← p - η v                 (Nesterov: p ← p - η (g + μ v))

    Without momentum p ← p - η g. Batches of one sample make it stochastic, of all
    samples the classic full-batch descent. PyTorch's form; in Keras' and
    scikit-learn's, v ← μ v - η g, which differs where η changes between steps.
    Polyak (1964); Sutskever, Martens, Dahl, Hinton, ICML 2013.

    Args:
        learning_rate: η.
        momentum: μ in [0, 1).
        nesterov: look ahead along v; needs momentum > 0.
        common: `l1`, `l2`, `weight_decay`, `clip_value`, `clip_norm` of `Optimizer`.

    Raises:
        ValueError: momentum outside [0, 1), nesterov without momentum.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.momentum, self.nesterov = (
            self._check("momentum", momentum, 1.0),
            bool(nesterov),
        )
        if nesterov and momentum == 0.0:
            raise ValueError("SGD: nesterov=True needs momentum > 0, got 0; try 0.9")
        self.slots = ("v",) if momentum else ()  # type: ignore[misc]

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        if not slots:
            return (p - rate * g,)
        v = self.momentum * slots[0] + g
        direction = g + self.momentum * v if self.nesterov else v
        return p - rate * direction, v


class Adam(Optimizer):
    """Steps scaled by running estimates of the gradient's mean and square.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - η m̂ / (√v̂ + eps),  m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    computed as p - η_t m / (√v + eps_t) with the corrections in two host numbers,
    η_t = η √(1 - β₂ᵗ) / (1 - β₁ᵗ) and eps_t = eps √(1 - β₂ᵗ). eps stands outside the
    root and is added after the correction, as in PyTorch, optax and the paper's
    algorithm 1 (Keras adds it before). Kingma and Ba (2014), arXiv:1412.6980.

    Args:
        learning_rate: η.
        beta1, beta2: β₁, β₂ in [0, 1).
        eps: keeps the quotient finite; in units of the gradient.
        common: `l1`, `l2`, `weight_decay`, `clip_value`, `clip_norm` of `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), eps not above 0.
    """

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.beta1 = self._check("beta1", beta1, 1.0)
        self.beta2 = self._check("beta2", beta2, 1.0)
        self.eps = check_number(type(self).__name__, eps, "eps > 0", lambda e: e > 0.0)

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The rate and the two corrected numbers of step t."""
        root = math.sqrt(1.0 - self.beta2**t)
        corrected = rate * root / (1.0 - self.beta1**t)
        return {"rate": rate, "corrected_rate": corrected, "eps": self.eps * root}

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        m, v = slots
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        step = scalars["corrected_rate"] * m / (np.sqrt(v) + scalars["eps"])
        return p - step, m, v


class AdamW(Adam):
    """Adam with decoupled decay: W ← (1 - η weight_decay) W, then Adam on the rest.

    PyTorch's AdamW also decays biases and gains; here weights alone, as everywhere.
    Loshchilov and Hutter (2017), arXiv:1711.05101. Arguments as `Adam`'s, with
    weight_decay = 0.01 unless given.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        **common: Any,
    ):
        common["weight_decay"] = weight_decay
        super().__init__(learning_rate, beta1, beta2, eps, **common)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The rule of that name with its defaults; an `Optimizer` as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    rule: Any = choose(optimizer, OPTIMIZERS, "optimizer")
    return rule()  # type: ignore[no-any-return]
