"""Successive halving: most settings leave early, the rest goes on where it is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.selection.results import Results, Trial, rank
from xpnet.selection.runner import Job, Monitor, Runner
from xpnet.selection.space import Settings
from xpnet.selection.store import enter
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training.trainer import Trainer


def rounds(trials: int, epochs: int, factor: float) -> list[tuple[int, int]]:
    """[(settings, epochs in all), ...]: the last has the full number of epochs.

    1/factor of the settings goes on from each to the next, for `factor` times as many
    epochs; as many rounds as the settings, and the epochs, allow.
    """
    last = int(math.log(min(trials, epochs)) / math.log(factor) + 1e-9)
    return [
        (max(1, int(trials / factor**i)), max(1, round(epochs / factor ** (last - i))))
        for i in range(last + 1)
    ]


class Halving:
    """One search.

    Args:
        runner: knows the data and makes networks.
        factor: how much each round narrows the field.
    """

    def __init__(self, runner: Runner, factor: float) -> None:
        options = runner.options
        for name, set_ in (("callbacks", options.callbacks), ("file", options.file)):
            if set_:
                raise ValueError(
                    f"{name}: expected none, for halving itself ends trainings early; "
                    "use random_search"
                )
        self.runner, self.factor = runner, factor
        self.networks: dict[tuple[int, int], Trainer] = {}

    def run(self, settings: Sequence[Settings]) -> Results:
        """Every setting as far as it gets."""
        runner = self.runner
        for row in settings:
            if "epochs" in row:
                raise ValueError(
                    "epochs: expected an option, for halving gives epochs itself, got "
                    "a setting"
                )
        trials = [runner.trial(row) for row in settings]
        monitor = runner.decide(settings, [runner.network(row, 0) for row in settings])
        plan = rounds(len(trials), runner.options.epochs, self.factor)
        steps = np.diff([epochs for _, epochs in plan], prepend=0).tolist()
        networks = [count * len(runner.parts) for count, _ in plan]
        alive, before = list(trials), 0
        with runner.bar(int(np.dot(networks, steps))) as told:
            for count, epochs in plan:
                alive = self._narrowed(alive, count, monitor, before)
                self._train(alive, epochs - before, told)
                before = epochs
                if runner.interrupted or not alive:
                    break
        return runner.results(trials)

    def _narrowed(
        self, trials: list[Trial], count: int, monitor: Monitor, epochs: int
    ) -> list[Trial]:
        """The best `count`; the others leave, and so do those that diverged."""
        if epochs == 0:
            return trials
        sound = [trial for trial in trials if not trial.errors]
        sound.sort(key=lambda trial: rank(trial, *monitor))
        for trial in sound[count:]:
            trial.left = f"left after {epochs} epoch{'s' if epochs > 1 else ''}"
            for key in [key for key in self.networks if key[0] == id(trial)]:
                del self.networks[key]
        return sound[:count]

    def _train(self, trials: list[Trial], epochs: int, told: Any) -> None:
        """`epochs` more of every trial on every part."""
        runner, groups = self.runner, dict[Any, list[Job]]()
        for trial in trials:
            for number, part in enumerate(runner.parts):
                if number in trial.errors:
                    continue
                key = (id(trial), number)
                if key not in self.networks:
                    self.networks[key] = runner.network(trial.settings, part.repeat)
                job = runner.job(trial, number)
                kind = (stack_key(self.networks[key]), job.batch_size)
                groups.setdefault(kind, []).append(job)
        for group in groups.values():
            for jobs in runner.stacks(group):
                stack = Stack([self.networks[id(j.trial), j.part] for j in jobs])
                material = runner.material(jobs)
                runner.fit(stack, material, jobs, epochs, told)
                if runner.interrupted:
                    return
                rows = runner.scores(stack, material, jobs)
                for job, row in zip(jobs, rows, strict=True):
                    enter(job.trial, row)
