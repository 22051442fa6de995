"""Settings × parts as stacks: what the searches have in common."""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.common import as_numbers, check_whole, nearest
from xpnet.selection.material import Material, Part, Values, with_validation
from xpnet.selection.options import Checked
from xpnet.selection.results import Results, Scores, Trial, shown_settings
from xpnet.selection.space import FIT, Settings
from xpnet.selection.store import Store, enter, fingerprint
from xpnet.training import Stack, Trainer, checks
from xpnet.training.stackable import stack_key

Maker = Callable[..., Trainer]
COPIES = 1 << 30  # bytes of scaled copies of the data in one stack, about


@dataclass(eq=False)
class Job:
    """One network to be trained: a trial on a part."""

    trial: Trial
    part: int
    epochs: int
    batch_size: int | None


class Runner:
    """Trains every setting on every part, as few stacks as their shapes allow.

    Args:
        make: settings -> Trainer.
        x, y: the data: the host's arrays, or what becomes one.
        options: checked.

    Attributes:
        train_scores: score the samples trained on as well.
        parts: what is trained and scored on, set by `cut`.
        labels: (samples,) classes whose shares the parts keep; None for other targets.
    """

    def __init__(
        self,
        make: Maker,
        x: Any,
        y: Any,
        options: Checked,
    ) -> None:
        self.make, self.options, self.train_scores = make, options, False
        self.x = checks.check_x(as_numbers(x, "x"), None, get_backend("cpu"))
        self.y = as_numbers(y, "y")
        self.parts: list[Part] = []
        self.labels: Values | None = None
        self.interrupted = False
        self._takes = set(inspect.signature(make).parameters)

    # Data.

    def check(self, settings: Settings) -> None:
        """See to it that all of the data fit the loss, before anything is trained.

        Raises:
            ValueError, TypeError: unfit targets or weights, as `Trainer.fit`.
        """
        trainer, n, options = self.network(settings, 0), len(self.x), self.options
        backend = trainer.backend
        checks.check_x(self.x, trainer.model.sample_shape, backend)
        width = trainer.model.copy().build(self.x.shape[1:]).n_outputs
        loss = trainer.loss_function
        checks.check_y(self.y, n, loss, width, backend)
        checks.check_finite(self.x, "x", backend)
        checks.check_finite(self.y, "y", backend)
        if options.scale is None:
            checks.check_fits(self.x, "x", trainer.dtype)
        if not options.scale_y:
            checks.check_fits(self.y, "y", trainer.dtype)
        w = checks.check_weights(options.sample_weight, n, backend, trainer.dtype)
        self.options = replace(options, sample_weight=w)
        if self.y.size == n and loss.targets != "values" and self.y.dtype.kind in "biu":
            self.labels = self.y.reshape(n)

    def cut(self, parts: Sequence[Part]) -> None:
        """Train and score on these parts from now on.

        Raises:
            ValueError: a part whose samples have no weight.
        """
        self.parts = with_validation(parts, self.labels, self.options)
        for i, part in enumerate(self.parts):
            for rows, word in (
                (part.train, "training"),
                (part.test, "test"),
                (part.held, "validation"),
            ):
                if rows is not None:
                    which = f"the {word} part of fold {i}"
                    checks.check_weighed(self.options.sample_weight, rows, which)

    # Networks.

    def network(self, settings: Settings, repeat: int) -> Trainer:
        """A new trainer for these settings.

        Raises:
            ValueError: settings that `make` refuses, with what it says.
            TypeError: `make` gives something else than a Trainer.
        """
        arguments = {
            k: v for k, v in settings.items() if k not in FIT or k in self._takes
        }
        if "seed" in self._takes:
            arguments.setdefault("seed", self.options.seed)
            arguments["seed"] = int(arguments["seed"]) + repeat
        with checks.naming(f"setting {shown_settings(Trial(settings, []))}"):
            trainer = self.make(**arguments)
        if not isinstance(trainer, Trainer):
            raise TypeError(
                f"make: expected a function that gives a Trainer, got {trainer!r}"
            )
        return trainer

    def job(self, trial: Trial, part: int) -> Job:
        """A trial on a part; epochs and batch size may be settings."""
        settings, options = trial.settings, self.options
        epochs = settings.get("epochs", options.epochs)
        epochs = check_whole("", "epochs", epochs, 1)
        size = settings.get("batch_size", options.batch_size)
        if size is not None:
            most = max(len(part.train) for part in self.parts)
            size = checks.check_batch_size(size, most, "samples of a training part")
        return Job(trial, part, epochs, size)

    # The search.

    def run(self, settings: Sequence[Settings]) -> Results:
        """Every setting on every part."""
        trials = [self.trial(row) for row in settings]
        probes = [self.network(trial.settings, 0) for trial in trials]
        monitor = self.monitor(probes[0])
        store = self._store()
        if store is not None:
            store.fill(trials)
        jobs: dict[Any, list[Job]] = {}
        for trial, probe in zip(trials, probes, strict=True):
            kind = stack_key(probe)
            for number in range(len(self.parts)):
                job = self.job(trial, number)
                if trial.scores[number] is None and number not in trial.errors:
                    key = (kind, job.epochs, job.batch_size)
                    jobs.setdefault(key, []).append(job)
        total = sum(job.epochs for group in jobs.values() for job in group)
        with self.bar(total) as told:
            for group in jobs.values():
                for chosen in self.stacks(group):
                    self._train(chosen, store, told)
                    if self.interrupted:
                        return self.results(trials, monitor)
        return self.results(trials, monitor)

    def trial(self, settings: Settings) -> Trial:
        """An empty one."""
        n = len(self.parts)
        return Trial(settings, [None] * n, [None] * n, {}, [0] * n)

    def results(self, trials: list[Trial], monitor: str) -> Results:
        """What has come of the trials."""
        results = Results(trials, monitor)
        results.interrupted = self.interrupted
        return results

    def monitor(self, trainer: Trainer) -> str:
        """The score that decides, for networks like this one."""
        known = ["loss", *trainer.metrics]
        first = next(
            (name for name in ("r2", *trainer.metrics) if name in known), "loss"
        )
        monitor = first if self.options.monitor is None else self.options.monitor
        if monitor not in known:
            raise ValueError(
                f"monitor: no score {monitor!r}; {nearest(monitor, known)}"
            )
        return monitor

    def _store(self) -> Store | None:
        o = self.options
        if o.file is None:
            return None
        rows = [
            a for p in self.parts for a in (p.train, p.test, p.held) if a is not None
        ]
        weights = [] if o.sample_weight is None else [o.sample_weight]
        callbacks = (
            o.callbacks if isinstance(o.callbacks, list | tuple) else [o.callbacks]
        )
        made = [
            (type(c).__name__, sorted(map(repr, vars(c).items()))) for c in callbacks
        ]
        words = (
            getattr(self.make, "__qualname__", type(self.make).__qualname__),
            *(o.epochs, o.batch_size, o.validation, o.class_weight, o.scale, o.scale_y),
            *(o.seed, made, self.train_scores),
        )
        return Store(o.file, fingerprint([self.x, self.y, *weights, *rows], words))

    def stacks(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """The jobs of one shape, cut into stacks; few scaled copies in each."""
        scaled = self.options.scale is not None or self.options.scale_y
        copies = max(1, COPIES // max(1, self.x.nbytes)) if scaled else len(self.parts)
        jobs = sorted(jobs, key=lambda job: job.part) if scaled else jobs
        chosen: list[Job] = []
        for job in jobs:
            parts = {job.part, *(other.part for other in chosen)}
            if chosen and (len(chosen) == self.options.at_once or len(parts) > copies):
                yield chosen
                chosen = []
            chosen.append(job)
        if chosen:
            yield chosen

    def _train(
        self, jobs: list[Job], store: Store | None, told: Callable[[int], object]
    ) -> None:
        """One stack: train, score, keep."""
        trainers = [
            self.network(j.trial.settings, self.parts[j.part].repeat) for j in jobs
        ]
        stack, material, done = Stack(trainers), self.material(jobs), 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            told(count)

        self.fit(stack, material, jobs, jobs[0].epochs, tell)
        if self.interrupted:
            return
        told(len(jobs) * jobs[0].epochs - done)
        rows = self.scores(stack, material, jobs)
        for job, row in zip(jobs, rows, strict=True):
            enter(job.trial, row)
        if store is not None:
            store.add([(job.trial, row) for job, row in zip(jobs, rows, strict=True)])

    def material(self, jobs: Sequence[Job]) -> Material:
        """The data that these jobs draw from."""
        numbers = dict.fromkeys(job.part for job in jobs)
        parts = {number: self.parts[number] for number in numbers}
        return Material.of(self.x, self.y, parts, self.options)

    def fit(
        self,
        stack: Stack,
        material: Material,
        jobs: Sequence[Job],
        epochs: int,
        told: Callable[[int], object],
    ) -> None:
        """Train a stack for `epochs` more epochs; notes an interruption."""
        o = self.options
        held = None
        if o.validation:
            held = [material.rows(j.part, self._held(j.part)) for j in jobs]
        histories = stack.fit(
            material.x,
            material.y,
            epochs,
            jobs[0].batch_size,
            rows=[material.rows(j.part, self.parts[j.part].train) for j in jobs],
            validation_rows=held,
            callbacks=o.callbacks,
            sample_weight=material.w,
            class_weight=o.class_weight,
            memory=o.memory,
            progress=told,
        )
        if any(h.stopped.startswith("interrupted") for h in histories):
            self.interrupted = True

    def _held(self, number: int) -> Any:
        held = self.parts[number].held
        assert held is not None
        return held

    def scores(
        self, stack: Stack, material: Material, jobs: Sequence[Job]
    ) -> list[dict[str, Any]]:
        """Each network's result, as the file holds it."""
        test = self._score(
            stack, material, jobs, [self.parts[j.part].test for j in jobs]
        )
        train: list[Scores | None] = [None] * len(jobs)
        if self.train_scores:
            own = [self.parts[j.part].train for j in jobs]
            train = list(self._score(stack, material, jobs, own))
        found = []
        for i, job in enumerate(jobs):
            error = str(stack.errors.get(i, ""))
            bad = [n for n, v in test[i].items() if not math.isfinite(v)]
            if bad and not error:
                error = f"{bad[0]} is {test[i][bad[0]]}"
            found.append(
                {
                    "part": job.part,
                    "scores": None if error else test[i],
                    "train_scores": None if error else train[i],
                    "error": error,
                    "epochs": stack[i].epochs_done,
                }
            )
        return found

    def _score(
        self, stack: Stack, material: Material, jobs: Sequence[Job], rows: list[Any]
    ) -> list[Scores]:
        own = [material.rows(j.part, r) for j, r in zip(jobs, rows, strict=True)]
        scores = stack.evaluate(material.x, material.y, own, material.w)
        if not material.y_scalers:
            return scores
        outputs = stack.predict(material.x, own)
        w = self.options.sample_weight
        for i, job in enumerate(jobs):
            with np.errstate(all="ignore"):
                finite = np.isfinite(outputs[i]).all()
            if not finite:
                continue
            p = material.y_scalers[job.part].inverse(outputs[i])
            y = self.y.reshape(len(self.y), -1)[rows[i]]
            weights = None if w is None else w[rows[i]]
            for name, metric in stack[i].metrics.items():
                scores[i][name] = float(metric(p, y, weights))
        return scores

    @contextmanager
    def bar(self, total: int) -> Iterator[Callable[[int], object]]:
        """A bar over `total` epochs of networks, with the time left."""
        verbose = self.options.verbose
        if not (sys.stderr.isatty() if verbose is None else verbose):
            yield lambda count: None
            return
        from tqdm import tqdm

        with tqdm(total=total, unit="epoch", leave=False) as bar:
            yield bar.update
