"""A training in words: its parts as plain values of JSON, and back.

Layers, losses and rules are names of closed tables with plain arguments. What is read
must be what would be written: an entry that is missing, not known or of another type
is an error.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xpnet.backend.backend import PRECISIONS
from xpnet.common import check_number, check_whole, choose
from xpnet.layers import LAYERS, LOSSES, Loss, Sequential
from xpnet.optim import (
    OPTIMIZERS,
    TRANSFORMS,
    Optimizer,
    WeightAverage,
    schedule_config,
    schedule_from,
)
from xpnet.training.folder import MAX_DESCRIPTION, PART, damaged
from xpnet.training.metrics import METRICS
from xpnet.training.sealed import check_keys, difference
from xpnet.training.state import TrainingState

PARTS = ("weights", "optimizer")
MAX_STEPS = 2**32 - 1  # the step counter of the noise is a 32-bit number
ARCHITECTURE = ("layers", "sample_shape", "loss", "optimizer", "average")
COUNTERS = ("steps_done", "epochs_done", "noise_steps", "rate_scale", "fixed_rate")
SETTINGS = ("eager", "jit", "metrics", "precision", "steps_per_graph")
ENTRIES = (*ARCHITECTURE, "dtype", "seed", *COUNTERS, "notes", "settings", "files")
# What the first files of format 1 had not: it takes the default there.
LATER = {"average", "max_norm", "gradient_noise", "noise_decay"}


def architecture(trainer: TrainingState) -> dict[str, Any]:
    """Layers, loss and rule as plain values; ValueError for parts of your own."""
    return _architecture(
        trainer.model, trainer.loss_function, trainer.optimizer, trainer.average
    )


def _architecture(
    model: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    average: WeightAverage | None,
) -> dict[str, Any]:
    return {
        "layers": [_named(layer, LAYERS, "layer") for layer in model.layers],
        "sample_shape": list(model.sample_shape or ()),
        "loss": _named(loss, LOSSES, "loss"),
        "optimizer": _rule(optimizer),
        "average": None if average is None else asdict(average),
    }


def _rule(optimizer: Optimizer) -> dict[str, Any]:
    name = _name(optimizer, OPTIMIZERS, "optimizer")
    rate = schedule_config(optimizer.schedule)
    found = {"name": name, **optimizer.config(), "learning_rate": rate}
    if optimizer.transforms:
        own = [_named(one, TRANSFORMS, "transform") for one in optimizer.transforms]
        found["transforms"] = own
    return found


def counters(trainer: TrainingState) -> dict[str, Any]:
    """How far the trainer is, as plain values."""
    return {
        "steps_done": trainer.steps_done,
        "epochs_done": trainer.epochs_done,
        "noise_steps": int(trainer.backend.to_numpy(trainer.model.step).flat[0]),
        "rate_scale": trainer.rates.scale,
        "fixed_rate": trainer.rates.fixed,
    }


def settings(trainer: TrainingState) -> dict[str, Any]:
    """How the trainer runs, as plain values. Metrics of your own are left out."""
    ours = all(METRICS.get(name) is f for name, f in trainer.metrics.items())
    return {
        "eager": trainer.eager,
        "jit": trainer.jit,
        "metrics": list(trainer.metrics) if ours else None,
        "precision": trainer.backend.precision,
        "steps_per_graph": trainer.steps_per_graph,
    }


def plain_notes(notes: dict[str, Any]) -> dict[str, Any]:
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
        f"{', '.join(sorted(table))}; keep trainer.parameters() instead, or a pickle"
    )


def _named(thing: Any, table: dict[str, Any], what: str) -> dict[str, Any]:
    config = {"name": _name(thing, table, what), **thing.config()}
    for key, value in config.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(
                f"save: {what} {config['name']}: {key}={value!r} is your own, and a "
                "file holds only names and numbers; keep trainer.parameters() instead, "
                "or a pickle"
            )
    return config


def first_keys(found: dict[str, Any]) -> set[str]:
    """The entries of format 1."""
    return ({*ENTRIES, "format"} - {"settings"}) - (LATER - set(found))


def check_entries(path: Path, where: str, entries: Any) -> None:
    """Raises ValueError unless these are the entries of one network."""
    if not isinstance(entries, dict):
        damaged(path, f"{where}: expected a network, got {entries!r}")
    check_keys(path, where, ENTRIES, entries)


Objects = tuple[Sequential, Loss, Optimizer, WeightAverage | None]


def objects_of(path: Path, entries: dict[str, Any], where: str, exact: bool) -> Objects:
    """Model, loss, rule and average, once all entries are known to be sound.

    Args:
        path: of the description, for messages.
        entries: of one network.
        where: the name of these entries; empty for the whole description.
        exact: False for format 1, whose numbers may be of another type.
    """
    dot = f"{where}." if where else ""
    with damage_of(path, f"{dot}layers"):
        layers = [
            _from(config, LAYERS, f"layers[{i}]", "layer")
            for i, config in enumerate(_list(entries["layers"]))
        ]
        model = Sequential(layers)
    with damage_of(path, f"{dot}layers, sample_shape"):
        model.build(tuple(_list(entries["sample_shape"])))
    with damage_of(path, f"{dot}loss"):
        loss = _from(entries["loss"], LOSSES, "", "loss")
    with damage_of(path, f"{dot}optimizer"):
        optimizer = _optimizer(entries["optimizer"])
    with damage_of(path, f"{dot}average"):
        config = entries.get("average")
        average = None if config is None else WeightAverage(**config)
    with damage_of(path, where):
        check_plain(entries)
        # What is read must be what would be written: no default, no other type.
        described = _architecture(model, loss, optimizer, average)
        wanted = json.loads(json.dumps(described))
        for name in ARCHITECTURE:
            known = wanted[name] if exact else _first(wanted[name], entries.get(name))
            problem = difference(known, entries.get(name), name, exact)
            if problem:
                raise ValueError(problem)
    return model, loss, optimizer, average


@contextmanager
def damage_of(path: Path, where: str) -> Iterator[None]:
    """Within the block whatever does not fit is damage of `path`, at entry `where`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        text = " ".join(str(error).split())
        damaged(path, f"{where}: {text}" if where else text)


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {values!r}")
    return values


