"""Gradient descent with momentum, and Adam with its two closest relatives."""

import math
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_flag
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.schedules import Schedule


class SGD(Optimizer):
    """Gradient descent, with momentum.

        v ← μ v + g
        p ← p - η v                 (Nesterov: p ← p - η (g + μ v))

    Without momentum p ← p - η g. Batches of one sample make it stochastic, of all
    samples the classic full-batch descent. PyTorch's and optax's form; in Keras' and
    scikit-learn's, v ← μ v - η g, which differs where η changes between steps.
    Polyak (1964); Sutskever, Martens, Dahl, Hinton, ICML 2013.

    Args:
        learning_rate: η.
        momentum: μ in [0, 1).
        nesterov: look ahead along v; needs momentum > 0.
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

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
        self.momentum = self._check("momentum", momentum, 1.0)
        self.nesterov = check_flag(type(self).__name__, "nesterov", nesterov)
        if nesterov and momentum == 0.0:
            raise ValueError("SGD: nesterov=True needs momentum > 0, got 0; try 0.9")
        self.slots = ("v",) if momentum else ()

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
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), eps not above 0.
    """

    slots: tuple[str, ...] = ("m", "v")
    squares: tuple[str, ...] = ("v",)

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
        self.eps = self._check_eps(eps)

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


class AMSGrad(Adam):
    """Adam whose second moment never shrinks: a large gradient is not forgotten.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        v_max ← max(v_max, v)
        p ← p - η m̂ / (√(v_max / (1 - β₂ᵗ)) + eps),  m̂ = m / (1 - β₁ᵗ)

    The maximum is of v before the correction, as in PyTorch and Keras (`amsgrad=True`
    of their Adam; Keras' eps stands before the correction). optax takes the maximum of
    v̂ = v / (1 - β₂ᵗ); the paper corrects nothing. Reddi, Kale, Kumar (2018),
    arXiv:1904.09237, algorithm 2. Arguments as `Adam`'s.
    """

    slots = ("m", "v", "v_max")
    squares = ("v", "v_max")

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        m, v, v_max = slots
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        v_max = np.maximum(v_max, v)
        step = scalars["corrected_rate"] * m / (np.sqrt(v_max) + scalars["eps"])
        return p - step, m, v, v_max


class AdamW(Adam):
    """Adam with decoupled decay: W ← (1 - η weight_decay) W, then Adam on the rest.

        W ← W - η (m̂ / (√v̂ + eps) + weight_decay W)

    The decay is multiplied by the learning rate, as in PyTorch, Keras and optax; the
    paper multiplies it by the schedule alone. Those three also decay biases and gains;
    here weights alone, as everywhere. Loshchilov and Hutter (2017), arXiv:1711.05101.

    Args:
        learning_rate, beta1, beta2, eps, common: as for `Adam`.
        weight_decay: the decay; 0.01 as in PyTorch (Keras: 0.004, optax: 0.0001).
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
