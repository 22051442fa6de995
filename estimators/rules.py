"""Adam and momentum in the forms of scikit-learn and Keras."""

from xpnet.backend import Array
from xpnet.optim import SGD, Adam


class PlainAdam(Adam):
    """Adam whose eps is added before the correction of v.

        p ← p - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + eps)

    Kingma and Ba (2014), arXiv:1412.6980, end of section 2, with ε̂ for eps.
    """

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        """The numbers of step t; eps stays as it is."""
        found = super().scalars(rate, t)
        found["eps"] = self.eps
        return found


class Velocity(SGD):
    """Momentum whose velocity is a change of p.

        v ← μ v - η g
        p ← p + v                   (Nesterov: p ← p + μ v - η g)

    `SGD` keeps -v / η: the same while η is constant.
    """

    def update(
        self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array
    ) -> tuple[Array, ...]:
        """The equations above."""
        if not slots:
            return (p - rate * g,)
        v = self.momentum * slots[0] - rate * g
        return p + (self.momentum * v - rate * g if self.nesterov else v), v
