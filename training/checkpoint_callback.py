"""The callback that keeps checkpoints: where they are kept, and when one is due."""

import math
from pathlib import Path

from xpnet.common import check_directory, check_number, check_whole, choose
from xpnet.training.callbacks import Callback
from xpnet.training.state import TrainingState

UNITS = dict.fromkeys(("epochs", "steps", "seconds"))
NEVER = 1 << 62  # more steps than any training takes


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
        self.directory = check_directory(directory, "Checkpoint: directory")
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

    def patient_for(self, trainer: TrainingState) -> float:
        """Until the next checkpoint is due; at once where that is within an epoch."""
        if self.unit == "epochs":
            return self.every - len(trainer.history) % self.every
        if self.unit == "steps":
            return max(1, self.steps_left(trainer) // self.steps)
        return math.inf  # the loop looks at the clock

    def steps_left(self, trainer: TrainingState) -> int:
        """Steps until a checkpoint is due within the epoch; many if none is."""
        if self.unit != "steps":
            return NEVER
        return int(self.every - trainer.steps_done % self.every)

    def is_due(self, trainer: TrainingState, batch: int, seconds: float) -> bool:
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
