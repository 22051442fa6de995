"""Adam with another norm, with Nesterov's momentum, with a rectified start."""

import math
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.optim.rules import Adam
from xpnet.optim.schedules import Schedule


class Adamax(Adam):
    """Adam with the largest gradient instead of the root mean square.

        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g| + eps)
        p ← p - η m̂ / u,  m̂ = m / (1 - β₁ᵗ)

    eps joins |g| within the maximum, as in PyTorch and optax; Keras divides by u + eps,
    the paper has none. Kingma and Ba (2014), arXiv:1412.6980, algorithm 2. Arguments as
    `Adam`'s, with the paper's learning rate of 0.002.
    """

    slots = ("m", "u")
    squares = ("u",)

    def __init__(
        self,
        learning_rate: float | Schedule = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **common: Any,
    ):
        super().__init__(learning_rate, beta1, beta2, eps, **common)

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The rate, plain and corrected for m."""
        return {"rate": rate, "corrected_rate": rate / (1.0 - self.beta1**t)}

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        m, u = slots
        m = self.beta1 * m + (1.0 - self.beta1) * g
        u = np.maximum(self.beta2 * u, abs(g) + self.eps)
        return p - scalars["corrected_rate"] * m / u, m, u


class Nadam(Adam):
    """Adam that looks ahead along its momentum, as Nesterov's.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        μₜ = β₁ (1 - ½ 0.96^(t ψ)),  Πₜ = μ₁ μ₂ ... μₜ
        m̂ = μₜ₊₁ m / (1 - Πₜ₊₁) + (1 - μₜ) g / (1 - Πₜ)
        p ← p - η m̂ / (√(v / (1 - β₂ᵗ)) + eps)

    with ψ = momentum_decay. PyTorch's form; Keras has ψ = 1. optax has μₜ = β₁ for
    every t, and so corrects by 1 - β₁ᵗ⁺¹ and 1 - β₁ᵗ. The warm-up of μ is the one that
    the author recommends. Dozat (2016), "Incorporating Nesterov momentum into Adam".

    Args:
        learning_rate, beta1, beta2, eps, common: as for `Adam`; η is 0.002.
        momentum_decay: ψ ≥ 0, how fast μ grows from about β₁/2 to β₁.

    Raises:
        ValueError: a negative momentum_decay; else as `Adam`.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        momentum_decay: float = 4e-3,
        **common: Any,
    ):
        super().__init__(learning_rate, beta1, beta2, eps, **common)
        self.momentum_decay = self._check("momentum_decay", momentum_decay)
        self._product = (0, 1.0)  # the last step t and its Π

    def _momentum(self, t: int) -> float:
        """μ of step t."""
        warm = 1.0 - 0.5 * 0.96 ** (t * self.momentum_decay)
        return float(self.beta1 * warm)

    def _momenta(self, t: int) -> float:
        """Π of step t, from that of the previous step if it was computed last."""
        done, product = self._product
        if done > t:
            done, product = 0, 1.0
        for i in range(done + 1, t + 1):
            product *= self._momentum(i)
        self._product = (t, product)
        return product

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The rate; the rates of g and m, and eps, corrected."""
        root = math.sqrt(1.0 - self.beta2**t)
        now, ahead, product = self._momentum(t), self._momentum(t + 1), self._momenta(t)
        return {
            "rate": rate,
            "rate_g": rate * root * (1.0 - now) / (1.0 - product),
            "rate_m": rate * root * ahead / (1.0 - product * ahead),
            "eps": self.eps * root,
        }

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        m, v = slots
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        step = scalars["rate_m"] * m + scalars["rate_g"] * g
        return p - step / (np.sqrt(v) + scalars["eps"]), m, v


class RAdam(Adam):
    """Adam that starts as plain momentum, until v is a mean of enough gradients.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        ρₜ = ρ - 2 t β₂ᵗ / (1 - β₂ᵗ),  ρ = 2 / (1 - β₂) - 1
        ρₜ > 5:  p ← p - η r m̂ √(1 - β₂ᵗ) / (√v + eps),  m̂ = m / (1 - β₁ᵗ)
                 r² = (ρₜ - 4) (ρₜ - 2) ρ / ((ρ - 4) (ρ - 2) ρₜ)
        else     p ← p - η m̂

    PyTorch's form. optax adds eps after the correction, as Adam does, and takes
    ρₜ ≥ 5; the paper takes ρₜ > 4 and has no eps; Keras has no such rule. Liu and
    others (2019), arXiv:1908.03265, algorithm 2. Arguments as `Adam`'s.
    """

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The rate, the corrected one, and whether √v divides (1) or nothing (0)."""
        corrected = rate / (1.0 - self.beta1**t)
        power = self.beta2**t
        longest = 2.0 / (1.0 - self.beta2) - 1.0
        length = longest - 2.0 * t * power / (1.0 - power)
        if length <= 5.0:
            return {"rate": rate, "corrected_rate": corrected, "root": 0.0, "eps": 1.0}
        r = (length - 4.0) * (length - 2.0) * longest
        r /= (longest - 4.0) * (longest - 2.0) * length
        corrected *= math.sqrt(r * (1.0 - power))
        return {"rate": rate, "corrected_rate": corrected, "root": 1.0, "eps": self.eps}

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above; `scalars` choose between the two cases."""
        m, v = slots
        m = self.beta1 * m + (1.0 - self.beta1) * g
        v = self.beta2 * v + (1.0 - self.beta2) * (g * g)
        below = scalars["root"] * np.sqrt(v) + scalars["eps"]
        return p - scalars["corrected_rate"] * m / below, m, v
