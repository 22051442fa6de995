"""The checkpoints of a training in a folder: `checkpoint.json` and its parts.

    DIR/checkpoint.json                which training, and its checkpoints, newest first
    DIR/weights-SHA256.safetensors     as in a saved model
    DIR/optimizer-SHA256.safetensors   likewise
    DIR/progress-SHA256.safetensors    losses of the epoch, history, callbacks' arrays

See `folder` and `sealed`: a checkpoint is there as a whole or not at all.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpnet.common.arrays import NDArray
from xpnet.common.console import warn
from xpnet.training.checkpoint import FORMAT, HEAD, check_format, check_length
from xpnet.training.description import COUNTERS, PARTS, check_counters, check_files
from xpnet.training.folder import (
    CHECKPOINT,
    MissingPartError,
    check_ours,
    damaged,
    read_description,
    read_folder,
    write_folder,
)
from xpnet.training.sealed import check_keys, check_seal, parse, sealed
from xpnet.training.state import TrainingState
from xpnet.training.tensors import (
    check_values,
    packed_arrays,
    read_arrays,
    shapes,
    tensors_in,
)

Row = dict[str, Any]
PROGRESS = "progress"
PLACE = ("epoch", "batch", "finished", "stopped", "curves", "callbacks")


@dataclass(frozen=True)
class Picture:
    """A training at one moment, copied: nothing of it moves any more.

    Attributes:
        row: counters, the place (epochs of this fit, batches of the next), whether it
            has finished and why, the curves' names, the callbacks' states.
        arrays: weights and the rule's, by part and name.
        progress: losses of the batches of this epoch, history, callbacks' arrays.
    """

    row: Row
    arrays: dict[str, dict[str, NDArray]]
    progress: dict[str, NDArray]


@dataclass
class Run:
    """A training, as its folder knows it.

    Attributes:
        mark: drawn when it began; tells it from others in the same folder.
        fingerprint: what the training depends on, as plain values.
        rows: its checkpoints, newest first, as the folder holds them.
    """

    mark: str
    fingerprint: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def write(self, folder: Path, picture: Picture, keep: int, trainer: Any) -> None:
        """Add a checkpoint, and remove those beyond `keep`.

        Raises:
            ValueError: NaN in it; a folder that another training writes to.
            OSError: it cannot be written.
        """
        check_values(trainer.optimizer, picture.arrays, "Checkpoint: ")
        files, parts = packed_arrays(picture.arrays | {PROGRESS: picture.progress})
        rows = [picture.row | {"files": files}, *self.rows][:keep]
        head = {"format": FORMAT, "kind": "training", "run": self.mark}
        text = sealed(
            head | {"fingerprint": self.fingerprint, "checkpoints": rows},
        )
        check_length(text)
        write_folder(folder, CHECKPOINT, text, parts, self._check_owner(folder))
        self.rows = rows

    def _check_owner(self, folder: Path) -> Any:
        def check(text: bytes) -> None:
            if parse(folder / CHECKPOINT, text).get("run") != self.mark:
                raise ValueError(
                    f"Checkpoint: another training writes its checkpoints to {folder}; "
                    "give each a folder of its own"
                )

        return check


def read_run(folder: Path) -> Run | None:
    """What the folder holds; None if nothing has been written there yet.

    Raises:
        ValueError: a damaged description, or a folder of something else.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        check_ours(folder, CHECKPOINT, "resume")
        return None
    data = read_description(folder, CHECKPOINT)
    found = parse(path, data)
    if check_format(path, found) != FORMAT or found.get("kind") != "training":
        damaged(path, "kind: expected the checkpoints of a training")
    check_keys(path, "", ("run", "fingerprint", "checkpoints", *HEAD), found)
    check_seal(path, data, found)
    rows = found["checkpoints"]
    if not isinstance(rows, list) or not rows:
        damaged(path, f"checkpoints: expected a list of them, got {rows!r}")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            damaged(path, f"checkpoints[{i}]: expected an object, got {row!r}")
        check_keys(path, f"checkpoints[{i}]", (*COUNTERS, *PLACE, "files"), row)
        try:
            check_counters(row)
            check_files(row["files"], (*PARTS, PROGRESS))
        except (ValueError, TypeError) as error:
            damaged(path, f"checkpoints[{i}].{error}")
    return Run(found["run"], found["fingerprint"], rows)


def newest(folder: Path, run: Run, trainer: TrainingState) -> Picture:
    """The newest checkpoint that can be read, for a built trainer like the run's.

    Older ones that were damaged since are told of in a RuntimeWarning; `run` then has
    them no more.

    Raises:
        ValueError: none can be read, with the file and the entry.
    """
    while True:
        try:
            return read_folder(folder, lambda: _read(folder, run.rows[0], trainer))
        except MissingPartError:
            if len(run.rows) == 1:
                raise
            problem = "a part of it is missing"
        except ValueError as error:
            if len(run.rows) == 1:
                raise
            problem = str(error)
        run.rows = run.rows[1:]
        steps = run.rows[0]["steps_done"]
        warn(
            f"resume: the newest checkpoint in {folder} cannot be read, the one of "
            f"step {steps} is taken: {problem}",
            RuntimeWarning,
            stacklevel=4,
        )


def _read(folder: Path, row: Row, trainer: TrainingState) -> Picture:
    wanted = shapes(trainer.model, trainer.optimizer, trainer.average)
    arrays = read_arrays(folder, row["files"], wanted, trainer.dtype)
    try:
        check_values(trainer.optimizer, arrays)
    except ValueError as error:
        damaged(folder / CHECKPOINT, str(error))
    name = row["files"][PROGRESS]
    progress = tensors_in(folder, name, sys.maxsize)
    for key, shape in (
        ("losses", (row["batch"],)),
        ("history", (row["epoch"], len(row["curves"]))),
    ):
        if key not in progress or progress[key].shape != shape:
            damaged(folder / name, f"{key}: expected an array of shape {shape}")
    return Picture(row, arrays, progress)
