"""What may happen between epochs."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from xpnet.backend import Array
from xpnet.common import (
    check_number,
    check_whole,
    explains_arguments,
    nearest,
)
from xpnet.training.history import History, check_mode, direction
from xpnet.training.state import TrainingState
from xpnet.training.states import is_plain


class Callback:
    """Called by `fit`; every method may be left out.

    A callback may read the `Trainer` that it is given, change its `learning_rate`, and
    end training by setting `trainer.stop` to the reason.
    """

    def patient_for(self, trainer: Any) -> float:
        """Upper bound on epochs run before `on_epoch_end` is called for them in turn.

        Short epochs are then run together. Until the last of these rows it sees the
        weights as they are after all of them, and must neither stop the training nor
        change the rate: what has been trained stays trained, also if it raises.
        `trainer.epochs_done`, `steps_done` and `weights_square` are the row's own.
        """
        return 1

    def on_fit_begin(self, trainer: Any) -> None:
        """Before the first epoch."""

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """After each epoch, with its row of the history."""

    def on_fit_end(self, trainer: Any) -> None:
        """After the last epoch, also when training was interrupted."""

    def state(self, trainer: Any) -> dict[str, Any]:
        """What a `Checkpoint` keeps of it: None, numbers, text, arrays, and lists and
        dicts of these.

        Here every attribute that is such a value; those that training has not changed
        are left out. Where another one changes (a generator, a file), this and
        `load_state` are to be written.
        """
        return {name: v for name, v in vars(self).items() if is_plain(v)}

    def load_state(self, trainer: Any, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; called after `on_fit_begin`.

        Lists and dicts are filled in place: those that others hold are filled too.
        """
        for name, value in state.items():
            now = vars(self).get(name)
            if isinstance(now, list) and isinstance(value, list):
                now[:] = value
            elif isinstance(now, dict) and isinstance(value, dict):
                now.clear()
                now.update(value)
            else:
                setattr(self, name, value)


def max_epochs_between_calls(
    callbacks: Iterable[Callback], state: TrainingState, most: int
) -> int:
    """Upper bound, `most` at most, on epochs run before `on_epoch_end` is called."""
    for callback in callbacks:
        most = int(min(callback.patient_for(state), most))
    return most


class _Watcher(Callback):
    """Follows one curve and counts the epochs since it was last better."""

    def __init__(self, monitor: str, patience: int, min_delta: float, mode: str | None):
        kind = type(self).__name__
        if not isinstance(monitor, str):
            raise TypeError(
                f"{kind}: expected monitor, the name of one curve such as 'val_loss', "
                f"got {monitor!r}"
            )
        self.monitor = monitor
        self.patience = check_whole(kind, "patience", patience, 1)
        self.min_delta = check_number(
            kind, min_delta, "min_delta >= 0", lambda d: d >= 0.0
        )
        known = check_mode(kind, mode)
        self.mode = mode
        self._higher = History().direction(monitor) if known is None else known
        self.best, self.waited = math.inf, 0

    def on_fit_begin(self, trainer: TrainingState) -> None:
        """Forget what an earlier run has seen; learn which end of the curve is good."""
        self.best, self.waited = math.inf, 0
        self._higher = self.higher(trainer.history)

    def higher(self, history: History) -> bool:
        """Whether a higher value is better: what `mode` says, or else the history.

        Raises:
            ValueError: neither does.
        """
        known = check_mode("", self.mode)
        known = history.direction(self.monitor) if known is None else known
        if known is None:
            self.check_curve(history.higher_is_better)  # it may be misspelt
        return direction(type(self).__name__, self.monitor, known)

    def check_curve(self, curves: Iterable[str]) -> None:
        """Raises ValueError unless the curve is one of these."""
        if self.monitor not in curves:
            raise ValueError(
                f"{type(self).__name__}: no curve {self.monitor!r} to watch; "
                f"{nearest(self.monitor, curves)}; val_ curves need validation=(x, y), "
                "curves that a callback adds need mode"
            )

    def state(self, trainer: TrainingState) -> dict[str, Any]:
        """The best value so far and the epochs since."""
        return {"best": self.best, "waited": self.waited}

    def better(self, row: dict[str, float]) -> bool:
        """Whether this epoch improved on the best by more than min_delta."""
        self.check_curve(row)
        higher = direction(type(self).__name__, self.monitor, self._higher)
        value = row[self.monitor] * (-1.0 if higher else 1.0)
        # The first is below infinity; NaN is below nothing.
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False


