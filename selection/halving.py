"""Successive halving: most settings are stopped early, the rest continue."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.selection.jobs import Job
from xpnet.selection.monitor import Monitor
from xpnet.selection.results import Results, Trial, rank
from xpnet.selection.runner import Runner
from xpnet.selection.space import Settings
from xpnet.selection.store import enter
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training.trainer import Trainer


def rounds(trials: int, epochs: int, factor: float) -> list[tuple[int, int]]:
    """[(settings, epochs in all), ...]; the last round has the full number of epochs.

    Each round has 1/factor of the settings and `factor` times the epochs of the round
    before; there are as many rounds as the settings and the epochs allow.
    """
    last = int(math.log(min(trials, epochs)) / math.log(factor) + 1e-9)
    return [
        (max(1, int(trials / factor**i)), max(1, round(epochs / factor ** (last - i))))
        for i in range(last + 1)
    ]


class Halving:
    """One search.

    Args:
        runner: of the data.
        factor: ratio of the numbers of settings of two rounds.
    """

    def __init__(self, runner: Runner, factor: float) -> None:
        options = runner.options
        for name, set_ in (("callbacks", options.callbacks), ("file", options.file)):
            if set_:
                raise ValueError(
                    f"{name}: expected none, since halving itself ends trainings "
                    "early; use random_search"
                )
        self.runner, self.factor = runner, factor
        self.networks: dict[tuple[int, int], Trainer] = {}
        self.stacks: list[Stack] = []  # of the last round

    def run(self, settings: Sequence[Settings]) -> Results:
        """Train all settings, round by round."""
        runner = self.runner
        for row in settings:
            if "epochs" in row:
                raise ValueError(
                    "epochs: expected an option, since halving sets the epochs of each "
                    "setting, got a setting"
                )
        trials = [runner.trial(row) for row in settings]
        monitor = runner.decide(settings, [runner.network(row, 0) for row in settings])
        plan = rounds(len(trials), runner.options.epochs, self.factor)
        steps = np.diff([epochs for _, epochs in plan], prepend=0).tolist()
        networks = [count * len(runner.splits) for count, _ in plan]
        alive, before = list(trials), 0
        with runner.bar(int(np.dot(networks, steps))) as progress:
            for count, epochs in plan:
                alive = self._narrowed(alive, count, monitor, before)
                self._train(alive, epochs - before, progress)
                before = epochs
                if runner.interrupted or not alive:
                    break
        return runner.results(trials)

    def _narrowed(
        self, trials: list[Trial], count: int, monitor: Monitor, epochs: int
    ) -> list[Trial]:
        """The best `count`; the others stop, and so do those that diverged."""
        if epochs == 0:
            return trials
        sound = [trial for trial in trials if not trial.errors]
        sound.sort(key=lambda trial: rank(trial, *monitor))
        for trial in sound[count:]:
            trial.stopped_early = f"stopped after {epochs} epoch{'s' * (epochs > 1)}"
            for key in [key for key in self.networks if key[0] == id(trial)]:
                del self.networks[key]
        return sound[:count]

    def _train(self, trials: list[Trial], epochs: int, progress: Any) -> None:
        """Train every trial on every split for `epochs` more epochs."""
        runner, groups = self.runner, dict[Any, list[Job]]()
        before, self.stacks = self.stacks, []
        for trial in trials:
            for number in range(len(runner.splits)):
                if number in trial.errors:
                    continue
                key, job = (id(trial), number), runner.job(trial, number)
                if key not in self.networks:
                    self.networks[key] = runner.network_of(job)
                kind = (stack_key(self.networks[key]), job.batch_size)
                groups.setdefault(kind, []).append(job)
        for group in groups.values():
            for jobs in runner.stacks(group):
                networks = [self.networks[id(j.trial), j.split] for j in jobs]
                stack = _stacked(networks, before)
                self.stacks.append(stack)
                data = runner.fold_data(jobs)
                runner.fit(stack, data, jobs, epochs, progress)
                if runner.interrupted:
                    return
                rows = runner.scores(stack, data, jobs)
                for job, row in zip(jobs, rows, strict=True):
                    enter(job.trial, row)


def _stacked(networks: list[Trainer], earlier: Sequence[Stack]) -> Stack:
    """A stack of these networks: a part of an earlier one, which has the programs."""
    for stack in earlier:
        places = {id(trainer): i for i, trainer in enumerate(stack.trainers)}
        if all(id(network) in places for network in networks):
            return stack.part([places[id(network)] for network in networks])
    return Stack(networks)