def _first(wanted: Any, found: Any) -> Any:
    """`wanted` without what came later than format 1, where `found` has it not."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        kept = wanted.keys() - (LATER - found.keys())
        return {key: _first(wanted[key], found.get(key)) for key in kept}
    if isinstance(wanted, list) and isinstance(found, list):
        pairs = zip(wanted, found, strict=False)
        return [_first(a, b) for a, b in pairs] + wanted[len(found) :]
    return wanted


def _from(config: Any, table: dict[str, Any], where: str, what: str) -> Any:
    if not isinstance(config, dict):
        raise ValueError(f"{where}: expected a {what}, got {config!r}".lstrip(": "))
    values = dict(config)
    try:
        return choose(values.pop("name", ""), table, what)(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}".lstrip(": ")) from None


def _optimizer(config: Any) -> Optimizer:
    if not isinstance(config, dict):
        raise ValueError(f"expected an optimizer, got {config!r}")
    values = config | {"learning_rate": schedule_from(config["learning_rate"])}
    if "transforms" in config:
        values["transforms"] = [
            _from(own, TRANSFORMS, f"transforms[{i}]", "transform")
            for i, own in enumerate(_list(config["transforms"]))
        ]
    optimizer: Optimizer = _from(values, OPTIMIZERS, "", "optimizer")
    return optimizer


def check_plain(entries: dict[str, Any]) -> None:
    """Raises ValueError or TypeError for an unfit number, setting or file name."""
    if entries["dtype"] not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {entries['dtype']}")
    check_whole("", "seed", entries["seed"], 0)
    check_counters(entries)
    if not isinstance(entries["notes"], dict):
        raise ValueError(f"notes: expected an object, got {entries['notes']!r}")
    if "settings" in entries:
        _check_settings(entries["settings"])
    check_files(entries["files"], PARTS)


def check_counters(entries: dict[str, Any]) -> None:
    """Raises ValueError or TypeError for counters that no training has."""
    for name in ("steps_done", "epochs_done", "noise_steps"):
        check_whole("", name, entries[name], 0, MAX_STEPS)
    _rate("rate_scale", entries["rate_scale"])
    if entries["fixed_rate"] is not None:
        _rate("fixed_rate", entries["fixed_rate"])


def _rate(name: str, value: Any) -> float:
    return check_number(name, value, "a number > 0", lambda v: v > 0.0)


def _check_settings(found: Any) -> None:
    if not isinstance(found, dict) or set(found) != set(SETTINGS):
        raise ValueError(f"settings: expected {', '.join(SETTINGS)}, got {found!r}")
    for name in ("eager", "jit"):
        if not (isinstance(found[name], bool) or (name, found[name]) == ("jit", None)):
            raise TypeError(f"settings.{name}: expected a flag, got {found[name]!r}")
    check_whole("", "settings.steps_per_graph", found["steps_per_graph"], 0)
    choose(found["precision"], dict.fromkeys(PRECISIONS), "settings.precision")
    metrics = found["metrics"]
    if not isinstance(metrics, list | None):
        raise TypeError(f"settings.metrics: expected names, got {metrics!r}")
    for name in metrics or ():
        choose(name, METRICS, "settings.metrics")


def check_files(files: Any, parts: Sequence[str]) -> None:
    """Raises ValueError unless these are names of part files."""
    if not isinstance(files, dict) or set(files) != set(parts):
        raise ValueError(f"files: expected {', '.join(parts)}, got {files!r}")
    for part, name in files.items():
        fits = isinstance(name, str) and PART.fullmatch(name)
        if not fits or not name.startswith(f"{part}-"):
            raise ValueError(f"files.{part}: expected its file name, got {name!r}")