@explains_arguments
class EarlyStopping(_Watcher):
    """Ends training when a curve has not improved for `patience` epochs.

    The weights (and running statistics) of the best epoch are put back at the end,
    however training ends: by patience, by the last epoch, or by Ctrl-C. Prechelt,
    "Early stopping - but when?" (1998).

    Args:
        monitor: a curve of the history.
        patience: epochs without improvement.
        min_delta: what counts as an improvement, in units of the curve.
        mode: "max" where a higher value is better, "min" where a lower is; None for
            what the metric says, see `Metric`.

    Raises:
        ValueError, TypeError: an unfit argument; before the first epoch, a curve that
            there will not be, or of which neither metric nor mode says what is better.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str | None = None,
    ):
        super().__init__(monitor, patience, min_delta, mode)
        self._weights: tuple[Array, ...] | None = None

    def on_fit_begin(self, trainer: TrainingState) -> None:
        """Forget what an earlier run has seen."""
        super().on_fit_begin(trainer)
        self._weights = None

    def state(self, trainer: TrainingState) -> dict[str, Any]:
        """The best value so far, the epochs since, and the weights."""
        weights = None if self._weights is None else list(self._weights)
        return super().state(trainer) | {"weights": weights}

    def load_state(self, trainer: TrainingState, state: dict[str, Any]) -> None:
        """Go on from there; the weights are brought to the device."""
        self.best, self.waited = state["best"], state["waited"]
        self._weights = None
        if state["weights"] is not None:
            backend = trainer.backend
            with backend.active():
                arrays = [backend.asarray(a, trainer.dtype) for a in state["weights"]]
                self._weights = tuple(arrays)

    def on_epoch_end(self, trainer: TrainingState, row: dict[str, float]) -> None:
        """Keep the best weights; stop when patience runs out."""
        if self.better(row):
            self._weights = trainer.snapshot(self._weights)
        elif self.waited >= self.patience:
            trainer.stop = f"{self.monitor} has not improved for {self.patience} epochs"

    def on_fit_end(self, trainer: TrainingState) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            trainer.restore(self._weights)
            self._weights = None


@explains_arguments
class ReduceOnPlateau(_Watcher):
    """Multiplies the learning rate by `factor` when a curve stops improving.

    Args:
        monitor: a curve of the history.
        factor: in (0, 1).
        patience: epochs without improvement.
        min_delta: what counts as an improvement, in units of the curve.
        min_rate: never go below this learning rate.
        mode: see `EarlyStopping`, as for what is raised.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.5,
        patience: int = 5,
        min_delta: float = 0.0,
        min_rate: float = 0.0,
        mode: str | None = None,
    ):
        super().__init__(monitor, patience, min_delta, mode)
        kind = "ReduceOnPlateau"
        self.factor = check_number(
            kind, factor, "0 < factor < 1", lambda f: 0.0 < f < 1.0
        )
        self.min_rate = check_number(
            kind, min_rate, "min_rate >= 0", lambda r: r >= 0.0
        )

    def on_epoch_end(self, trainer: TrainingState, row: dict[str, float]) -> None:
        """Reduce when patience runs out, then wait as long again."""
        if not self.better(row) and self.waited >= self.patience:
            rate = trainer.learning_rate
            reduced = max(rate * self.factor, self.min_rate)
            if 0.0 < reduced < rate:
                trainer.learning_rate = reduced
            self.waited = 0


def check_callbacks(callbacks: Any) -> list[Callback]:
    """A list of callbacks; raises TypeError for anything else."""
    if isinstance(callbacks, Callback):
        callbacks = [callbacks]
    if not isinstance(callbacks, list | tuple):
        raise TypeError(f"callbacks: expected Callback objects, got {callbacks!r}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks: expected Callback objects, got {callback!r}; derive from "
                "xpnet.Callback"
            )
    return list(callbacks)


def history_for(
    state: TrainingState,
    callbacks: list[Callback],
    validated: bool,
    extra: Sequence[str] = (),
) -> History:
    """The empty history of a training, which has the curves that callbacks watch.

    Raises:
        ValueError: see `check_monitors`.
    """
    history = History.of(state.metrics, validated, extra)
    check_monitors(callbacks, history)
    return history


def check_monitors(callbacks: Iterable[Callback], history: History) -> None:
    """Before the first epoch: that what is watched will be there, its direction known.

    Only curves of the training itself are known now. Where an earlier callback may add
    some, a curve is looked for in the first row.

    Args:
        callbacks: in their order.
        history: empty, of this training.

    Raises:
        ValueError: no such curve, or neither its metric nor `mode` says what is better.
    """
    more = False
    for callback in callbacks:
        if not isinstance(callback, _Watcher):
            more = more or type(callback).on_epoch_end is not Callback.on_epoch_end
        elif not more:
            callback.check_curve(history.higher_is_better)
            callback.higher(history)
