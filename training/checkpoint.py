"""A trainer on disk: a description in JSON, arrays in safetensors.

    DIR/model.json                    format, layers, loss, optimiser, counters, notes
    DIR/weights-DIGEST.safetensors    "0.W", "0.b", ..., "2.running_mean", ...
    DIR/optimizer-DIGEST.safetensors  the rule's flat arrays, "m", "v", ..., averages

Nothing in it is executed: layers, losses and rules are names of closed tables with
plain arguments. What is read must be what would be written: an entry that is missing,
not known or of another type is an error, and `sealed` finds what was changed since.
Sizes are compared with the tensors that are really there before anything is allocated.
How files get there as a whole is `folder`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.common.arrays import NDArray
from xpnet.compiler.drivers import driver_of
from xpnet.layers import Loss, Sequential
from xpnet.optim import Optimizer, WeightAverage
from xpnet.training.description import (
    ENTRIES,
    architecture,
    check_entries,
    counters,
    damage_of,
    first_keys,
    objects_of,
    plain_notes,
    settings,
)
from xpnet.training.divergence import check_sound
from xpnet.training.folder import (
    CHECKPOINT,
    ENSEMBLE,
    MAX_DESCRIPTION,
    MODEL,
    damaged,
    read_description,
    read_folder,
    write_folder,
)
from xpnet.training.sealed import CHECKSUMS, check_keys, check_seal, parse, sealed
from xpnet.training.state import TrainingState
from xpnet.training.tensors import (
    arrays,
    check_values,
    packed_arrays,
    read_arrays,
    shapes,
)

T = TypeVar("T", bound=TrainingState)
FORMAT = 2
HEAD = ("format", "kind", CHECKSUMS)


# Writing.


def save(trainer: TrainingState, directory: Path) -> Path:
    """Write `trainer` into `directory`, which is made if it is not there."""
    return write_model(directory, "trainer", *packed(trainer))


def write_model(
    directory: Path, kind: str, entries: dict[str, Any], parts: dict[str, bytes]
) -> Path:
    """Write a description of this kind, and the parts that it names."""
    text = sealed(entries | {"format": FORMAT, "kind": kind})
    check_length(text)
    write_folder(directory, MODEL, text, parts)
    return directory


def check_length(text: bytes) -> None:
    """Raises ValueError for a description that could not be read again."""
    if len(text) > MAX_DESCRIPTION:
        raise ValueError(
            f"save: the description takes {len(text)} bytes, expected at most "
            f"{MAX_DESCRIPTION}; save fewer networks in one folder, or shorter notes"
        )


def packed(trainer: TrainingState) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the description, {file name: contents}) of a built trainer.

    Raises:
        ValueError: parts of your own, notes that are no plain values, NaN.
    """
    trainer._built("save")
    check_sound(trainer, "save", again=True)
    entries = {
        **architecture(trainer),
        "dtype": trainer.dtype.name,
        "seed": trainer.seed,
        **counters(trainer),
        "notes": plain_notes(trainer.notes),
        "settings": settings(trainer),
    }
    tensors = arrays(trainer)
    check_values(trainer.optimizer, tensors, "save: ")
    files, parts = packed_arrays(tensors)
    return entries | {"files": files}, parts


# Reading.


@dataclass(frozen=True)
class Network:
    """One network of a file: checked, and nothing allocated yet.

    Attributes:
        entries: its description.
        model, loss, optimizer, average: made from it.
        tensors: by part and name; they fit.
    """

    entries: dict[str, Any]
    model: Sequential
    loss: Loss
    optimizer: Optimizer
    average: WeightAverage | None
    tensors: dict[str, dict[str, NDArray]]


@dataclass(frozen=True)
class Saved:
    """What a folder holds.

    Attributes:
        kind: "trainer" or "ensemble".
        networks: one, or the members.
        entries: of the whole description.
        path: of the description.
    """

    kind: str
    networks: list[Network]
    entries: dict[str, Any]
    path: Path


def load(make: Callable[..., T], directory: Path, device: str | Backend) -> T:
    """The trainer that was saved in `directory`, of the class `make`."""
    backend, saved = get_backend(device), read_model(directory)
    if saved.kind == "ensemble":
        raise ValueError(
            f"{directory}: expected one network, got an ensemble of "
            f"{len(saved.networks)}; use xpnet.Ensemble.load"
        )
    return trainer_of(make, saved.networks[0], backend)


def read_model(directory: Path) -> Saved:
    """What `directory` holds.

    Raises:
        FileNotFoundError: no model.
        ValueError: a damaged one, with the file and the entry.
    """
    return read_folder(directory, partial(_read_model, directory))


