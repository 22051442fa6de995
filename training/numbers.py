"""The numbers of an epoch's steps (rates, corrections) for all networks of a stack."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

# What the numbers of a step do not depend on, and the rate, which is looked at apart.
APART = {"learning_rate", "l1", "l2", "weight_decay", "clip_value", "clip_norm"}


class Numbers:
    """Tables (steps, k, names), computed once for all networks that share them."""

    def __init__(self, trainers: Sequence["Trainer"]) -> None:
        self._trainers = trainers
        self._rules = [_plain(t.optimizer.config()) for t in trainers]
        self.names = list(trainers[0].optimizer.scalars(1.0, 1))

    def table(self, steps: int, frozen: Sequence[bool]) -> np.ndarray[Any, Any]:
        """The numbers of the next `steps` steps; a frozen network's rate is 0."""
        first = self._trainers[0]
        table = np.empty((steps, len(self._trainers), len(self.names)), first.dtype)
        known: dict[Hashable, np.ndarray[Any, Any]] = {}
        for i, trainer in enumerate(self._trainers):
            rates, done = trainer.rates, trainer.steps_done
            key = (
                (self._rules[i], rates.schedule, rates.scale, rates.fixed, done)
                if _hashable(rates.schedule)
                else i
            )
            if frozen[i]:
                table[:, i] = self.idle(i)
                continue
            if key not in known:
                known[key] = self._column(trainer, steps)
            table[:, i] = known[key]
        return table

    def _column(self, trainer: "Trainer", steps: int) -> np.ndarray[Any, Any]:
        rows = [
            list(trainer.optimizer.scalars(trainer.rates.at(t), t + 1).values())
            for t in range(trainer.steps_done, trainer.steps_done + steps)
        ]
        return np.array(rows).reshape(steps, len(self.names))

    def idle(self, i: int) -> list[float]:
        """The numbers of a step that leaves network i where it is."""
        trainer = self._trainers[i]
        numbers = trainer.optimizer.scalars(0.0, trainer.steps_done + 1)
        return list(numbers.values())


def _plain(config: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((k, repr(v)) for k, v in config.items() if k not in APART)


def _hashable(value: Any) -> bool:
    return isinstance(value, Hashable)
