"""A trainer on disk: a description in JSON, arrays in safetensors.

    DIR/model.json                    format, layers, loss, optimiser, counters, notes
    DIR/weights-DIGEST.safetensors    "0.W", "0.b", ..., "2.running_mean", ...
    DIR/optimizer-DIGEST.safetensors  the rule's flat arrays, "m", "v", ..., averages

Nothing in it is executed: layers, losses and rules are names of closed tables with
plain arguments. The tensor files are named after their SHA-256, so a save never writes
over the files of the one before; the description, renamed into place last, is what
makes the new ones count. Sizes are compared with the tensors that are really there
before anything is allocated.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.common import check_number, check_whole, choose
from xpnet.layers import LAYERS, LOSSES, Sequential
from xpnet.optim import (
    OPTIMIZERS,
    Optimizer,
    WeightAverage,
    schedule_config,
    schedule_from,
)
from xpnet.training.divergence import check_sound

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

_FILE = re.compile(r"(weights|optimizer)-[0-9a-f]{64}\.safetensors(\.part)?\Z")
FORMAT = 1
DESCRIPTION = "model.json"
PARTS = ("weights", "optimizer")
AVERAGES = ("average", "average of state")  # of the parameters, of the statistics
MAX_DESCRIPTION = 16 << 20  # bytes
MAX_STEPS = 2**32 - 1  # the step counter of the noise is a 32-bit number


def save(trainer: "Trainer", directory: Path) -> Path:
    """Write `trainer` into `directory`, which is made if it is not there."""
    trainer._built("save")
    check_sound(trainer, "save", again=True)
    description = _describe(trainer)
    weights = {
        slot.key: _host(trainer, slot.layer, slot.parameter.name)
        for slot in trainer.model.slots().values()
    }
    state = {
        name: np.ascontiguousarray(trainer.backend.to_numpy(array))
        for name, array in _rule_arrays(trainer).items()
    }
    files = {
        part: _named_bytes(part, tensors)
        for part, tensors in zip(PARTS, (weights, state), strict=True)
    }
    description["files"] = {part: name for part, (name, _) in files.items()}
    text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.values():
        _write(directory / name, data)
    _write(directory / DESCRIPTION, text.encode())
    _clean(directory, {name for name, _ in files.values()})
    return directory


def _rule_arrays(trainer: "Trainer") -> dict[str, Any]:
    """The rule's arrays by name, and the averages where there are some."""
    slots = zip(trainer.optimizer.slots, trainer.rule.slots, strict=True)
    return dict(slots) | dict(zip(AVERAGES, trainer.rule.averages, strict=False))


def _named_bytes(
    part: str, tensors: dict[str, np.ndarray[Any, Any]]
) -> tuple[str, bytes]:
    """(file name, contents) of the tensors."""
    from safetensors.numpy import save as to_bytes

    data = to_bytes(tensors)
    return f"{part}-{hashlib.sha256(data).hexdigest()}.safetensors", data


def _clean(directory: Path, current: set[str]) -> None:
    """Remove the tensor files of earlier saves, and what a broken one left."""
    for part in PARTS:
        for path in directory.glob(f"{part}-*.safetensors*"):
            if path.name not in current and _FILE.match(path.name):
                path.unlink(missing_ok=True)


def _host(trainer: "Trainer", layer: int, name: str) -> np.ndarray[Any, Any]:
    assert trainer.model.buffers is not None
    view = trainer.model.buffers.views[layer, name]
    # safetensors writes wrong values for arrays that are not contiguous.
    return np.ascontiguousarray(trainer.backend.to_numpy(view))


def _describe(trainer: "Trainer") -> dict[str, Any]:
    model = trainer.model
    optimizer = trainer.optimizer
    config = optimizer.config()
    config["learning_rate"] = schedule_config(optimizer.schedule)
    return {
        "format": FORMAT,
        "sample_shape": list(model.sample_shape or ()),
        "layers": [_named(layer, LAYERS, "layer") for layer in model.layers],
        "loss": _named(trainer.loss_function, LOSSES, "loss"),
        "optimizer": {"name": _name(optimizer, OPTIMIZERS, "optimizer"), **config},
        "average": None if trainer.average is None else asdict(trainer.average),
        "dtype": trainer.dtype.name,
        "seed": trainer.seed,
        "steps_done": trainer.steps_done,
        "epochs_done": trainer.epochs_done,
        "noise_steps": int(trainer.backend.to_numpy(model.step).flat[0]),
        "rate_scale": trainer.rates.scale,
        "fixed_rate": trainer.rates.fixed,
        "notes": _notes(trainer.notes),
    }


def _notes(notes: dict[str, Any]) -> dict[str, Any]:
    """The notes, if a JSON file can hold them as they are."""
    try:
        text = json.dumps(notes, allow_nan=False)
        if len(text) > MAX_DESCRIPTION // 2:
            raise ValueError(f"they take {len(text)} bytes")
        if json.loads(text) != notes:
            raise ValueError("keys must be text, sequences lists")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"save: notes: expected plain text, numbers, lists and dicts; {error}"
        ) from None
    return notes


def _name(thing: object, table: dict[str, Any], what: str) -> str:
    for name, kind in table.items():
        if type(thing) is kind:
            return name
    raise ValueError(
        f"save: {what} {type(thing).__name__} is your own, and a file holds only "
        f"{', '.join(sorted(table))}; keep trainer.parameters() instead"
    )


