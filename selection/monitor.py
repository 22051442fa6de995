"""The score that decides a search: chosen and checked before any training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xpnet.backend import get_backend
from xpnet.common import nearest
from xpnet.common.arrays import NDArray
from xpnet.selection.fold_data import Split
from xpnet.selection.jobs import naming
from xpnet.selection.options import Checked
from xpnet.selection.space import Settings
from xpnet.training import scored
from xpnet.training.callbacks import check_callbacks, check_monitors
from xpnet.training.history import History, check_mode
from xpnet.training.inputs import check_y
from xpnet.training.metric import Metric
from xpnet.training.metrics import check_metrics, r2, varies
from xpnet.training.trainer import Trainer

Monitor = tuple[str, bool]  # a score, and whether a higher one is better


@dataclass(frozen=True, eq=False)
class MonitorChoice:
    """Chooses the score of a search.

    Args:
        sample: shape of a sample.
        y: targets (samples, ...).
        splits: of the search.
        options: of the search.
    """

    sample: tuple[int, ...]
    y: NDArray
    splits: Sequence[Split]
    options: Checked

    def decide(
        self, settings: Sequence[Settings], probes: Sequence[Trainer]
    ) -> tuple[str, dict[str, bool | None]]:
        """(monitor, {score: whether a higher one is better, None if unknown}).

        Args:
            settings: all of the search.
            probes: an untrained network of each.

        Raises:
            ValueError: some networks lack the score, or it is undefined on a test part;
                a metric or a callback does not fit.
        """
        callbacks = check_callbacks(self.options.callbacks)
        checked: list[Any] = []
        for row, probe in zip(settings, probes, strict=True):
            if probe.metrics not in checked:
                checked.append(probe.metrics)
                history = History.of(probe.metrics, bool(self.options.validation))
                check_monitors(callbacks, history)
                with naming(row):
                    self._try_metrics(probe)
        monitor = self._monitor(checked[0])
        for metrics in checked:
            known = ["loss", *metrics]
            if monitor not in known:
                hint = nearest(monitor, known)
                raise ValueError(f"monitor: no score {monitor!r}; {hint}")
        ends = {n: m.higher_is_better for each in checked for n, m in each.items()}
        for name in ends:  # unknown if settings disagree
            if len({m[name].higher_is_better for m in checked if name in m}) > 1:
                ends[name] = None
        higher = {"loss": False, **ends}
        mode = check_mode("", self.options.mode)
        if mode is not None:
            higher[monitor] = mode
        return monitor, higher

    def _monitor(self, metrics: dict[str, Metric]) -> str:
        """The score that `monitor` names, or the default for the data."""
        named = self.options.monitor
        of_r2 = {name for name, metric in metrics.items() if metric is r2}
        split = self._flat_split() if of_r2 else None
        undefined = set() if split is None else of_r2
        if named in undefined and split is not None:
            raise ValueError(
                f"monitor: {named} is not defined where the targets do not vary, as "
                f"in test part {split} ({len(self.splits[split].test)} samples); use "
                "'loss' or 'mean_absolute_error'"
            )
        if named is not None:
            return named
        fit = [n for n in ("r2", *metrics) if n in metrics and n not in undefined]
        return (fit or ["loss"])[0]

    def _flat_split(self) -> int | None:
        """The first split whose test targets do not vary."""
        y = self.y.reshape(len(self.y), -1)
        tests = enumerate(split.test for split in self.splits)
        return next((i for i, rows in tests if not varies(y[rows])), None)

    def _try_metrics(self, probe: Trainer) -> None:
        """Call the metrics with the targets of the first test part."""
        outputs = probe.model.copy().build(self.sample).n_outputs
        loss, rows, n = probe.loss_function, self.splits[0].test, len(self.y)
        y = check_y(self.y, n, loss, outputs, get_backend("cpu"))
        w = scored.weights(self.options.sample_weight, n)
        w = None if w is None else w[rows]
        check_metrics(probe.metrics, y[rows], outputs, w, trial=True)
