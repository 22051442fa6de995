"""Settings × parts as stacks: what the searches have in common."""

import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.common import check_whole, nearest
from xpnet.selection.identity import identity, network
from xpnet.selection.material import Material, Part, Values, with_validation
from xpnet.selection.midway import Midway, stretch
from xpnet.selection.options import Checked
from xpnet.selection.results import Results, Scores, Trial, shown_settings
from xpnet.selection.space import FIT, Settings
from xpnet.selection.store import Store, enter, settings_text
from xpnet.training import Stack, Trainer
from xpnet.training.callbacks import check_callbacks
from xpnet.training.checks import as_array
from xpnet.training.stackable import stack_key

Maker = Callable[..., Trainer]
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
        x, y: the data, on the host.
        parts: what is trained and scored on.
        options: checked.
        train_scores: score the samples trained on as well.
    """

    def __init__(
        self,
        make: Maker,
        x: Any,
        y: Any,
        parts: Sequence[Part],
        options: Checked,
        train_scores: bool = False,
    ) -> None:
        self.make, self.options, self.train_scores = make, options, train_scores
        self.x, self.y = data(x, y)
        self.parts = with_validation(parts, self.y, options)
        self.interrupted = self._told_apart = False
        self._takes = set(inspect.signature(make).parameters)

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
        size = settings.get("batch_size", options.batch_size)
        most = max(len(part.train) for part in self.parts)
        with _naming(settings):
            epochs = check_whole("", "epochs", epochs, 1)
            if size is not None:
                size = check_whole("", "batch_size", size, 1)
            if "batch_size" not in settings and "batch_size" not in options.named:
                size = min(size, most) if size is not None else None
            elif size is not None and size > most:
                raise ValueError(
                    f"batch_size: expected from 1 to the {most} samples of a training "
                    f"part, got {size}"
                )
        return Job(trial, part, epochs, size)

    # The search.

    def run(self, settings: Sequence[Settings]) -> Results:
        """Every setting on every part."""
        trials = [self.trial(row) for row in settings]
        jobs: dict[Any, list[Job]] = {}
        first = None
        for trial in trials:
            probe = self.network(trial.settings, 0)
            first, kind = first or probe, stack_key(probe)
            for number in range(len(self.parts)):
                job = self.job(trial, number)
                key = (kind, job.epochs, job.batch_size)
                jobs.setdefault(key, []).append(job)
        assert first is not None
        monitor = self.monitor(first)
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
        monitor = self.options.monitor or first
        if monitor not in known:
            raise ValueError(
                f"monitor: no score {monitor!r}; {nearest(monitor, known)}"
            )
        return monitor

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
            warnings.warn(
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
            warnings.warn(
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
            weights = None if w is None else np.asarray(w)[rows[i]]
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


def data(x: Any, y: Any) -> tuple[Values, Values]:
    """x and y as arrays of the host, equally long.

    Raises:
        TypeError, ValueError: text, ragged rows, other lengths.
    """
    from xpnet.backend import get_backend

    cpu = get_backend("cpu")
    x, y = as_array(x, "x", cpu), as_array(y, "y", cpu)
    if x.ndim < 2 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"x and y: expected (samples, features) and as many targets, got shapes "
            f"{x.shape} and {y.shape}"
        )
    return x, y
