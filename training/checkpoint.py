"""A trainer on disk: a description in JSON, arrays in safetensors.

    DIR/model.json            format, layers, loss, optimiser, counters, your notes
    DIR/weights.safetensors   "0.W", "0.b", ..., "2.running_mean", ...
    DIR/optimizer.safetensors the rule's flat arrays, "m", "v", ...

Nothing in it is executed: layers, losses and rules are names of closed tables with
plain arguments. Each tensor file's SHA-256 stands in the description. Files are
written beside the old ones and renamed over them when complete.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from xpnet.backend import Backend, choose
from xpnet.layers import LAYERS, LOSSES, Sequential
from xpnet.optim import OPTIMIZERS, schedule_config, schedule_from

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

FORMAT = 1
DESCRIPTION, WEIGHTS, STATE = (
    "model.json",
    "weights.safetensors",
    "optimizer.safetensors",
)
MAX_DESCRIPTION = 16 << 20  # bytes
MAX_UNITS = 1 << 24  # a damaged width must not allocate the machine's memory


def save(trainer: "Trainer", directory: Path) -> Path:
    """Write `trainer` into `directory`, which is made if it is not there."""
    trainer._built("save")
    description = _describe(trainer)
    weights = {
        slot.key: _host(trainer, slot.layer, slot.parameter.name)
        for slot in trainer.model.slots().values()
    }
    names = trainer.optimizer.slots
    state = {
        name: np.ascontiguousarray(trainer.backend.to_numpy(array))
        for name, array in zip(names, trainer.rule.slots, strict=True)
    }
    directory.mkdir(parents=True, exist_ok=True)
    description["files"] = {
        WEIGHTS: _write_tensors(directory / WEIGHTS, weights),
        STATE: _write_tensors(directory / STATE, state),
    }
    text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False) + "\n"
    _write(directory / DESCRIPTION, text.encode())
    return directory


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
        "dtype": trainer.dtype.name,
        "seed": trainer.seed,
        "steps_done": trainer.steps_done,
        "epochs_done": trainer.epochs_done,
        "rate_scale": trainer.rate_scale,
        "notes": trainer.notes,
    }


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


def _write_tensors(path: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> str:
    """Write the tensors; returns the file's SHA-256."""
    from safetensors.numpy import save as to_bytes

    data = to_bytes(tensors)
    _write(path, data)
    return hashlib.sha256(data).hexdigest()


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
    description = _read_description(directory)
    try:
        trainer = _build(description, device)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _damaged(directory / DESCRIPTION, f"{type(error).__name__}: {error}")
    weights = _read_tensors(directory / WEIGHTS, description)
    state = _read_tensors(directory / STATE, description)
    assert trainer.model.buffers is not None
    expected = {
        slot.key: (*trainer.model.buffers.lead, *slot.parameter.shape)
        for slot in trainer.model.slots().values()
    }
    _check_shapes(directory / WEIGHTS, weights, expected)
    flat = trainer.model.buffers.params.shape
    names = trainer.optimizer.slots
    _check_shapes(directory / STATE, state, dict.fromkeys(names, flat))
    for key, slot in trainer.model.slots().items():
        trainer.model.buffers.write(slot, weights[key])
    with trainer.backend.active():
        for name, array in zip(names, trainer.rule.slots, strict=True):
            array[...] = trainer.backend.asarray(state[name], trainer.dtype)
        trainer.model.step[...] = trainer.steps_done
    return trainer


def _build(description: dict[str, Any], device: str | Backend) -> "Trainer":
    from xpnet.training.trainer import Trainer

    layers = [_from(config, LAYERS, "layer") for config in description["layers"]]
    if any(getattr(layer, "units", 1) > MAX_UNITS for layer in layers):
        raise ValueError(f"a layer of more than {MAX_UNITS} units")
    optimizer = dict(description["optimizer"])
    optimizer["learning_rate"] = schedule_from(optimizer["learning_rate"])
    trainer = Trainer(
        Sequential(layers),
        loss=_from(description["loss"], LOSSES, "loss"),
        optimizer=_from(optimizer, OPTIMIZERS, "optimizer"),
        device=device,
        dtype=description["dtype"],
        seed=description["seed"],
    )
    trainer.build(tuple(description["sample_shape"]))
    trainer.steps_done = int(description["steps_done"])
    trainer.epochs_done = int(description["epochs_done"])
    trainer.rate_scale = float(description["rate_scale"])
    trainer.notes = dict(description["notes"])
    return trainer


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
    except ValueError as error:
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
    path: Path, description: dict[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    if not path.is_file():
        _damaged(path, "it is missing")
    data = path.read_bytes()
    files = description.get("files")
    expected = files.get(path.name) if isinstance(files, dict) else None
    if hashlib.sha256(data).hexdigest() != expected:
        _damaged(path, f"its SHA-256 is not the one in {DESCRIPTION}")
    try:
        return dict(from_bytes(data))
    except SafetensorError as error:
        _damaged(path, str(error))


def _check_shapes(
    path: Path,
    tensors: dict[str, np.ndarray[Any, Any]],
    expected: dict[str, tuple[int, ...]],
) -> None:
    if set(tensors) != set(expected):
        _damaged(path, f"expected {sorted(expected)}, got {sorted(tensors)}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            _damaged(path, f"{name}: expected {shape}, got {tensors[name].shape}")
