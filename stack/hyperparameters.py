"""The numbers of an epoch's steps (rates, corrections) for all networks of a stack."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.optim import OPTIMIZERS, TRANSFORMS, Constant, Transform

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


PLAIN = frozenset((type(None), bool, int, float, str))
BUILT_IN = frozenset((*OPTIMIZERS.values(), *TRANSFORMS.values()))
RATES = {"learning_rate", "schedule", "transforms"}  # are looked at apart
# What the numbers of a step do not depend on either.
APART = RATES | {
    name
    for kind in TRANSFORMS.values()
    if kind.scalars is Transform.scalars
    for name in kind.arguments()
}


class Numbers:
    """Tables (steps, k, names), computed once for all networks that share them."""

    def __init__(self, trainers: Sequence["Trainer"]) -> None:
        self._trainers = trainers
        self._rules: list[tuple[Any, ...]] = []
        for i, trainer in enumerate(trainers):
            rule, own = trainer.optimizer, list[Any]([trainer.average])
            for thing in list[Any]([rule, *rule.transforms]):
                if thing is not rule and not thing.has_scalars:
                    continue
                kind = type(thing)
                apart = APART if kind in BUILT_IN else RATES
                own.append(kind)
                for name, value in vars(thing).items():
                    if name not in apart:
                        # An object of your own: numbers that no other network shares.
                        own.append((name, repr(value) if type(value) in PLAIN else i))
            self._rules.append(tuple(own))

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
    ) -> list[tuple[list[int], NDArray]]:
        """[(networks, the numbers of their next steps, (steps, names))].

        Args:
            steps: of each network.
            frozen: whose rate is 0.
        """
        found: list[tuple[list[int], NDArray]] = []
        same_numbers: dict[Hashable, list[int]] = {}
        for i, trainer in enumerate(self._trainers):
            if frozen[i]:
                idle = self.idle(i)
                found.append(([i], np.broadcast_to(idle, (steps[i], len(idle)))))
                continue
            rates = trainer.rates
            key: Hashable = i
            schedule: Any = rates.schedule
            if type(schedule) is Constant:
                schedule = schedule.rate
            # Else a function, perhaps of the caller's own class without a hash.
            if getattr(schedule, "__hash__", None) is not None:
                own = (schedule, rates.scale, rates.fixed, trainer.steps_done)
                key = (steps[i], self._rules[i], own)
            same_numbers.setdefault(key, []).append(i)
        for networks in same_numbers.values():
            trainer = self._trainers[networks[0]]
            done = trainer.steps_done
            now = trainer.rates.of(done, steps[networks[0]])
            found.append((networks, trainer.rule.table(now, done + 1)))
        return found

    def idle(self, i: int) -> NDArray:
        """The numbers of a step that leaves network i where it is."""
        trainer = self._trainers[i]
        (row,) = trainer.rule.table([0.0], trainer.steps_done + 1)
        found: NDArray = row
        return found
