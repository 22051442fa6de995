"""Runner: the data, networks and stacks of a search."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from xpnet.backend import get_backend
from xpnet.common import check_whole
from xpnet.common.arrays import NDArray, as_labels, as_numbers
from xpnet.common.console import bar
from xpnet.selection.fold_data import FoldData, Split, with_validation
from xpnet.selection.jobs import Job, fit_stack, naming, results_of, stacks
from xpnet.selection.monitor import Monitor, MonitorChoice
from xpnet.selection.options import Checked
from xpnet.selection.results import Results, Trial
from xpnet.selection.space import FIT, Settings
from xpnet.stack import Stack
from xpnet.training import inputs
from xpnet.training.history import direction
from xpnet.training.trainer import Trainer

Maker = Callable[..., Trainer]
COPIES = 1 << 30  # approximate bytes of scaled copies of the data in one stack


class Runner:
    """Makes, stacks, trains and scores the networks of a search.

    Args:
        make: settings -> Trainer.
        x, y: the data on the host.
        options: checked.

    Attributes:
        train_scores: score the training samples as well.
        splits: set by `cut`.
        labels: (samples,) classes to stratify by; None for other targets.
    """

    def __init__(self, make: Maker, x: Any, y: Any, options: Checked) -> None:
        self.make, self.options, self.train_scores = make, options, False
        self.x = inputs.check_x(as_numbers(x, "x"), None, get_backend("cpu"))
        self.y = as_numbers(y, "y")
        self.splits: list[Split] = []
        self.labels: NDArray | None = None
        self.interrupted = False
        self.monitor, self.higher_is_better = "loss", dict[str, bool | None]()
        self._takes = set(inspect.signature(make).parameters)

    # Data.

    def check(self, settings: Settings) -> None:
        """Check that the data fit the loss, before any training.

        Raises:
            ValueError, TypeError: unfit targets or weights, as `Trainer.fit`; groups
                that are not one per sample.
        """
        n, options = len(self.x), self.options
        if options.groups is not None:
            groups = as_labels(options.groups, "groups", n, numbers=True)
            options = replace(options, groups=groups)
        trainer = self.network(settings, 0)
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

    def cut(self, splits: Sequence[Split]) -> None:
        """Use these splits from now on.

        Raises:
            ValueError: a part whose samples have no weight.
        """
        self.splits = with_validation(splits, self.labels, self.options)
        for i, split in enumerate(self.splits):
            for rows, word in (
                (split.train, "training"),
                (split.test, "test"),
                (split.validation, "validation"),
            ):
                if rows is not None:
                    which = f"the {word} part of fold {i}"
                    inputs.check_weighed(self.options.sample_weight, rows, which)

    # Networks.

    def network(self, settings: Settings, repeat: int) -> Trainer:
        """A new trainer for these settings.

        Raises:
            ValueError, TypeError: `make` refuses the settings, or returns something
                other than a Trainer.
        """
        arguments = {
            k: v for k, v in settings.items() if k not in FIT or k in self._takes
        }
        if "seed" in self._takes:
            arguments.setdefault("seed", self.options.seed)
            arguments["seed"] = int(arguments["seed"]) + repeat
        with naming(settings):
            trainer = self.make(**arguments)
        if not isinstance(trainer, Trainer):
            raise TypeError(
                f"make: expected a function that gives a Trainer, got {trainer!r}"
            )
        return trainer

    def network_of(self, job: Job) -> Trainer:
        """A new trainer for a job."""
        return self.network(job.trial.settings, self.splits[job.split].repeat)

    def job(self, trial: Trial, split: int) -> Job:
        """A trial on a split; epochs and batch size may be settings."""
        settings, options = trial.settings, self.options
        epochs = settings.get("epochs", options.epochs)
        size = settings.get("batch_size", options.batch_size)
        most = max(len(split.train) for split in self.splits)
        with naming(settings):
            epochs = check_whole("", "epochs", epochs, 1)
            if size is not None:
                which = "samples of a training part"
                size = inputs.check_batch_size(size, most, which)
        return Job(trial, split, epochs, size)

    # Trials and their stacks.

    def trial(self, settings: Settings) -> Trial:
        """A trial without results."""
        n = len(self.splits)
        return Trial(settings, [None] * n, [None] * n, {}, [0] * n)

    def results(self, trials: list[Trial]) -> Results:
        """The `Results` of the trials."""
        results = Results(trials, self.monitor, self.higher_is_better)
        results.interrupted = self.interrupted
        return results

    def decide(
        self, settings: Sequence[Settings], probes: Sequence[Trainer]
    ) -> Monitor:
        """Which score decides, and whether a higher one is better, before any training.

        Args:
            settings: all of them.
            probes: an untrained network of each.

        Raises:
            ValueError: see `MonitorChoice.decide`; the better direction is unknown.
        """
        sample = self.x.shape[1:]
        choice = MonitorChoice(sample, self.y, self.splits, self.options)
        self.monitor, self.higher_is_better = choice.decide(settings, probes)
        higher = self.higher_is_better[self.monitor]
        if len(probes) > 1:
            higher = direction("monitor", self.monitor, higher)
        return self.monitor, bool(higher)

    def stacks(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """The jobs of one shape, cut into stacks with few scaled copies."""
        scaled = self.options.scale is not None or self.options.scale_y
        copies = len(self.splits)
        if scaled:
            copies = max(1, COPIES // max(1, self.x.nbytes))
        return stacks(jobs, self.options.at_once, copies, scaled)

    def fold_data(self, jobs: Sequence[Job]) -> FoldData:
        """The samples of these jobs."""
        numbers = dict.fromkeys(job.split for job in jobs)
        splits = {number: self.splits[number] for number in numbers}
        return FoldData.of(self.x, self.y, splits, self.options)

    def fit(
        self,
        stack: Stack,
        data: FoldData,
        jobs: Sequence[Job],
        epochs: int,
        progress: Callable[[int], object],
    ) -> None:
        """Train a stack for `epochs` more epochs; sets `interrupted`."""
        ended = fit_stack(stack, data, jobs, epochs, self.options, progress)
        self.interrupted = self.interrupted or ended

    def scores(
        self, stack: Stack, data: FoldData, jobs: Sequence[Job]
    ) -> list[dict[str, Any]]:
        """Each network's result, as a row of a file."""
        return results_of(stack, data, jobs, self.monitor, self.train_scores)

    def bar(self, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """A progress bar over `total` epochs of networks, with the time left."""
        return bar(total, self.options.verbose, unit="epoch")
