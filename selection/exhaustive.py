"""The exhaustive search: every setting on every split to the end, with its file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from xpnet.common.console import warn
from xpnet.selection.identity import identity, network
from xpnet.selection.jobs import Job, Networks, naming
from xpnet.selection.results import Results
from xpnet.selection.runner import Runner
from xpnet.selection.space import Settings
from xpnet.selection.store import (
    Midway,
    Store,
    enter,
    epochs_between_saves,
    settings_text,
)
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training.callbacks import check_callbacks


class Exhaustive:
    """Trains every setting on every split, in as few stacks as possible.

    Args:
        runner: of the data.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner, self._warned = runner, False

    def run(self, settings: Sequence[Settings]) -> Results:
        """Train and score every setting on every split."""
        runner = self.runner
        trials = [runner.trial(row) for row in settings]
        probes = [runner.network(trial.settings, 0) for trial in trials]
        runner.decide(settings, probes)
        jobs: dict[Any, list[Job]] = {}
        for trial, probe in zip(trials, probes, strict=True):
            kind = stack_key(probe)
            for number in range(len(runner.splits)):
                job = runner.job(trial, number)
                key = (kind, job.epochs, job.batch_size)
                jobs.setdefault(key, []).append(job)
        with self._store() as store:
            if store is not None:
                self._fill([job for group in jobs.values() for job in group], store)
            # The stacks of an uninterrupted search, so that the numbers are equal.
            stacks = [s for group in jobs.values() for s in runner.stacks(group)]
            left = [[job for job in stack if not job.done] for stack in stacks]
            total = sum(job.epochs for jobs in left for job in jobs)
            with runner.bar(total) as progress:
                for chosen in filter(None, left):
                    for networks in self._stackable(chosen):
                        if not runner.interrupted:
                            self._train(networks, store, progress)
            if store is not None and not runner.interrupted:
                store.midway.unlink(missing_ok=True)
        return runner.results(trials)

    @contextmanager
    def _store(self) -> Iterator[Store | None]:
        """The search's file, locked while the search runs; None without one."""
        runner, o = self.runner, self.runner.options
        if o.file is None:
            yield None
            return
        splits = [(s.train, s.test, s.validation) for s in runner.splits]
        weights = None if o.sample_weight is None else np.asarray(o.sample_weight)
        data, hooks = (
            (runner.x, runner.y, weights, splits),
            check_callbacks(o.callbacks),
        )
        fit = (o.epochs, o.batch_size, o.validation, o.class_weight, hooks)
        rest = (o.scale, o.scale_y, o.seed, runner.train_scores)
        with Store.open(o.file, identity((data, fit, rest))) as store:
            yield store

    def _fill(self, jobs: list[Job], store: Store) -> None:
        """Enter the results of these jobs that the file has."""
        texts = {(row["settings"], row["part"]) for row in store.rows.values()}
        networks: dict[tuple[int, int], str] = {}
        changed = 0
        for job in jobs:
            made = (id(job.trial), self.runner.splits[job.split].repeat)
            if made not in networks:
                networks[made] = network(self.runner.network_of(job))
            job.key = identity([networks[made], job.split, job.epochs, job.batch_size])
            row = store.rows.get(job.key)
            if row is not None:
                enter(job.trial, row)
            elif (settings_text(job.trial.settings), job.split) in texts:
                changed += 1
        if changed:
            warn(
                f"{store.path}: {changed} of its results are of other networks (make, "
                "its dtype, its device or a version has changed since); they are "
                "trained again",
                stacklevel=4,
            )

    def _stackable(self, jobs: Sequence[Job]) -> list[Networks]:
        """The jobs with their networks, grouped by what one stack can hold."""
        found: dict[Any, Networks] = {}
        for job in jobs:
            trainer = self.runner.network_of(job)
            found.setdefault(stack_key(trainer), []).append((job, trainer))
        if len(found) > 1 and not self._warned:
            self._warned = True
            warn(
                "make: gives other layers, functions or metrics with each call, so the "
                "networks of a setting train one by one; make such functions outside",
                stacklevel=4,
            )
        return list(found.values())

    def _train(
        self,
        networks: Networks,
        store: Store | None,
        progress: Callable[[int], object],
    ) -> None:
        """Train, score and store one stack."""
        runner, jobs = self.runner, [job for job, _ in networks]
        data, epochs = runner.fold_data(jobs), jobs[0].epochs
        midway = self._midway(networks, store)
        done, every = 0, epochs
        if midway is not None:
            every = self._every(networks)
            done = midway.restore([trainer for _, trainer in networks])
        counted, total = done * len(jobs), epochs * len(jobs)
        progress(counted)

        def count(epochs: int) -> None:
            nonlocal counted
            counted += epochs
            progress(epochs)

        while networks:
            stack = Stack([trainer for _, trainer in networks])
            jobs = [job for job, _ in networks]
            runner.fit(stack, data, jobs, min(every, epochs - done), count)
            if runner.interrupted:
                return
            done += min(every, epochs - done)
            ended = list(stack.errors) if done < epochs else range(len(jobs))
            rows = runner.scores(stack, data, jobs) if ended else []
            for i in ended:
                enter(jobs[i].trial, rows[i])
            if store is not None and ended:
                store.add([jobs[i].row(rows[i]) for i in ended])
            networks = [n for i, n in enumerate(networks) if i not in ended]
            midway = self._midway(networks, store)
            if midway is not None:
                midway.save([trainer for _, trainer in networks], done)
        progress(total - counted)

    def _midway(self, networks: Networks, store: Store | None) -> Midway | None:
        """The file of these networks while they train; None without one."""
        callbacks = check_callbacks(self.runner.options.callbacks)
        if store is None or callbacks or not networks:
            return None
        return Midway(store.midway, [job.key for job, _ in networks])

    def _every(self, networks: Networks) -> int:
        """Epochs between two saves of a stack."""
        for job, trainer in networks:
            with naming(job.trial.settings, [job]):
                trainer.build(self.runner.x.shape[1:])
        rows = [len(self.runner.splits[job.split].train) for job, _ in networks]
        size = networks[0][0].batch_size
        steps = sum(-(-n // (size or n)) for n in rows)
        trainers = [trainer for _, trainer in networks]
        return epochs_between_saves(trainers, steps, sum(rows))
