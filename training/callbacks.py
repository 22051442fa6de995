"""What may happen between epochs."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnet.backend import Array
from xpnet.common import (
    check_number,
    check_path,
    check_whole,
    choose,
    explains_arguments,
    nearest,
)
from xpnet.training.history import History, check_mode, direction
from xpnet.training.states import is_plain

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

UNITS = dict.fromkeys(("epochs", "steps", "seconds"))
NEVER = 1 << 62  # more steps than any training takes


class Callback:
    """Called by `fit`; every method may be left out.

    A callback may read the trainer, change `trainer.learning_rate`, and end training
    by setting `trainer.stop` to the reason.
    """

    def patient_for(self, trainer: "Trainer") -> float:
        """How many epochs may pass before it is told of them, row by row.

        Short epochs are then run together. Until the last of these rows it sees the
        weights as they are after all of them, and must neither stop the training nor
        change the rate: what has been trained stays trained, also if it raises.
        `trainer.epochs_done`, `steps_done` and `weights_square` are the row's own.
        """
        return 1

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Before the first epoch."""

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, float]) -> None:
        """After each epoch, with its row of the history."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the last epoch, also when training was interrupted."""

    def state(self, trainer: "Trainer") -> dict[str, Any]:
        """What a `Checkpoint` keeps of it: None, numbers, text, arrays, and lists and
        dicts of these.

        Here every attribute that is such a value; those that training has not changed
        are left out. Where another one changes (a generator, a file), this and
        `load_state` are to be written.
        """
        return {name: v for name, v in vars(self).items() if is_plain(v)}

    def load_state(self, trainer: "Trainer", state: dict[str, Any]) -> None:
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


def patience(callbacks: Iterable[Callback], trainer: "Trainer", most: int) -> int:
    """How many epochs, `most` at most, can pass before one of them is told."""
    for callback in callbacks:
        most = int(min(callback.patient_for(trainer), most))
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

    def on_fit_begin(self, trainer: "Trainer") -> None:
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

    def state(self, trainer: "Trainer") -> dict[str, Any]:
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

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Forget what an earlier run has seen."""
        super().on_fit_begin(trainer)
        self._weights = None

    def state(self, trainer: "Trainer") -> dict[str, Any]:
        """The best value so far, the epochs since, and the weights."""
        weights = None if self._weights is None else list(self._weights)
        return super().state(trainer) | {"weights": weights}

    def load_state(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Go on from there; the weights are brought to the device."""
        self.best, self.waited = state["best"], state["waited"]
        self._weights = None
        if state["weights"] is not None:
            backend = trainer.backend
            with backend.active():
                arrays = [backend.asarray(a, trainer.dtype) for a in state["weights"]]
                self._weights = tuple(arrays)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, float]) -> None:
        """Keep the best weights; stop when patience runs out."""
        if self.better(row):
            self._weights = trainer.snapshot(self._weights)
        elif self.waited >= self.patience:
            trainer.stop = f"{self.monitor} has not improved for {self.patience} epochs"

    def on_fit_end(self, trainer: "Trainer") -> None:
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

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, float]) -> None:
        """Reduce when patience runs out, then wait as long again."""
        if not self.better(row) and self.waited >= self.patience:
            rate = trainer.learning_rate
            reduced = max(rate * self.factor, self.min_rate)
            if 0.0 < reduced < rate:
                trainer.learning_rate = reduced
            self.waited = 0


class Checkpoint(Callback):
    """Keeps the state of a training in a folder, so that a killed one can go on.

        keep = xn.Checkpoint("run", every=10, unit="seconds")
        trainer.fit(x, y, epochs=100, callbacks=[keep], resume="run")

    The same lines start the training, and after a kill go on with it: weights,
    counters, history, callbacks (see `Callback.state`) and the place within the epoch
    come back, and it ends in the bits of a training that was never stopped (on the same
    machine, with as many threads). Training waits for a copy in memory; a thread writes
    it. Where it is still writing, the newest copy waits and takes the place of an older
    one.

    On Ctrl-C, and on SIGTERM where that is not ignored, the training ends after the
    current step, and its state is kept. SIGTERM then has the effect that it would have
    had: without a handler of the program, the process ends.

    A checkpoint that cannot be written is told of in a RuntimeWarning; the training
    goes on.

    Args:
        directory: a folder for this training alone, made if it is not there.
        every: how many epochs of this `fit`, how many steps (at the multiples of it),
            or how many seconds lie between two checkpoints.
        unit: of `every`: "epochs", "steps" or "seconds".
        keep: how many checkpoints are kept. An older one is taken where the newest was
            damaged.

    Raises:
        ValueError, TypeError: a number below 1 (or not above 0 seconds), another unit.
    """

    def __init__(
        self,
        directory: str | Path,
        every: float = 1,
        unit: str = "epochs",
        keep: int = 1,
    ) -> None:
        self.directory = check_path(directory, "Checkpoint: directory")
        choose(unit, UNITS, "unit")
        self.unit = unit
        self.every = (
            check_number("Checkpoint", every, "every > 0", lambda v: v > 0.0)
            if unit == "seconds"
            else check_whole("Checkpoint", "every", every, 1)
        )
        self.keep = check_whole("Checkpoint", "keep", keep, 1)
        self.steps = 1  # of an epoch

    def __repr__(self) -> str:
        return (
            f"Checkpoint({str(self.directory)!r}, every={self.every!r}, "
            f"unit={self.unit!r}, keep={self.keep})"
        )

    def patient_for(self, trainer: "Trainer") -> float:
        """Until the next checkpoint is due; at once where that is within an epoch."""
        if self.unit == "epochs":
            return self.every - len(trainer.history) % self.every
        if self.unit == "steps":
            return max(1, self.steps_left(trainer) // self.steps)
        return math.inf  # the loop looks at the clock

    def steps_left(self, trainer: "Trainer") -> int:
        """Steps until a checkpoint is due within the epoch; many if none is."""
        if self.unit != "steps":
            return NEVER
        return int(self.every - trainer.steps_done % self.every)

    def is_due(self, trainer: "Trainer", batch: int, seconds: float) -> bool:
        """Whether a checkpoint is to be taken now.

        Args:
            trainer: between two steps.
            batch: batches of the current epoch that are done; 0 between epochs.
            seconds: since the last one.
        """
        if self.unit == "seconds":
            return seconds >= self.every
        if self.unit == "steps":
            return trainer.steps_done % self.every == 0
        return batch == 0 and len(trainer.history) % self.every == 0


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


def checkpoint_of(callbacks: list[Callback]) -> Checkpoint | None:
    """The one Checkpoint among them, if there is one; raises ValueError for several."""
    found = [c for c in callbacks if isinstance(c, Checkpoint)]
    if len(found) > 1:
        raise ValueError("callbacks: expected one Checkpoint at most, got several")
    return found[0] if found else None


def refuse_checkpoints(callbacks: list[Callback], what: str) -> None:
    """Raises ValueError for a Checkpoint where no training can go on from one."""
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        raise ValueError(
            f"{what}: a Checkpoint is for Trainer.fit; train the networks one by one, "
            "or search with file=..., which keeps finished networks"
        )
