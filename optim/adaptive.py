"""Rules that scale each parameter's step by the size of its own gradients."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_flag
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.schedules import Schedule


class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far.

        s ← s + g²
        p ← p - η g / (√s + eps)

    Steps can only shrink; those of rare features stay long. eps is outside the root,
    and s starts at 0, as in PyTorch; in Keras and optax eps is inside, √(s + eps), and
    s starts at 0.1. PyTorch's `lr_decay` is a schedule here. Duchi, Hazan,
    Singer (2011), JMLR 12, pages 2121-2159.

    Args:
        learning_rate: η.
        initial_accumulator_value: s before the first step.
        eps: keeps the quotient finite; in units of the gradient.
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

    Raises:
        ValueError: a negative initial_accumulator_value, eps not above 0.
    """

    slots = ("s",)
    squares = ("s",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = self._check(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.eps = self._check_eps(eps)

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above; the slot holds s without its initial value."""
        s = slots[0] + g * g
        start = self.initial_accumulator_value
        root = np.sqrt(s + start if start else s)
        return p - rate * g / (root + self.eps), s


class Adadelta(Optimizer):
    """Adagrad over a window, in the parameters' own units.

        v ← ρ v + (1 - ρ) g²
        d = g √(u + eps) / √(v + eps)
        u ← ρ u + (1 - ρ) d²
        p ← p - η d

    u is the mean square of past steps, so the learning rate has no unit and is 1 in
    the paper and in PyTorch (Keras: 0.001, which moves a thousand times less). eps
    is inside both roots everywhere. Zeiler (2012), arXiv:1212.5701.

    Args:
        learning_rate: η.
        rho: ρ in [0, 1).
        eps: makes the first steps, when u is 0; in squared units.
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

    Raises:
        ValueError: rho outside [0, 1), eps not above 0.
    """

    slots = ("v", "u")
    squares = ("v", "u")

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.rho = self._check("rho", rho, 1.0)
        self.eps = self._check_eps(eps)

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        v, u = slots
        v = self.rho * v + (1.0 - self.rho) * (g * g)
        d = g * np.sqrt(u + self.eps) / np.sqrt(v + self.eps)
        u = self.rho * u + (1.0 - self.rho) * (d * d)
        return p - rate * d, v, u


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

        v ← ρ v + (1 - ρ) g²
        m ← ρ m + (1 - ρ) g                          (centered)
        d = g / (√v + eps)                           (centered: √(v - m²))
        b ← μ b + d,  p ← p - η b                    (without momentum p ← p - η d)

    There is no correction for the start at 0, so the first steps are long, about
    η / √(1 - ρ). eps is outside the root, as in PyTorch; in Keras and optax inside,
    √(v + eps). Their momentum includes η: b ← μ b + η d, p ← p - b. v - m², a variance,
    is at least 0 here; in the other three it may fall below 0 by rounding. Tieleman,
    Hinton (2012), Coursera lecture 6.5; centered: Graves (2013), arXiv:1308.0850.

    Args:
        learning_rate: η.
        rho: ρ in [0, 1); PyTorch's `alpha`.
        momentum: μ in [0, 1).
        centered: divide by the deviation instead of the root mean square.
        eps: keeps the quotient finite; in units of the gradient.
        common: `l2`, `clip_norm`, `transforms` and the others of `Optimizer`.

    Raises:
        ValueError: rho or momentum outside [0, 1), eps not above 0.
    """

    squares = ("v",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        rho: float = 0.99,
        momentum: float = 0.0,
        centered: bool = False,
        eps: float = 1e-8,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.rho = self._check("rho", rho, 1.0)
        self.momentum = self._check("momentum", momentum, 1.0)
        self.centered = check_flag("RMSprop", "centered", centered)
        self.eps = self._check_eps(eps)
        kept = {"v": True, "m": self.centered, "b": self.momentum > 0.0}
        self.slots = tuple(name for name, needed in kept.items() if needed)

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        old = dict(zip(self.slots, slots, strict=True))
        new = {"v": self.rho * old["v"] + (1.0 - self.rho) * (g * g)}
        square = new["v"]
        if self.centered:
            m = new["m"] = self.rho * old["m"] + (1.0 - self.rho) * g
            square = np.maximum(square - m * m, 0.0)
        d = g / (np.sqrt(square) + self.eps)
        if self.momentum:
            d = new["b"] = self.momentum * old["b"] + d
        return p - rate * d, *new.values()