def _read_model(directory: Path) -> Saved:
    path = directory / MODEL
    if not path.is_file():
        raise _no_model(directory)
    data = read_description(directory, MODEL)
    found = parse(path, data)
    if check_format(path, found) == 1:
        check_keys(path, "", first_keys(found), found)
        return Saved("trainer", [_network(path, found, "", exact=False)], found, path)
    kind = found.get("kind")
    if kind not in ("trainer", "ensemble"):
        damaged(path, f"kind: expected trainer or ensemble, got {kind!r}")
    if kind == "trainer":
        check_keys(path, "", (*ENTRIES, *HEAD), found)
        rows: Any = {"": found}
    else:
        check_keys(path, "", ("members", "scaler", "y_scaler", *HEAD), found)
        members = found["members"]
        if not isinstance(members, list) or not members:
            damaged(path, f"members: expected a list of networks, got {members!r}")
        rows = {f"members[{i}]": entries for i, entries in enumerate(members)}
        for where, entries in rows.items():
            check_entries(path, where, entries)
    objects = [objects_of(path, row, where, True) for where, row in rows.items()]
    check_seal(path, data, found)
    networks = [
        _with_tensors(path, row, where, *made)
        for (where, row), made in zip(rows.items(), objects, strict=True)
    ]
    return Saved(kind, networks, found, path)


def _no_model(directory: Path) -> Exception:
    if (directory / ENSEMBLE).is_file():
        return ValueError(
            f"{directory}: expected one network, got an ensemble; use "
            "xpnet.Ensemble.load"
        )
    if (directory / CHECKPOINT).is_file():
        return FileNotFoundError(
            f"no saved model in {directory}, but the checkpoints of a training; "
            "trainer.fit(..., resume=directory) goes on with it"
        )
    return FileNotFoundError(
        f"no saved model in {directory}: expected {MODEL} there; "
        "trainer.save(directory) or `xpnet train DATA --save DIR` writes one"
    )


def check_format(path: Path, found: dict[str, Any]) -> int:
    """The format number; raises ValueError for one that this xpnet cannot read."""
    if "format" not in found:
        damaged(path, "format: the entry is missing")
    version: Any = found["format"]
    if type(version) is not int or version not in (1, FORMAT):
        raise ValueError(
            f"{path}: format: expected format 1 or {FORMAT}, got {version!r}; a newer "
            "xpnet wrote it, or it is damaged"
        )
    return version


def _network(path: Path, entries: dict[str, Any], where: str, exact: bool) -> Network:
    made = objects_of(path, entries, where, exact)
    return _with_tensors(path, entries, where, *made)


def _with_tensors(
    path: Path,
    entries: dict[str, Any],
    where: str,
    model: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    average: WeightAverage | None,
) -> Network:
    dtype = np.dtype(entries["dtype"])
    tensors = read_arrays(
        path.parent, entries["files"], shapes(model, optimizer, average), dtype
    )
    for part, named in tensors.items():
        with damage_of(path.parent / entries["files"][part], ""):
            check_values(optimizer, {part: named})
    return Network(entries, model, loss, optimizer, average, tensors)


def trainer_of(make: Callable[..., T], network: Network, backend: Backend) -> T:
    """The trainer of a network that was read, of the class `make`, on this device."""

    entries = network.entries
    options = dict(entries.get("settings", {}))
    if options and driver_of(backend) is None:
        options["precision"] = None  # of products on a GPU
    trainer = make(
        network.model,
        loss=network.loss,
        optimizer=network.optimizer,
        device=backend,
        dtype=entries["dtype"],
        seed=entries["seed"],
        average=network.average,
        **options,
    )
    trainer.notes = dict(entries["notes"])
    restore(trainer, entries, network.tensors)
    return trainer


def restore(
    trainer: TrainingState,
    entries: dict[str, Any],
    tensors: dict[str, dict[str, NDArray]],
) -> None:
    """Bring a built trainer to where `counters` and `arrays` were taken.

    Args:
        trainer: of this architecture; its arrays are written to.
        entries: with the counters.
        tensors: by part and name.
    """
    buffers, backend = trainer._built("restore"), trainer.backend
    for key, slot in trainer.model.slots().items():
        buffers.write(slot, tensors["weights"][key])
    with backend.active():
        trainer.model.step[...] = entries["noise_steps"]
    restore_rule(trainer, entries, tensors["optimizer"])


def restore_rule(
    trainer: TrainingState, entries: dict[str, Any], tensors: dict[str, NDArray]
) -> None:
    """Likewise for the update rule's arrays and the counters alone."""
    backend = trainer.backend
    with backend.active():
        for name, array in trainer.rule.arrays().items():
            array[...] = backend.asarray(tensors[name], trainer.dtype)
    trainer.steps_done = entries["steps_done"]
    trainer.epochs_done = entries["epochs_done"]
    trainer.rates.scale = float(entries["rate_scale"])
    fixed = entries["fixed_rate"]
    trainer.rates.fixed = None if fixed is None else float(fixed)