def _named(thing: Any, table: dict[str, Any], what: str) -> dict[str, Any]:
    config = {"name": _name(thing, table, what), **thing.config()}
    for key, value in config.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(
                f"save: {what} {config['name']}: {key}={value!r} is your own, and a "
                "file holds only names and numbers; keep trainer.parameters() instead"
            )
    return config


def _write(path: Path, data: bytes) -> None:
    """Replace `path` by a complete file, or leave it as it was."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load(directory: Path, device: str | Backend) -> "Trainer":
    """The trainer that was saved in `directory`."""
    backend = get_backend(device)
    path = directory / DESCRIPTION
    description = _read_description(directory)
    tensors = {part: _read_tensors(directory, description, part) for part in PARTS}
    try:
        model, optimizer = _model(description), _optimizer(description)
        average = _average(description)
        _check_tensors(model, optimizer, average, tensors)
        trainer = _trainer(description, model, optimizer, average, backend)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        _damaged(path, f"{type(error).__name__}: {error}")
    buffers = trainer.model.buffers
    assert buffers is not None
    for key, slot in trainer.model.slots().items():
        buffers.write(slot, tensors["weights"][key])
    with backend.active():
        for name, array in _rule_arrays(trainer).items():
            array[...] = backend.asarray(tensors["optimizer"][name], trainer.dtype)
    return trainer


def _model(description: dict[str, Any]) -> Sequential:
    layers = [_from(config, LAYERS, "layer") for config in description["layers"]]
    return Sequential(layers).build(tuple(description["sample_shape"]))


def _optimizer(description: dict[str, Any]) -> Optimizer:
    config = dict(description["optimizer"])
    config["learning_rate"] = schedule_from(config["learning_rate"])
    optimizer: Optimizer = _from(config, OPTIMIZERS, "optimizer")
    return optimizer


def _average(description: dict[str, Any]) -> WeightAverage | None:
    """None too where an xpnet without averages wrote the file."""
    config = description.get("average")
    return None if config is None else WeightAverage(**config)


def _check_tensors(
    model: Sequential,
    optimizer: Optimizer,
    average: WeightAverage | None,
    tensors: dict[str, dict[str, np.ndarray[Any, Any]]],
) -> None:
    """Raises ValueError unless the tensors are those that the description needs."""
    flat = (model.layout.size,)
    sizes = [] if average is None else [flat, (model.layout.state_size,)]
    expected = {
        "weights": {key: slot.parameter.shape for key, slot in model.slots().items()},
        "optimizer": dict.fromkeys(optimizer.slots, flat)
        | dict(zip(AVERAGES, sizes, strict=False)),
    }
    for part in PARTS:
        found = {name: tensor.shape for name, tensor in tensors[part].items()}
        if found != expected[part]:
            raise ValueError(f"{part}: expected {expected[part]}, got {found}")


def _trainer(
    description: dict[str, Any],
    model: Sequential,
    optimizer: Optimizer,
    average: WeightAverage | None,
    backend: Backend,
) -> "Trainer":
    from xpnet.training.trainer import Trainer

    trainer = Trainer(
        model,
        loss=_from(description["loss"], LOSSES, "loss"),
        optimizer=optimizer,
        device=backend,
        dtype=description["dtype"],
        seed=description["seed"],
        average=average,
    )
    for name in ("steps_done", "epochs_done"):
        setattr(trainer, name, check_whole("", name, description[name], 0, MAX_STEPS))
    steps = check_whole("", "noise_steps", description["noise_steps"], 0, MAX_STEPS)
    with backend.active():
        model.step[...] = steps
    trainer.rates.scale = _rate("rate_scale", description["rate_scale"])
    fixed = description["fixed_rate"]
    trainer.rates.fixed = None if fixed is None else _rate("fixed_rate", fixed)
    trainer.notes = dict(description["notes"])
    return trainer


def _rate(name: str, value: Any) -> float:
    return check_number(name, value, "a number > 0", lambda v: v > 0.0)


def _from(config: dict[str, Any], table: dict[str, Any], what: str) -> Any:
    values = dict(config)
    return choose(values.pop("name", ""), table, what)(**values)


def _damaged(path: Path, why: str) -> NoReturn:
    raise ValueError(
        f"{path} is damaged or no xpnet model: {why}; save the model again, or take a "
        "copy"
    )


def _read_description(directory: Path) -> dict[str, Any]:
    path = directory / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"no saved model in {directory}: expected {DESCRIPTION} there; "
            "trainer.save(directory) or `xpnet train DATA --save DIR` writes one"
        )
    if path.stat().st_size > MAX_DESCRIPTION:
        _damaged(path, f"larger than {MAX_DESCRIPTION} bytes")
    try:
        description = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        _damaged(path, str(error))
    if not isinstance(description, dict) or "format" not in description:
        _damaged(path, "it has no format number")
    if description["format"] != FORMAT:
        raise ValueError(
            f"{path}: expected format {FORMAT}, got {description['format']!r}; a newer "
            "xpnet wrote it"
        )
    return description


def _read_tensors(
    directory: Path, description: dict[str, Any], part: str
) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    files = description.get("files")
    name = files.get(part) if isinstance(files, dict) else None
    if not isinstance(name, str) or not _FILE.match(name):
        _damaged(directory / DESCRIPTION, f"it names no {part} file")
    path = directory / name
    if not path.is_file():
        _damaged(path, "it is missing")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() not in name:
        _damaged(path, "its SHA-256 is not the one in its name")
    try:
        return dict(from_bytes(data))
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        _damaged(path, str(error))
