"""The numbers of an epoch's steps (rates, corrections) for all networks of a stack."""

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.optim import TRANSFORMS, Transform

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


# What the numbers of a step do not depend on, and what is looked at apart.
APART = {"learning_rate", "schedule", "transforms"} | {
    name
    for kind in TRANSFORMS.values()
    if kind.scalars is Transform.scalars
    for name in kind.arguments()
}


class Numbers:
    """Tables (steps, k, names), computed once for all networks that share them."""

    def __init__(self, trainers: Sequence["Trainer"]) -> None:
        self._trainers = trainers
        self._rules = [(_plain(t.optimizer), t.average) for t in trainers]

    def table(self, steps: int, frozen: Sequence[bool]) -> NDArray:
        """The numbers of the next `steps` steps; a frozen network's rate is 0."""
        first = self._trainers[0]
        names = first.rule.numbers.shape[-1]
        table = np.empty((steps, len(self._trainers), names), first.dtype)
        for networks, numbers in self.shared([steps] * len(frozen), frozen):
            table[:, networks] = numbers[:, None]
        return table

    def shared(
        self, steps: Sequence[int], frozen: Sequence[bool]
    ) -> Iterator[tuple[list[int], NDArray]]:
        """(networks, the numbers of their next steps, (steps, names)).

        Args:
            steps: of each network.
            frozen: whose rate is 0.
        """
        same_numbers: dict[Hashable, list[int]] = {}
        for i in range(len(self._trainers)):
            if frozen[i]:
                idle = self.idle(i)
                yield [i], np.broadcast_to(idle, (steps[i], len(idle)))
            else:
                same_numbers.setdefault((steps[i], self._key(i)), []).append(i)
        for networks in same_numbers.values():
            trainer = self._trainers[networks[0]]
            done = trainer.steps_done
            rates = trainer.rates.of(done, steps[networks[0]])
            yield networks, trainer.rule.table(rates, done + 1)

    def _key(self, i: int) -> Hashable:
        """Equal for networks whose numbers are."""
        trainer = self._trainers[i]
        rates = trainer.rates
        schedule: Any = rates.schedule  # a function, perhaps of the caller's own class
        if not isinstance(schedule, Hashable):
            return i
        own = (rates.schedule, rates.scale, rates.fixed, trainer.steps_done)
        return self._rules[i], own

    def idle(self, i: int) -> NDArray:
        """The numbers of a step that leaves network i where it is."""
        trainer = self._trainers[i]
        (row,) = trainer.rule.table([0.0], trainer.steps_done + 1)
        found: NDArray = row
        return found


def _plain(rule: Any) -> tuple[Any, ...]:
    """Equal for rules that give equal numbers."""
    numbered = [rule, *[one for one in rule.transforms if one.has_scalars]]
    return tuple([(type(one), k, repr(v)) for one in numbered for k, v in _own(one)])


def _own(thing: Any) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in vars(thing).items() if k not in APART]
