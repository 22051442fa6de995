"""Settings × parts as stacks: what the searches have in common."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.common import check_whole, nearest
from xpnet.common.arrays import as_numbers
from xpnet.common.console import bar, warn
from xpnet.selection.identity import identity, network
from xpnet.selection.material import Material, Part, Values, with_validation
from xpnet.selection.midway import Midway, stretch
from xpnet.selection.options import Checked
from xpnet.selection.results import Results, Scores, Trial, shown_settings
from xpnet.selection.space import FIT, Settings
from xpnet.selection.store import Store, enter, settings_text
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training import inputs, scored
from xpnet.training.callbacks import check_callbacks, check_monitors
from xpnet.training.history import History, check_mode, direction
from xpnet.training.inputs import check_y
from xpnet.training.metrics import Metric, check_metrics, r2, varies
from xpnet.training.trainer import Trainer

Maker = Callable[..., Trainer]
Monitor = tuple[str, bool]  # a score, and whether a higher one is better
NAMED = (  # errors that are made anew with a setting's name in front
    *(ValueError, TypeError, AttributeError, NameError, RuntimeError, MemoryError),
    *(LookupError, KeyError, IndexError, NotImplementedError, AssertionError),
    *(ArithmeticError, ZeroDivisionError, OverflowError, FloatingPointError),
)
COPIES = 1 << 30  # bytes of scaled copies of the data in one stack, about


@dataclass(eq=False)
class Job:
    """One network to be trained: a trial on a part.

    Attributes:
        key: under which a file keeps its result.
    """

    trial: Trial
    part: int
    epochs: int
    batch_size: int | None
    key: str = ""

    def row(self, result: dict[str, Any]) -> dict[str, Any]:
        """Its result as a file keeps it."""
        return {
            "key": self.key,
            "settings": settings_text(self.trial.settings),
            **result,
        }

    @property
    def done(self) -> bool:
        """Whether it has a result, or is known to have none."""
        return (
            self.trial.scores[self.part] is not None or self.part in self.trial.errors
        )


Networks = list[tuple[Job, Trainer]]


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
        self.x = inputs.check_x(as_numbers(x, "x"), None, get_backend("cpu"))
        self.y = as_numbers(y, "y")
        self.parts: list[Part] = []
        self.labels: Values | None = None
        self.interrupted = self._told_apart = False
        self.monitor, self.higher_is_better = "loss", dict[str, bool | None]()
        self._takes = set(inspect.signature(make).parameters)

    # Data.

    def check(self, settings: Settings) -> None:
        """See to it that all of the data fit the loss, before anything is trained.

        Raises:
            ValueError, TypeError: unfit targets or weights, as `Trainer.fit`.
        """
        trainer, n, options = self.network(settings, 0), len(self.x), self.options
        backend = trainer.backend
        inputs.check_x(self.x, trainer.model.sample_shape, backend)
        width = trainer.model.copy().build(self.x.shape[1:]).n_outputs
        loss = trainer.loss_function
        inputs.check_y(self.y, n, loss, width, backend)
        inputs.check_finite(self.x, "x", backend)
        inputs.check_finite(self.y, "y", backend)
        if options.scale is None:
            inputs.check_fits(self.x, "x", trainer.dtype)
        if not options.scale_y:
            inputs.check_fits(self.y, "y", trainer.dtype)
        w = inputs.check_weights(options.sample_weight, n, backend)
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
                    inputs.check_weighed(self.options.sample_weight, rows, which)

    # Networks.

    def network(self, settings: Settings, repeat: int) -> Trainer:
        """A new trainer for these settings.

        Raises:
            ValueError, TypeError: settings that `make` refuses, with what it says, or
                it gives something else than a Trainer.
        """
        arguments = {
            k: v for k, v in settings.items() if k not in FIT or k in self._takes
        }
        if "seed" in self._takes:
            arguments.setdefault("seed", self.options.seed)
            arguments["seed"] = int(arguments["seed"]) + repeat
        with _naming(settings):
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
        most = max(len(part.train) for part in self.parts)
        with _naming(settings):
            epochs = check_whole("", "epochs", epochs, 1)
            if size is not None:
                which = "samples of a training part"
                size = inputs.check_batch_size(size, most, which)
        return Job(trial, part, epochs, size)

    # The search.

    def run(self, settings: Sequence[Settings]) -> Results:
        """Every setting on every part."""
        trials = [self.trial(row) for row in settings]
        probes = [self.network(trial.settings, 0) for trial in trials]
        self.decide(settings, probes)
        jobs: dict[Any, list[Job]] = {}
        for trial, probe in zip(trials, probes, strict=True):
            kind = stack_key(probe)
            for number in range(len(self.parts)):
                job = self.job(trial, number)
                key = (kind, job.epochs, job.batch_size)
                jobs.setdefault(key, []).append(job)
        with self._store() as store:
            if store is not None:
                self._fill([job for group in jobs.values() for job in group], store)
            # Stacks are those of a search that was never stopped: so are the numbers.
            stacks = [s for group in jobs.values() for s in self.stacks(group)]
            left = [[job for job in stack if not job.done] for stack in stacks]
            with self.bar(sum(job.epochs for jobs in left for job in jobs)) as told:
                for chosen in filter(None, left):
                    for alike in self.alike(chosen):
                        if not self.interrupted:
                            self._train(alike, store, told)
            if store is not None and not self.interrupted:
                store.midway.unlink(missing_ok=True)
        return self.results(trials)

    def trial(self, settings: Settings) -> Trial:
        """An empty one."""
        n = len(self.parts)
        return Trial(settings, [None] * n, [None] * n, {}, [0] * n)

    def results(self, trials: list[Trial]) -> Results:
        """What has come of the trials."""
        results = Results(trials, self.monitor, self.higher_is_better)
        results.interrupted = self.interrupted
        return results

    def decide(
        self, settings: Sequence[Settings], probes: Sequence[Trainer]
    ) -> Monitor:
        """Which score decides, and whether a higher one is better, before any training.

        Args:
            settings: all of them.
            probes: a network of each, not trained.

        Raises:
            ValueError: a score that some networks lack, that is not defined on a test
                part, or of which it is not known what is better; a metric or a callback
                that does not fit.
        """
        callbacks = check_callbacks(self.options.callbacks)
        checked: list[Any] = []
        for row, probe in zip(settings, probes, strict=True):
            if probe.metrics not in checked:
                checked.append(probe.metrics)
                history = History.of(probe.metrics, bool(self.options.validation))
                check_monitors(callbacks, history)
                with _naming(row):
                    self._try_metrics(probe)
        self.monitor = self._monitor(checked[0])
        for metrics in checked:
            self._known(self.monitor, metrics)
        ends = {n: m.higher_is_better for each in checked for n, m in each.items()}
        for name in ends:  # settings that differ in it do not say what is better
            if len({m[name].higher_is_better for m in checked if name in m}) > 1:
                ends[name] = None
        self.higher_is_better = {"loss": False, **ends}
        mode = check_mode("", self.options.mode)
        if mode is not None:
            self.higher_is_better[self.monitor] = mode
        higher = self.higher_is_better[self.monitor]
        if len(probes) > 1:
            higher = direction("monitor", self.monitor, higher)
        return self.monitor, bool(higher)

    def _monitor(self, metrics: dict[str, Metric]) -> str:
        """The score that is named, or else fits the data."""
        named = self.options.monitor
        of_r2 = {name for name, metric in metrics.items() if metric is r2}
        part = self._flat_part() if of_r2 else None
        undefined = set() if part is None else of_r2
        if named in undefined and part is not None:
            raise ValueError(
                f"monitor: {named} is not defined where the targets do not vary, as "
                f"in test part {part} ({len(self.parts[part].test)} samples); use "
                "'loss' or 'mean_absolute_error'"
            )
        if named is not None:
            return named
        fit = [n for n in ("r2", *metrics) if n in metrics and n not in undefined]
        return (fit or ["loss"])[0]

    def _flat_part(self) -> int | None:
        """The first part whose test targets do not vary."""
        y = self.y.reshape(len(self.y), -1)
        tests = enumerate(part.test for part in self.parts)
        return next((i for i, rows in tests if not varies(y[rows])), None)

    def _known(self, monitor: str, metrics: dict[str, Metric]) -> None:
        known = ["loss", *metrics]
        if monitor not in known:
            raise ValueError(
                f"monitor: no score {monitor!r}; {nearest(monitor, known)}"
            )

    def _try_metrics(self, probe: Trainer) -> None:
        """On the targets of the first test part, as the network would have them."""
        outputs = probe.model.copy().build(self.x.shape[1:]).n_outputs
        loss, rows, n = probe.loss_function, self.parts[0].test, len(self.y)
        y = check_y(self.y, n, loss, outputs, get_backend("cpu"))
        w = scored.weights(self.options.sample_weight, n)
        w = None if w is None else w[rows]
        check_metrics(probe.metrics, y[rows], outputs, w, trial=True)

    @contextmanager
    def _store(self) -> Iterator[Store | None]:
        """The search's file, which is its own as long as it runs."""
        o = self.options
        if o.file is None:
            yield None
            return
        parts = [(p.train, p.test, p.held) for p in self.parts]
        weights = None if o.sample_weight is None else np.asarray(o.sample_weight)
        data, hooks = (self.x, self.y, weights, parts), check_callbacks(o.callbacks)
        fit = (o.epochs, o.batch_size, o.validation, o.class_weight, hooks)
        rest = (o.scale, o.scale_y, o.seed, self.train_scores)
        with Store.open(o.file, identity((data, fit, rest))) as store:
            yield store

    def _fill(self, jobs: list[Job], store: Store) -> None:
        """Enter what the file holds of these jobs."""
        texts = {(row["settings"], row["part"]) for row in store.rows.values()}
        networks: dict[tuple[int, int], str] = {}
        changed = 0
        for job in jobs:
            settings, repeat = job.trial.settings, self.parts[job.part].repeat
            made = (id(job.trial), repeat)
            if made not in networks:
                networks[made] = network(self.network(settings, repeat))
            job.key = identity([networks[made], job.part, job.epochs, job.batch_size])
            row = store.rows.get(job.key)
            if row is not None:
                enter(job.trial, row)
            elif (settings_text(settings), job.part) in texts:
                changed += 1
        if changed:
            warn(
                f"{store.path}: {changed} of its results are of other networks (make, "
                "its dtype, its device or a version has changed since); they are "
                "trained again",
                stacklevel=4,
            )

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

    def alike(self, jobs: Sequence[Job]) -> list[Networks]:
        """The jobs with their networks, those together that one stack can hold."""
        found: dict[Any, Networks] = {}
        for job in jobs:
            trainer = self.network(job.trial.settings, self.parts[job.part].repeat)
            found.setdefault(stack_key(trainer), []).append((job, trainer))
        if len(found) > 1 and not self._told_apart:
            self._told_apart = True
            warn(
                "make: gives other layers, functions or metrics with each call, so the "
                "networks of a setting train one by one; make such functions outside",
                stacklevel=4,
            )
        return list(found.values())

    def _train(
        self, networks: Networks, store: Store | None, told: Callable[[int], object]
    ) -> None:
        """One stack: train, score, keep."""
        jobs = [job for job, _ in networks]
        material, epochs = self.material(jobs), jobs[0].epochs
        midway = self._midway(networks, store)
        done, every = 0, epochs
        if midway is not None:
            every = self._every(networks)
            done = midway.restore([trainer for _, trainer in networks])
        told_of, all_told = done * len(jobs), epochs * len(jobs)
        told(told_of)

        def tell(count: int) -> None:
            nonlocal told_of
            told_of += count
            told(count)

        while networks:
            stack = Stack([trainer for _, trainer in networks])
            jobs = [job for job, _ in networks]
            self.fit(stack, material, jobs, min(every, epochs - done), tell)
            if self.interrupted:
                return
            done += min(every, epochs - done)
            failed = list(stack.errors) if done < epochs else range(len(jobs))
            rows = self.scores(stack, material, jobs) if failed else []
            for i in failed:
                enter(jobs[i].trial, rows[i])
            if store is not None and failed:
                store.add([jobs[i].row(rows[i]) for i in failed])
            networks = [n for i, n in enumerate(networks) if i not in failed]
            midway = self._midway(networks, store)
            if midway is not None:
                midway.save([trainer for _, trainer in networks], done)
        told(all_told - told_of)

    def _midway(self, networks: Networks, store: Store | None) -> Midway | None:
        """Where these networks are kept while they train; None where they are not."""
        if store is None or check_callbacks(self.options.callbacks) or not networks:
            return None
        return Midway(store.midway, [job.key for job, _ in networks])

    def _every(self, networks: Networks) -> int:
        """Epochs between two saves of a stack."""
        for job, trainer in networks:
            with _naming(job.trial.settings, [job]):
                trainer.build(self.x.shape[1:])
        rows = [len(self.parts[job.part].train) for job, _ in networks]
        size = networks[0][0].batch_size
        steps = sum(-(-n // (size or n)) for n in rows)
        return stretch([trainer for _, trainer in networks], steps, sum(rows))

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
        held, size = None, jobs[0].batch_size
        if size is not None:  # as many as the largest of these parts has, at most
            size = min(size, max(len(self.parts[j.part].train) for j in jobs))
        if o.validation:
            held = [material.rows(j.part, self._held(j.part)) for j in jobs]
        with _naming(jobs[0].trial.settings, jobs):
            histories = stack.fit(
                material.x,
                material.y,
                epochs,
                size,
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
        train: list[Scores | None] = [None] * len(jobs)
        with _naming(jobs[0].trial.settings, jobs):
            own = [self.parts[j.part].test for j in jobs]
            test = self._score(stack, material, jobs, own)
            if self.train_scores:
                own = [self.parts[j.part].train for j in jobs]
                train = list(self._score(stack, material, jobs, own))
        found = []
        for i, job in enumerate(jobs):
            error = str(stack.errors.get(i, ""))
            deciding = ("loss", self.monitor)
            bad = [n for n in deciding if not math.isfinite(test[i][n])]
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
                scores[i][name] = metric.score(p, y, weights)
        return scores

    def bar(self, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """A bar over `total` epochs of networks, with the time left."""
        return bar(total, self.options.verbose, unit="epoch")


@contextmanager
def _naming(settings: Settings, jobs: Sequence[Job] = ()) -> Iterator[None]:
    """An error within the block names the setting, and what trains beside it."""
    try:
        yield
    except Exception as error:
        where = f"setting {shown_settings(Trial(settings, []))}"
        if jobs:
            folds = ", ".join(map(str, sorted({job.part for job in jobs})))
            where += f", fold {folds} ({len(jobs)} networks together)"
        kind = type(error)
        if kind not in NAMED:
            error.add_note(where)
            raise
        text = str(error) if kind in (ValueError, TypeError) else repr(error)
        raise kind(f"{where}: {text}") from error
