"""What happens to a gradient before the update rule takes it: a chain of equations."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_number, parameters
from xpnet.trace import PerNetwork, within


def at_least_0(owner: str, name: str, value: Any, below: float = math.inf) -> Any:
    """`value` as a number from 0 to less than `below`."""
    span = f"{name} >= 0" if below == math.inf else f"0 <= {name} < {below:g}"
    return _number(owner, span, value, lambda v: 0.0 <= v < below)


def limit(owner: str, name: str, value: Any) -> Any:
    """`value` as a number above 0; None is no limit."""
    if value is None:
        return None
    return _number(owner, f"{name} > 0 or None", value, lambda v: v > 0.0)


def _number(owner: str, span: str, value: Any, right: Callable[[float], bool]) -> Any:
    if isinstance(value, PerNetwork):  # of a stack, whose networks have checked theirs
        return value
    return check_number(owner, value, span, right)


class Transform:
    """One equation of the chain: g ← apply(p, g), then p ← decay(p, η).

    p and g are the parameters and their gradient, (..., n): flat, with zeros between
    two parameters, and leading axes in a stack. `apply` is recorded like a layer: it
    may branch on shapes, never on values, and keeps nothing between steps.

        class Towards(xn.Transform):     # ½ share Σ (W - value)² joins the objective
            of_weights = True
            def __init__(self, value, share):
                self.value, self.share = value, share
            def apply(self, p, g, rate):
                return g + self.share * (p - self.value)

        xn.Adam(1e-3, transforms=[np.tanh, Towards(0.1, 0.01)])  # or a function of g

    In a stack the floats of a transform may differ between networks.

    Attributes:
        of_weights: whether p and g are the weights alone: no biases, gains, shifts.
        uses_noise: whether `apply` takes `epsilon` too: N(0, 1), of the shape of g,
            drawn from (seed, step, position).
        keeps_zeros: whether what is 0 in p and in g stays 0; else this is made sure.
    """

    of_weights = False
    uses_noise = False
    keeps_zeros = False

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The new gradient.

        Args:
            p, g: (..., n).
            rate: η of this step, to be broadcast to them.
            own: `scalars` of this step, and `epsilon`, by name.
        """
        return g

    def decay(self, p: Array, rate: Array) -> Array:
        """The parameters that the rule starts from."""
        return p

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """Numbers of step t = 1, 2, ... that `apply` takes by name, in float64."""
        return {}

    def penalty(self, weights: Array, **own: Array) -> Array:
        """What joins the reported loss of a step, (..., 1, 1).

        Args:
            weights: (..., n), all that penalties apply to.
            own: `scalars` of this step, by name.
        """
        raise NotImplementedError(f"{type(self).__name__}.penalty")

    @property
    def has_scalars(self) -> bool:
        """Whether it takes numbers that change from step to step."""
        return type(self).scalars is not Transform.scalars

    @property
    def reports_penalty(self) -> bool:
        """Whether something joins the reported loss."""
        return type(self).penalty is not Transform.penalty

    @classmethod
    def arguments(cls) -> list[str]:
        """The names of the constructor's arguments, which are attributes too."""
        kind: Any = cls
        return [name for name, _ in parameters(kind)]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self.arguments()}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"


class FunctionTransform(Transform):
    """g ← function(g), a function of your own."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """function(g)."""
        return self.function(g)


class ClipValue(Transform):
    """Each entry is limited: g ← min(max(g, -clip_value), clip_value)."""

    keeps_zeros = True

    def __init__(self, clip_value: float | None) -> None:
        self.clip_value = limit("ClipValue", "clip_value", clip_value)

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The equation above."""
        if self.clip_value is None:
            return g
        return np.minimum(np.maximum(g, -self.clip_value), self.clip_value)


class ClipNorm(Transform):
    """g ← g · min(1, clip_norm / ‖g‖₂), over all parameters of a network.

    Pascanu, Mikolov, Bengio (2012), arXiv:1211.5063.
    """

    keeps_zeros = True

    def __init__(self, clip_norm: float | None) -> None:
        self.clip_norm = limit("ClipNorm", "clip_norm", clip_norm)

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The equation above; the norm is each network's own."""
        return g if self.clip_norm is None else within(g, self.clip_norm, _squares)


def _squares(g: Array) -> Array:
    """‖g‖² of g (..., n): (..., 1)."""
    lead, n = tuple(g.shape[:-1]), g.shape[-1]
    square = g.reshape((*lead, 1, n)) @ g.reshape((*lead, n, 1))
    return square.reshape((*lead, 1))


