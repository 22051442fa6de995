"""The state of a stack in training, in a file beside that of its search.

    SHA-256 of the rest, a line of JSON, the arrays of all networks as NumPy's npz

Only a search without callbacks continues a stack, since the state of a callback is not
saved. The numbers are those of an uninterrupted training.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.console import warn
from xpnet.common.files import write_whole
from xpnet.training.trainer import Trainer

WORK = 2e11  # parameters × samples between two saves, about half a minute
STEP = 1e5  # the same for the least time of a step
LARGEST = 1 << 28  # the most bytes to save


def epochs_between_saves(trainers: Sequence[Trainer], steps: int, samples: int) -> int:
    """Epochs between two saves by the work of one: the same on every machine.

    Args:
        trainers: built.
        steps, samples: of all of them in one epoch.
    """
    size = max(sum(a.size for a in _arrays(t)) for t in trainers)
    if size * trainers[0].dtype.itemsize * len(trainers) > LARGEST:
        return 1 << 62
    return max(1, int(WORK / (size * samples + STEP * steps)))


class Midway:
    """The file of a stack in training.

    Args:
        path: of the file.
        keys: of the networks.
    """

    def __init__(self, path: Path, keys: list[str]) -> None:
        self.path, self.keys = path, keys

    def save(self, trainers: Sequence[Trainer], epochs: int) -> None:
        """Write the networks as they are after `epochs`; warns if that fails."""
        head = {
            "keys": self.keys,
            "epochs": epochs,
            "counts": list(map(_counts, trainers)),
        }
        arrays: dict[str, Any] = {
            f"{i}.{j}": trainer.backend.to_numpy(array)
            for i, trainer in enumerate(trainers)
            for j, array in enumerate(_arrays(trainer))
        }
        file = io.BytesIO()
        np.savez(file, **arrays)
        body = json.dumps(head).encode() + b"\n" + file.getvalue()
        try:
            write_whole(self.path, hashlib.sha256(body).digest() + body)
        except OSError as error:
            warn(
                f"{self.path} cannot be written ({error.strerror}); the search goes on "
                "without, and after a kill it begins this stack anew",
                stacklevel=2,
            )

    def restore(self, trainers: Sequence[Trainer]) -> int:
        """Restore built networks from the file; returns their number of epochs.

        Returns 0 if the file has other networks, or is damaged or missing.
        """
        with suppress(FileNotFoundError):
            content = self.path.read_bytes()
            digest, body = content[:32], content[32:]
            if hashlib.sha256(body).digest() != digest:
                return 0
            line, _, rest = body.partition(b"\n")
            head: dict[str, Any] = json.loads(line)
            if head["keys"] == self.keys:
                with np.load(io.BytesIO(rest)) as arrays:
                    for i, trainer in enumerate(trainers):
                        _restore(trainer, head["counts"][i], arrays, f"{i}.")
                return int(head["epochs"])
        return 0

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _arrays(trainer: Trainer) -> list[Any]:
    """All arrays that training changes."""
    buffers = trainer.model.buffers
    assert buffers is not None
    arrays = [buffers.params, buffers.state, trainer.model.step]
    return [*arrays, *trainer.rule.slots, *trainer.rule.averages]


def _counts(trainer: Trainer) -> list[Any]:
    rates = trainer.rates
    return [trainer.steps_done, trainer.epochs_done, rates.scale, rates.fixed]


def _restore(trainer: Trainer, counts: list[Any], arrays: Any, name: str) -> None:
    with trainer.backend.active():
        for j, array in enumerate(_arrays(trainer)):
            trainer.backend.upload(array, arrays[f"{name}{j}"])
    trainer.steps_done, trainer.epochs_done, *rates = counts
    trainer.rates.scale, trainer.rates.fixed = rates
