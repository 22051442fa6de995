"""Optimizer, the base of update rules: one elementwise formula over all parameters.

A step is a chain: clip the gradient, add noise to it, add the penalties, shrink the
weights (decoupled decay), apply the rule. Except the norm, all of it is elementwise
over the flat buffers, so it is recorded once and replayed as one formula.
"""

import inspect
import math
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_number, nearest, parameters
from xpnet.optim.schedules import Schedule, get_schedule
from xpnet.trace import within


class Optimizer:
    """p ← rule(p, g), with g the clipped and penalised gradient.

    A rule implements `update` on arrays of any shape, and names its `slots`, the
    arrays it keeps between steps (they start at 0). Numbers that change from step to
    step are `scalars`, computed on the host in float64.

    Args:
        learning_rate: η, a number or a function of the step (see `schedules`).
        l1, l2: add l1 Σ|W| + ½ l2 Σ W² to the objective: l1 sign(W) + l2 W join the
            gradient of the weights, never of biases, gains or shifts. Both together
            are the elastic net: Zou and Hastie, J. R. Stat. Soc. B 67 (2005). PyTorch's
            `weight_decay` of SGD is this l2 (and includes biases there). The reported
            loss is without the penalty.
        weight_decay: decoupled: W ← (1 - η weight_decay) W before the rule.
        clip_value: each gradient entry is limited to ±clip_value.
        clip_norm: a gradient with ‖g‖₂ above clip_norm, over all parameters of a
            network, is scaled back to it. After clip_value, before the penalties.
            Pascanu, Mikolov, Bengio (2012), arXiv:1211.5063.
        gradient_noise, noise_decay: N(0, σ²) is added to each entry of the clipped
            gradient, σ² = gradient_noise / (1 + t)^noise_decay at step t = 0, 1, ...;
            drawn from (seed, step, position), the same on every device. Neelakantan
            et al. (2015), arXiv:1511.06807, who try 0.01, 0.3 and 1 with 0.55.

    Raises:
        ValueError: a rate or limit not above 0, a negative penalty or noise.
        TypeError: an unknown argument; the closest valid name is suggested.
    """

    slots: tuple[str, ...] = ()
    reports_penalty = False  # whether `penalty` joins the reported loss
    squares: tuple[str, ...] = ()  # the slots that are never below 0

    def __init__(
        self,
        learning_rate: float | Schedule,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        gradient_noise: float = 0.0,
        noise_decay: float = 0.55,
        **unknown: Any,
    ):
        for name in unknown:
            raise TypeError(
                f"{type(self).__name__}: unexpected argument {name!r}; "
                f"{nearest(name, self.defaults())}"
            )
        self.learning_rate = learning_rate
        self.schedule = get_schedule(learning_rate)
        self.l1 = self._check("l1", l1)
        self.l2 = self._check("l2", l2)
        self.weight_decay = self._check("weight_decay", weight_decay)
        self.clip_value = self._check_limit("clip_value", clip_value)
        self.clip_norm = self._check_limit("clip_norm", clip_norm)
        self.gradient_noise = self._check("gradient_noise", gradient_noise)
        self.noise_decay = self._check("noise_decay", noise_decay)

    def _check(self, name: str, value: Any, below: float = math.inf) -> float:
        """`value` as a number from 0 to less than `below`."""
        span = f"{name} >= 0" if below == math.inf else f"0 <= {name} < {below:g}"
        return check_number(
            type(self).__name__, value, span, lambda v: 0.0 <= v < below
        )

    def _check_limit(self, name: str, value: Any) -> float | None:
        if value is None:
            return None
        span = f"{name} > 0 or None"
        return check_number(type(self).__name__, value, span, lambda v: v > 0.0)

    def _check_eps(self, eps: Any) -> float:
        return check_number(type(self).__name__, eps, "eps > 0", lambda e: e > 0.0)

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The numbers of step t = 1, 2, ... that `update` takes by name."""
        return {"rate": rate}

    def noise_scale(self, t: int) -> float:
        """σ, the standard deviation of the gradient noise, at step t = 0, 1, ..."""
        return math.sqrt(self.gradient_noise / (1.0 + t) ** self.noise_decay)

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """(new p, new slots...)."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def clip(self, g: Array) -> Array:
        """The clipped gradient of g (..., n); the norm is each network's own."""
        if self.clip_value is not None:
            g = np.minimum(np.maximum(g, -self.clip_value), self.clip_value)
        if self.clip_norm is not None:
            g = within(g, self.clip_norm, _squares)
        return g

    @property
    def penalizes(self) -> bool:
        """Whether the rule differs between weights and biases."""
        return bool(self.l1 or self.l2 or self.weight_decay)

    def penalize(self, p: Array, g: Array, rate: Array) -> tuple[Array, Array]:
        """(p, g) of the weights with penalties and decay applied."""
        if self.l2:
            g = g + self.l2 * p
        if self.l1:
            g = g + self.l1 * np.sign(p)
        if self.weight_decay:
            p = p - (self.weight_decay * rate) * p
        return p, g

    def penalty(self, weights: Array, scalars: dict[str, Array]) -> Array:
        """The penalty to add to the reported loss of a step, (..., 1, 1).

        Args:
            weights: (..., n), all that penalties apply to.
            scalars: see `step`.
        """
        raise NotImplementedError(f"{type(self).__name__}.penalty")

    def step(
        self,
        params: Array,
        grads: Array,
        slots: list[Array],
        scalars: dict[str, Array],
        penalized: int,
        noise: Array | None = None,
    ) -> None:
        """One update in place.

        Args:
            params, grads, slots: (..., n), the flat buffers.
            scalars: arrays (..., 1), or of no axes for one network.
            penalized: weights are the first `penalized` of n.
            noise: (..., n), added to the clipped gradient.
        """
        n = params.shape[-1]
        g = self.clip(grads)
        if noise is not None:
            g = g + noise
        cuts = [0, penalized, n] if self.penalizes and penalized < n else [0, n]
        for start, stop in pairwise(cuts):
            part = (..., slice(start, stop))
            whole = len(cuts) == 2
            views = [a if whole else a[part] for a in (params, g, *slots)]
            p, g_part = views[:2]
            if self.penalizes and start == 0 and penalized:
                p, g_part = self.penalize(p, g_part, scalars["rate"])
            new = self.update(p, g_part, *views[2:], **scalars)
            for target, value in zip((views[0], *views[2:]), new, strict=True):
                target[...] = value

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The defaults of all arguments, those of `Optimizer` included."""
        return {
            name: parameter.default
            for kind in (Optimizer, cls)
            for name, parameter in parameters(kind)
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in sorted(self.defaults())}

    def __repr__(self) -> str:
        defaults = self.defaults()
        shown = [
            f"{name}={value!r}"
            for name, value in self.config().items()
            if name != "learning_rate" and value != defaults.get(name)
        ]
        return f"{type(self).__name__}({', '.join([repr(self.learning_rate), *shown])})"


def _squares(g: Array) -> Array:
    """‖g‖² of g (..., n): (..., 1)."""
    lead, n = tuple(g.shape[:-1]), g.shape[-1]
    square = g.reshape((*lead, 1, n)) @ g.reshape((*lead, n, 1))
    return square.reshape((*lead, 1))
