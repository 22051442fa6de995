"""Optimizer, the base of update rules: one elementwise formula over all parameters.

A step is a chain of transforms (clip the gradient, add noise to it, add the penalties,
shrink the weights) and then the rule. Except the norm, all of it is elementwise over
the flat buffers, so it is recorded once and replayed as one formula.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from xpnet.backend import Array
from xpnet.common import check_number, nearest, parameters
from xpnet.optim.schedules import Schedule, get_schedule
from xpnet.optim.transforms import (
    TRANSFORMS,
    Transform,
    apply_chain,
    at_least_0,
    checked_transforms,
    limit,
)


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
        transforms: more equations for the gradient, in their order: `Transform` objects
            and functions g -> g of the whole gradient (..., n). Those of all parameters
            come before l2, l1 and weight_decay, those of the weights alone after them.

    Raises:
        ValueError: a rate or limit not above 0, a negative penalty or noise.
        TypeError: an unknown argument; the closest valid name is suggested.
    """

    slots: tuple[str, ...] = ()
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
        transforms: Sequence[Transform | Callable[[Array], Array]] = (),
        **unknown: Any,
    ):
        for name in unknown:
            raise TypeError(
                f"{type(self).__name__}: unexpected argument {name!r}; "
                f"{nearest(name, self.defaults())}"
            )
        self.learning_rate = learning_rate
        self.schedule = get_schedule(learning_rate)
        owner = type(self).__name__
        self.l1 = at_least_0(owner, "l1", l1)
        self.l2 = at_least_0(owner, "l2", l2)
        self.weight_decay = at_least_0(owner, "weight_decay", weight_decay)
        self.clip_value = limit(owner, "clip_value", clip_value)
        self.clip_norm = limit(owner, "clip_norm", clip_norm)
        self.gradient_noise = at_least_0(owner, "gradient_noise", gradient_noise)
        self.noise_decay = at_least_0(owner, "noise_decay", noise_decay)
        self.transforms = checked_transforms(owner, transforms)

    def _check(self, name: str, value: Any, below: float = math.inf) -> float:
        """`value` as a number from 0 to less than `below`."""
        found: float = at_least_0(type(self).__name__, name, value, below)
        return found

    def _check_eps(self, eps: Any) -> float:
        return check_number(type(self).__name__, eps, "eps > 0", lambda e: e > 0.0)

    @property
    def chain(self) -> tuple[Transform, ...]:
        """What a gradient passes before the rule, in this order: those of all
        parameters, then those of the weights; of either the arguments' before
        `transforms`.
        """
        found = []
        for argument, kind in TRANSFORMS.items():
            if getattr(self, argument):
                numbers = [getattr(self, name) for name in kind.arguments()]
                found.append(kind(*numbers))
        return tuple(sorted([*found, *self.transforms], key=lambda t: t.of_weights))

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The numbers of step t = 1, 2, ... that `update` takes by name."""
        return {"rate": rate}

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """(new p, new slots...)."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def step(
        self,
        params: Array,
        grads: Array,
        slots: list[Array],
        scalars: dict[str, Array],
        penalized: int,
        own: Sequence[dict[str, Array]] | None = None,
        used: Array | None = None,
    ) -> None:
        """One update in place.

        Args:
            params, grads, slots: (..., n), the flat buffers.
            scalars: arrays (..., 1), or of no axes for one network.
            penalized: weights are the first `penalized` of n.
            own: of each transform of `chain`: its numbers and noise.
            used: (n,), 1 where a parameter lies and 0 between; None where all are.
        """
        n, rate, chain = params.shape[-1], scalars["rate"], self.chain
        pairs = list(zip(chain, [{}] * len(chain) if own is None else own, strict=True))
        of_all = [pair for pair in pairs if not pair[0].of_weights]
        of_weights = pairs[len(of_all) :]
        moved, g = apply_chain(of_all, params, grads, rate, used)
        cuts = [0, penalized, n] if of_weights and penalized < n else [0, n]
        for start, stop in pairwise(cuts):
            part = slice(start, stop)
            whole = len(cuts) == 2
            target, g_part, *kept = [
                a if whole else a[..., part] for a in (params, g, *slots)
            ]
            p = target if moved is params else moved[..., part]
            if start == 0 and penalized:
                mask = None if used is None else used[part]
                p, g_part = apply_chain(of_weights, p, g_part, rate, mask)
            new = self.update(p, g_part, *kept, **scalars)
            for array, value in zip((target, *kept), new, strict=True):
                array[...] = value

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
        """The constructor's arguments; `transforms` where there are any."""
        names = self.defaults().keys() - (set() if self.transforms else {"transforms"})
        return {name: getattr(self, name) for name in sorted(names)}

    def __repr__(self) -> str:
        defaults = self.defaults()
        shown = [
            f"{name}={value!r}"
            for name, value in self.config().items()
            if name != "learning_rate" and value != defaults.get(name)
        ]
        return f"{type(self).__name__}({', '.join([repr(self.learning_rate), *shown])})"
