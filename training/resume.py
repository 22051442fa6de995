"""Checkpoints while training, and going on from one as if nothing had happened.

A picture of the training (weights, the rule's arrays, counters, the place within the
epoch, history, the callbacks' states) is copied between two steps; a thread writes it
while the training goes on. What a step computes is a function of these and of (seed,
epoch, step), so a training that goes on from a picture ends in the same bits.
"""

import math
import secrets
import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from xpnet.common import check_directory
from xpnet.common.arrays import NDArray
from xpnet.common.console import warn
from xpnet.training.callbacks import Callback
from xpnet.training.checkpoint import restore
from xpnet.training.checkpoint_callback import NEVER, Checkpoint
from xpnet.training.data import Samples
from xpnet.training.description import counters
from xpnet.training.fingerprint import differences, fingerprint
from xpnet.training.folder import CHECKPOINT, check_ours
from xpnet.training.history import History
from xpnet.training.runs import Picture, Run, newest, read_run
from xpnet.training.state import TrainingState
from xpnet.training.states import is_plain, pack, unpack
from xpnet.training.tensors import arrays

FIXED = (Enum, PurePath)  # values that do not change while training


class Writer:
    """A thread that writes the newest of the jobs it is given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def put(self, job: Callable[[], None]) -> None:
        """Run `job` soon, in the place of one that has not begun."""
        with self._lock:
            self._job = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints")
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                job, self._job = self._job, None
                if job is None:
                    self._thread = None
                    return
            try:
                job()
            except Exception as error:  # told of by the training's own thread
                self.error = error

    def wait(self) -> None:
        """Until everything is written."""
        thread = self._thread
        if thread is not None:
            thread.join()


class Keeper:
    """The checkpoints of one `fit`.

    Args:
        trainer: a built one.
        checkpoint: where and how often; None to go on only.
        resume: the folder to go on from, if there is something in it.
        fingerprint: what the training depends on.
        callbacks: all of this `fit`.
        epochs: of this `fit`.

    Attributes:
        batch: batches of the first epoch that are done already.
        losses: theirs.
        finished: whether the training had ended before.

    Raises:
        ValueError: folders of other trainings or things, a damaged checkpoint.
    """

    def __init__(
        self,
        trainer: TrainingState,
        checkpoint: Checkpoint | None,
        resume: Path | None,
        fingerprint: dict[str, Any],
        callbacks: list[Callback],
        epochs: int,
    ) -> None:
        self._trainer, self._checkpoint = trainer, checkpoint
        self._callbacks = [c for c in callbacks if not isinstance(c, Checkpoint)]
        self._writer, self._kept_at = Writer(), time.monotonic()
        self._last: tuple[int, int] | None = None
        self.batch, self.finished = 0, False
        self.losses: NDArray = np.empty(0)
        run = None if resume is None else read_run(resume)
        same = False
        if checkpoint is not None:
            folder = checkpoint.directory
            same = resume is not None and resume.resolve() == folder.resolve()
            if not same:
                _check_new(folder)
        self._picture: Picture | None = None
        self._begun: list[dict[str, Any]] = []
        if run is not None and resume is not None:
            _check_same(resume, run, fingerprint)
            self._picture = newest(resume, run, trainer)
            self._check_epochs(resume, epochs)
        if run is None or not same:
            run = Run(secrets.token_hex(8), fingerprint)
        self._run = run
        if checkpoint is not None:
            self._warn_of_unkept()

    def _check_epochs(self, folder: Path, epochs: int) -> None:
        assert self._picture is not None
        row = self._picture.row
        self.finished = row["finished"]
        more = row["epoch"] + (row["batch"] > 0)
        ran_through = self.finished and not row["stopped"]
        if more > epochs or (ran_through and more != epochs):
            state = "had finished" if self.finished else "is in"
            raise ValueError(
                f"resume: the training in {folder} {state} epoch {more}, and {epochs} "
                "were asked for; name another folder, or as many epochs"
            )

    def _warn_of_unkept(self) -> None:
        for callback in self._callbacks:
            if type(callback).state is not Callback.state:
                continue
            for name, value in vars(callback).items():
                if not (is_plain(value) or callable(value) or isinstance(value, FIXED)):
                    warn(
                        f"Checkpoint: {type(callback).__name__}.{name} is a "
                        f"{type(value).__name__}, which is not kept; write state and "
                        "load_state if the training depends on it",
                        RuntimeWarning,
                        stacklevel=4,
                    )

    # Going on.

    def begin(self, history: History) -> str:
        """Bring trainer and history to where the checkpoint was taken; says where."""
        if self._picture is None:
            return ""
        row, progress = self._picture.row, self._picture.progress
        restore(self._trainer, row, self._picture.arrays)
        known = ~np.isnan(progress["history"]) | progress["nan"]
        for values, there in zip(progress["history"].tolist(), known, strict=True):
            pairs = zip(row["curves"], values, there, strict=True)
            history.rows.append({name: v for name, v, is_there in pairs if is_there})
        self.batch, self.losses = row["batch"], progress["losses"]
        history.stopped = row["stopped"]
        if self.finished:
            self.go_on(1)
            return f"had finished after {row['epoch']} epochs"
        return f"going on after epoch {row['epoch']}, batch {row['batch']}"

    def go_on(self, steps: int) -> None:
        """Training begins, with so many steps an epoch; callbacks had `on_fit_begin`.

        They are handed what they had at the checkpoint.
        """
        self._kept_at = time.monotonic()
        if self._checkpoint is not None:
            self._checkpoint.steps = steps
        self._begun = [self._packed(callback) for callback in self._callbacks]
        if self._picture is not None:
            states = self._picture.row["callbacks"]
            for callback, state in zip(self._callbacks, states, strict=True):
                found = unpack(state, self._picture.progress)
                callback.load_state(self._trainer, found)
            self._picture = None
        if self.keeps:
            self._states({})  # what cannot be kept is told of now

    # Keeping.

    @property
    def keeps(self) -> bool:
        """Whether there is a Checkpoint."""
        return self._checkpoint is not None

    def limit(self, batch: int) -> int:
        """The batch of this epoch before which it is to be asked, from `batch` on."""
        if self._checkpoint is None:
            return NEVER
        return batch + self._checkpoint.steps_left(self._trainer)

    def look(self, batch: int, losses: Callable[[], Any]) -> None:
        """Keep a checkpoint if one is due.

        Args:
            batch: batches of the current epoch that are done; 0 between epochs.
            losses: gives theirs.
        """
        keep = self._checkpoint
        if keep is None:
            return
        self._tell()
        seconds = time.monotonic() - self._kept_at
        if keep.is_due(self._trainer, batch, seconds):
            self.keep(batch, losses())

    def keep(self, batch: int, losses: Any, finished: bool = False) -> None:
        """Copy the training as it is now, and let it be written."""
        keep, now = self._checkpoint, (self._trainer.steps_done, batch)
        if keep is None or (self._last == now and not finished):
            return
        if not np.isfinite(losses).all():  # it has diverged, and will say so
            return
        picture = self._taken(batch, losses, finished)
        run, trainer = self._run, self._trainer
        self._writer.put(lambda: run.write(keep.directory, picture, keep.keep, trainer))
        self._last, self._kept_at = now, time.monotonic()

    def _taken(self, batch: int, losses: Any, finished: bool) -> Picture:
        trainer, history = self._trainer, self._trainer.history
        progress: dict[str, Any] = {"losses": np.array(losses, order="C")}
        states = self._states(progress)
        names = history.names
        values = [[row.get(n, math.nan) for n in names] for row in history.rows]
        table = np.array(values, np.float64).reshape(len(history), len(names))
        there = [[n in row for n in names] for row in history.rows]
        progress["history"] = table
        progress["nan"] = np.isnan(table) & np.reshape(there, table.shape).astype(bool)
        row = {
            **counters(trainer),
            "epoch": len(history),
            "batch": batch,
            "finished": finished,
            "stopped": trainer.stop if finished else "",
            "curves": names,
            "callbacks": states,
        }
        return Picture(row, arrays(trainer), progress)

    def _states(self, arrays: dict[str, Any]) -> list[Any]:
        """Those of the callbacks as JSON; their arrays go into `arrays`."""
        to_numpy, count = self._trainer.backend.to_numpy, len(self._callbacks)
        names = [f"callback.{i}" for i in range(count)]
        changed = map(self._changed, range(count))
        return [
            pack(s, arrays, to_numpy, n) for s, n in zip(changed, names, strict=True)
        ]

    def _packed(self, callback: Callback) -> dict[str, Any]:
        """{attribute: (as JSON, arrays)} where a state is all attributes; else {}."""
        if not self.keeps or type(callback).state is not Callback.state:
            return {}
        found, to_numpy = {}, self._trainer.backend.to_numpy
        for name, value in callback.state(self._trainer).items():
            own: dict[str, Any] = {}
            found[name] = pack(value, own, to_numpy, ""), own
        return found

    def _changed(self, i: int) -> dict[str, Any]:
        """The state of callback `i`, without attributes as it was constructed with.

        A training may go on with a callback of other arguments.
        """
        callback = self._callbacks[i]
        state, now = callback.state(self._trainer), self._packed(callback)
        begun = self._begun[i]
        same = [n for n in now if n in begun and _equal(now[n], begun[n])]
        return {name: value for name, value in state.items() if name not in same}

    def end(self, finished: bool) -> None:
        """Training has ended: keep that it has `finished`, and wait for the disk."""
        if finished:
            self.keep(0, np.empty(0), finished=True)
        self._writer.wait()
        self._tell()

    def _tell(self) -> None:
        """Warn of a checkpoint that could not be written."""
        error, self._writer.error = self._writer.error, None
        if error is not None:
            warn(
                f"Checkpoint: {error}; the training goes on",
                RuntimeWarning,
                stacklevel=5,
            )


def _equal(a: tuple[Any, dict[str, Any]], b: tuple[Any, dict[str, Any]]) -> bool:
    """Whether two packed values are equal to the bit."""
    bits = [{n: (v.dtype, v.tobytes()) for n, v in each.items()} for _, each in (a, b)]
    return repr(a[0]) == repr(b[0]) and bits[0] == bits[1]


def _check_new(folder: Path) -> None:
    """Raises ValueError for a folder with checkpoints that would be written over."""
    check_ours(folder, CHECKPOINT, "Checkpoint")
    run = read_run(folder)
    if run is not None:
        raise ValueError(
            f"Checkpoint: {folder} holds a training, at step "
            f"{run.rows[0]['steps_done']}; fit(..., resume={str(folder)!r}) goes on "
            "with it; name another folder for a new one"
        )


def _check_same(folder: Path, run: Run, fingerprint: dict[str, Any]) -> None:
    found = differences(run.fingerprint, fingerprint)
    if found:
        raise ValueError(
            f"resume: {folder} holds another training: {'; '.join(found[:3])}; name "
            "another folder, or fit the same network to the same samples"
        )


def keeper_of(
    trainer: TrainingState,
    checkpoint: Checkpoint | None,
    resume: str | Path | None,
    callbacks: list[Callback],
    epochs: int,
    data: tuple[Samples, Samples | None, int, bool],
) -> Keeper:
    """What keeps the checkpoints of a `fit`, or goes on from one."""
    folder = None if resume is None else check_directory(resume, "resume")
    depends = fingerprint(trainer, *data, callbacks)
    return Keeper(trainer, checkpoint, folder, depends, callbacks, epochs)