class GradientNoise(Transform):
    """g ← g + σ ε,  ε ~ N(0, 1),  σ² = gradient_noise / t^noise_decay at step t.

    Neelakantan et al. (2015), arXiv:1511.06807, who try 0.01, 0.3 and 1 with 0.55.
    """

    uses_noise = keeps_zeros = True

    def __init__(self, gradient_noise: float, noise_decay: float = 0.55) -> None:
        check = at_least_0
        self.gradient_noise = check("GradientNoise", "gradient_noise", gradient_noise)
        self.noise_decay = check("GradientNoise", "noise_decay", noise_decay)

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """σ of step t = 1, 2, ..."""
        return {"sigma": math.sqrt(self.gradient_noise / float(t) ** self.noise_decay)}

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The equation above."""
        return g + own["epsilon"] * own["sigma"]


class L2(Transform):
    """g ← g + l2 W: ½ l2 Σ W² joins the objective, and not the reported loss."""

    of_weights = keeps_zeros = True

    def __init__(self, l2: float) -> None:
        self.l2 = at_least_0("L2", "l2", l2)

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The equation above."""
        return g + self.l2 * p


class L1(Transform):
    """g ← g + l1 sign(W): l1 Σ|W| joins the objective, and not the reported loss."""

    of_weights = keeps_zeros = True

    def __init__(self, l1: float) -> None:
        self.l1 = at_least_0("L1", "l1", l1)

    def apply(self, p: Array, g: Array, rate: Array, **own: Array) -> Array:
        """The equation above."""
        return g + self.l1 * np.sign(p)


class WeightDecay(Transform):
    """W ← (1 - η weight_decay) W before the rule, which does not see it (decoupled)."""

    of_weights = keeps_zeros = True

    def __init__(self, weight_decay: float) -> None:
        self.weight_decay = at_least_0("WeightDecay", "weight_decay", weight_decay)

    def decay(self, p: Array, rate: Array) -> Array:
        """The equation above."""
        return p - (self.weight_decay * rate) * p


# By the argument of `Optimizer` that asks for each, in the order of the chain.
TRANSFORMS: dict[str, type[Transform]] = {
    "clip_value": ClipValue,
    "clip_norm": ClipNorm,
    "gradient_noise": GradientNoise,
    "l2": L2,
    "l1": L1,
    "weight_decay": WeightDecay,
}


def checked_transforms(owner: str, transforms: Any) -> tuple[Transform, ...]:
    """Those of a list of transforms and functions.

    Raises:
        TypeError: no list, or something else in it.
        ValueError: one of all parameters behind one of the weights alone.
    """
    asked = f"{owner}: transforms: expected a list of Transform objects and functions"
    if not isinstance(transforms, list | tuple):
        raise TypeError(f"{asked}, got {transforms!r}")
    found: list[Transform] = []
    for one in transforms:
        if isinstance(one, type) or not (isinstance(one, Transform) or callable(one)):
            hint = "; call the class" if isinstance(one, type) else ""
            raise TypeError(f"{asked}, got {one!r} among them{hint}")
        found.append(one if isinstance(one, Transform) else FunctionTransform(one))
    order = [one.of_weights for one in found]
    if order != sorted(order):
        raise ValueError(
            f"{owner}: transforms: expected those of all parameters before those of "
            f"the weights alone (of_weights), got {found!r}"
        )
    return tuple(found)


def apply_chain(
    chain: Sequence[tuple[Transform, dict[str, Array]]],
    p: Array,
    g: Array,
    rate: Array,
    used: Array | None,
) -> tuple[Array, Array]:
    """(p, g) after all of `chain`.

    Args:
        chain: each with its own numbers of the step.
        p, g: (..., n).
        rate: η.
        used: (n,), 1 where a parameter lies and 0 between; None where all are.
    """
    for transform, own in chain:
        new = transform.apply(p, g, rate=rate, **own)
        shape = getattr(new, "shape", None)
        if shape is None or tuple(shape) != tuple(g.shape):
            got = type(new).__name__ if shape is None else f"shape {tuple(shape)}"
            expected = f"expected a gradient of shape {tuple(g.shape)}"
            raise ValueError(f"{transform!r}: {expected}, got {got}")
        p, g = transform.decay(p, rate), new
        if used is not None and not transform.keeps_zeros:
            g = g * used
    return p, g
