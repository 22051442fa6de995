"""What the course of the loss and the size of the steps say of the learning rate."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.diagnosis.report import Diagnosis, Finding
from xpnet.diagnosis.thresholds import THRESHOLDS

LOOKS = 3  # the fewest that show a course
LEARNT = 0.5  # of the loss is gone: flat units and large steps have done their work
CAME_DOWN = 0.2  # of the loss is gone: the rate is not too low
TINY = 1e-300


class RateFindings:
    """Whether the learning rate is too high or too low."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self._seen, self._names = diagnosis, diagnosis.names
        self._layers = diagnosis.layers
        self._losses = np.array(diagnosis.losses, float)

    def gone(self) -> float:
        """The share of the loss before training that is gone at the end."""
        if not self._losses.size:
            return 0.0
        end = float(np.median(self._losses[-LOOKS:]))
        return 1.0 - end / max(float(self._losses[0]), TINY)

    def too_high(self) -> Iterator[Finding]:
        """The first of the signs: the loss rises or bounces, steps are large."""
        if self._seen.diverged:
            first = self._seen.diverged.partition(";")[0]
            yield self._high("rising loss", first, np.inf)
            return
        signs = {
            "rising loss": self._risen(),
            "bouncing loss": self._bounces(),
            "large steps": self._steps(np.median),
            "giant steps": self._steps(np.max, unless=self.gone() >= LEARNT),
        }
        words = {
            "rising loss": "the loss ends at {:.3g} times what it was before training",
            "bouncing loss": "the loss jumps up at {:.0%} of the looks",
            "large steps": "a step changes the weights of {name} by {:.0%}",
            "giant steps": "a step has changed the weights of {name} by {:.0%}, and "
            "the loss comes down by little",
        }
        for sign, (value, layer) in signs.items():
            if value > THRESHOLDS[sign].value:
                name = "" if layer is None else self._names[layer]
                yield self._high(
                    sign, words[sign].format(value, name=name), value, layer
                )
                return

    @staticmethod
    def _high(sign: str, words: str, value: float, layer: int | None = None) -> Finding:
        remedy = (
            "a tenth of the learning rate, a schedule such as `Cosine(1e-3, 1000)`, "
            "`Adam(clip_norm=1.0)`"
        )
        text = f"the learning rate is too high: {words}"
        return Finding.of(sign, layer, text, remedy, value)

    def _risen(self) -> tuple[float, None]:
        losses = self._losses
        if len(losses) < LOOKS:
            return 0.0, None
        last = losses[-max(1, len(losses) // 3) :]
        end = float(np.median(np.where(np.isnan(last), np.inf, last)))
        return end / max(float(losses[0]), TINY), None

    def _bounces(self) -> tuple[float, None]:
        if len(self._losses) < 2 * LOOKS:
            return 0.0, None
        jumps = np.diff(self._losses) > 0.2 * self._losses[0]
        return float(jumps.mean()), None

    def _steps(
        self, over: Callable[[NDArray], Any], unless: bool = False
    ) -> tuple[float, int | None]:
        """The layer whose weights change most, and how much, `over` the looks."""
        if unless:
            return 0.0, None
        columns = [c[np.isfinite(c)] for c in self._layers["update"].T]
        sizes = [float(over(c)) if c.size else 0.0 for c in columns]
        layer = int(np.argmax(sizes))
        return sizes[layer], layer

    def too_low(self) -> Iterator[Finding]:
        """Steps that are small beside the weights, and a loss that stays."""
        largest, layer = self._steps(np.max)
        slow = 0.0 < largest < THRESHOLDS["small steps"].value
        if len(self._losses) >= LOOKS and slow and self.gone() < CAME_DOWN:
            text = "the learning rate is too low: no step changes the weights by more "
            text += f"than {largest:.1g} of their size, and the loss came down by "
            text += f"{self.gone():.0%}"
            remedy = "ten times the learning rate, `Adam()`"
            yield Finding.of("small steps", layer, text, remedy, largest)
