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

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.common import check_number, check_whole, choose
from xpnet.compiler.drivers import driver_of
from xpnet.layers import LAYERS, LOSSES, Loss, Sequential
from xpnet.optim import (
    OPTIMIZERS,
    Optimizer,
    WeightAverage,
    schedule_config,
    schedule_from,
)
from xpnet.training.divergence import check_sound
from xpnet.training.folder import (
    CHECKPOINT,
    ENSEMBLE,
    MAX_DESCRIPTION,
    MODEL,
    PART,
    damaged,
    part_name,
    read_description,
    read_folder,
    read_part,
    write_folder,
)
from xpnet.training.metrics import METRICS
from xpnet.training.sealed import (
    CHECKSUMS,
    check_keys,
    check_seal,
    difference,
    parse,
    sealed,
)

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

Values = np.ndarray[Any, Any]
FORMAT = 2
PARTS = ("weights", "optimizer")
AVERAGES = ("average", "average of state")  # of the parameters, of the statistics
MAX_STEPS = 2**32 - 1  # the step counter of the noise is a 32-bit number
ARCHITECTURE = ("layers", "sample_shape", "loss", "optimizer", "average")
COUNTERS = ("steps_done", "epochs_done", "noise_steps", "rate_scale", "fixed_rate")
SETTINGS = ("eager", "jit", "metrics", "precision", "steps_per_graph")
ENTRIES = (*ARCHITECTURE, "dtype", "seed", *COUNTERS, "notes", "settings", "files")
HEAD = ("format", "kind", CHECKSUMS)
# What the first files of format 1 had not: it takes the default there.
LATER = {"average", "max_norm", "gradient_noise", "noise_decay"}


# Writing.


def save(trainer: "Trainer", directory: Path) -> Path:
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


def packed(trainer: "Trainer") -> tuple[dict[str, Any], dict[str, bytes]]:
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
        "notes": _notes(trainer.notes),
        "settings": settings(trainer),
    }
    tensors = arrays(trainer)
    check_values(trainer.optimizer, tensors, "save: ")
    files, parts = packed_arrays(tensors)
    return entries | {"files": files}, parts


def packed_arrays(
    tensors: dict[str, dict[str, Values]],
) -> tuple[dict[str, str], dict[str, bytes]]:
    """({part: its file name}, {file name: contents}) of arrays, by part and name."""
    from safetensors.numpy import save as to_bytes

    files, parts = {}, {}
    for part, named in tensors.items():
        data = to_bytes(named)
        files[part] = part_name(part, data)
        parts[files[part]] = data
    return files, parts


def arrays(trainer: "Trainer") -> dict[str, dict[str, Values]]:
    """Host copies of everything that training changes, by part and name."""
    buffers, host = trainer._built("save"), trainer.backend.to_numpy
    trainer.check_owner()
    slots = trainer.model.slots().items()
    views = {key: buffers.views[s.layer, s.parameter.name] for key, s in slots}
    named = {"weights": views, "optimizer": _rule_arrays(trainer)}
    # safetensors writes wrong values for arrays that are not contiguous.
    return {
        part: {name: np.array(host(a), order="C") for name, a in rows.items()}
        for part, rows in named.items()
    }


def _rule_arrays(trainer: "Trainer") -> dict[str, Any]:
    """The rule's arrays by name, and the averages where there are some."""
    slots = zip(trainer.optimizer.slots, trainer.rule.slots, strict=True)
    return dict(slots) | dict(zip(AVERAGES, trainer.rule.averages, strict=False))


def architecture(trainer: "Trainer") -> dict[str, Any]:
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
    return {"name": name, **optimizer.config(), "learning_rate": rate}


def counters(trainer: "Trainer") -> dict[str, Any]:
    """How far the trainer is, as plain values."""
    return {
        "steps_done": trainer.steps_done,
        "epochs_done": trainer.epochs_done,
        "noise_steps": int(trainer.backend.to_numpy(trainer.model.step).flat[0]),
        "rate_scale": trainer.rates.scale,
        "fixed_rate": trainer.rates.fixed,
    }


def settings(trainer: "Trainer") -> dict[str, Any]:
    """How the trainer runs, as plain values. Metrics of your own are left out."""
    ours = all(METRICS.get(name) is f for name, f in trainer.metrics.items())
    return {
        "eager": trainer.eager,
        "jit": trainer.jit,
        "metrics": list(trainer.metrics) if ours else None,
        "precision": trainer.backend.precision,
        "steps_per_graph": trainer.steps_per_graph,
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
    tensors: dict[str, dict[str, Values]]


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


def load(directory: Path, device: str | Backend) -> "Trainer":
    """The trainer that was saved in `directory`."""
    backend, saved = get_backend(device), read_model(directory)
    if saved.kind == "ensemble":
        raise ValueError(
            f"{directory}: expected one network, got an ensemble of "
            f"{len(saved.networks)}; use xpnet.Ensemble.load"
        )
    return trainer_of(saved.networks[0], backend)


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
        check_keys(path, "", _first_keys(found), found)
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
    objects = [_objects(path, row, where, True) for where, row in rows.items()]
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


def _first_keys(found: dict[str, Any]) -> set[str]:
    """The entries of format 1."""
    return ({*ENTRIES, "format"} - {"settings"}) - (LATER - set(found))


def check_entries(path: Path, where: str, entries: Any) -> None:
    """Raises ValueError unless these are the entries of one network."""
    if not isinstance(entries, dict):
        damaged(path, f"{where}: expected a network, got {entries!r}")
    check_keys(path, where, ENTRIES, entries)


def _network(path: Path, entries: dict[str, Any], where: str, exact: bool) -> Network:
    made = _objects(path, entries, where, exact)
    return _with_tensors(path, entries, where, *made)


Objects = tuple[Sequential, Loss, Optimizer, WeightAverage | None]


def _objects(path: Path, entries: dict[str, Any], where: str, exact: bool) -> Objects:
    """Model, loss, rule and average, once all entries are known to be sound.

    Args:
        path: of the description, for messages.
        entries: of one network.
        where: the name of these entries; empty for the whole description.
        exact: False for format 1, whose numbers may be of another type.
    """
    dot = f"{where}." if where else ""
    with _told_of(path, f"{dot}layers"):
        layers = [
            _from(config, LAYERS, f"layers[{i}]", "layer")
            for i, config in enumerate(_list(entries["layers"]))
        ]
        model = Sequential(layers)
    with _told_of(path, f"{dot}layers, sample_shape"):
        model.build(tuple(_list(entries["sample_shape"])))
    with _told_of(path, f"{dot}loss"):
        loss = _from(entries["loss"], LOSSES, "", "loss")
    with _told_of(path, f"{dot}optimizer"):
        optimizer = _optimizer(entries["optimizer"])
    with _told_of(path, f"{dot}average"):
        config = entries.get("average")
        average = None if config is None else WeightAverage(**config)
    with _told_of(path, where):
        _check_plain(entries)
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
def _told_of(path: Path, where: str) -> Iterator[None]:
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
    rate = schedule_from(config["learning_rate"])
    optimizer: Optimizer = _from(
        config | {"learning_rate": rate}, OPTIMIZERS, "", "optimizer"
    )
    return optimizer


def _check_plain(entries: dict[str, Any]) -> None:
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
    from xpnet.backend.backend import PRECISIONS

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
        with _told_of(path.parent / entries["files"][part], ""):
            check_values(optimizer, {part: named})
    return Network(entries, model, loss, optimizer, average, tensors)


Shapes = dict[str, dict[str, tuple[int, ...]]]


def shapes(
    model: Sequential, optimizer: Optimizer, average: WeightAverage | None
) -> Shapes:
    """Of every array that a file of such a trainer holds, by part and name."""
    flat: tuple[int, ...] = (model.layout.size,)
    sizes = [] if average is None else [flat, (model.layout.state_size,)]
    return {
        "weights": {key: slot.parameter.shape for key, slot in model.slots().items()},
        "optimizer": dict.fromkeys(optimizer.slots, flat)
        | dict(zip(AVERAGES, sizes, strict=False)),
    }


def read_arrays(
    folder: Path, files: dict[str, str], wanted: Shapes, dtype: np.dtype[Any]
) -> dict[str, dict[str, Values]]:
    """The arrays of these files.

    Raises:
        ValueError: a damaged file, arrays of other names, shapes or types.
    """
    found: dict[str, dict[str, Values]] = {}
    for part, named in wanted.items():
        bytes_ = sum(math.prod(shape) for shape in named.values()) * dtype.itemsize
        most = bytes_ + 4096 + 1024 * len(named)  # the header's
        found[part] = tensors_in(folder, files[part], most)
        _check_fit(folder / files[part], named, found[part], dtype)
    return found


def tensors_in(folder: Path, name: str, most: int) -> dict[str, Values]:
    """The arrays of one part file of at most `most` bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    data = read_part(folder, name, most)
    try:
        return dict(from_bytes(data))
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        damaged(folder / name, str(error))


def _check_fit(
    path: Path,
    wanted: dict[str, tuple[int, ...]],
    found: dict[str, Values],
    dtype: np.dtype[Any],
) -> None:
    check_keys(path, "", wanted, found)
    for name, shape in wanted.items():
        tensor = found[name]
        if (tensor.shape, tensor.dtype) != (shape, dtype):
            damaged(
                path,
                f"{name}: expected {dtype} of shape {shape}, got {tensor.dtype} of "
                f"shape {tensor.shape}",
            )


def check_values(
    optimizer: Optimizer, tensors: dict[str, dict[str, Values]], owner: str = ""
) -> None:
    """Raises ValueError for NaN, infinities, and negative variances and squares."""
    ours = type(optimizer) in OPTIMIZERS.values()
    never_negative = set(optimizer.squares if ours else ())
    for part, named in tensors.items():
        for name, values in named.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{owner}{name}: expected finite numbers")
            square = part == "optimizer" and name in never_negative
            square = square or name.endswith(".running_variance")
            if square and (values < 0.0).any():
                raise ValueError(f"{owner}{name}: expected numbers >= 0")


def trainer_of(network: Network, backend: Backend) -> "Trainer":
    """The trainer of a network that was read, on this device."""
    from xpnet.training.trainer import Trainer

    entries = network.entries
    options = dict(entries.get("settings", {}))
    if options and driver_of(backend) is None:
        options["precision"] = None  # of products on a GPU
    trainer = Trainer(
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
    trainer: "Trainer", entries: dict[str, Any], tensors: dict[str, dict[str, Values]]
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
    _restore_rule(trainer, entries, tensors["optimizer"])


def _restore_rule(
    trainer: "Trainer", entries: dict[str, Any], tensors: dict[str, Values]
) -> None:
    backend = trainer.backend
    with backend.active():
        for name, array in _rule_arrays(trainer).items():
            array[...] = backend.asarray(tensors[name], trainer.dtype)
    trainer.steps_done = entries["steps_done"]
    trainer.epochs_done = entries["epochs_done"]
    trainer.rates.scale = float(entries["rate_scale"])
    fixed = entries["fixed_rate"]
    trainer.rates.fixed = None if fixed is None else float(fixed)


# Pickle and copies: what a file holds, with parts of your own as objects.


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """What makes an equal trainer in `make_from`; the model brings its own arrays."""
    known = {name: METRICS.get(name) is f for name, f in trainer.metrics.items()}
    state: dict[str, Any] = {
        "arguments": {
            "model": trainer.model,
            "loss": trainer.loss_function,
            "optimizer": trainer.optimizer,
            "device": trainer.backend.device,
            "dtype": trainer.dtype.name,
            "seed": trainer.seed,
            "average": trainer.average,
            **settings(trainer),
            "metrics": [n if known[n] else f for n, f in trainer.metrics.items()],
            "precision": trainer.backend.precision
            if driver_of(trainer.backend)
            else None,
        },
        "metrics": list(trainer.metrics),
        "notes": trainer.notes,
        "history": trainer.history,
        "stop": trainer.stop,
    }
    if trainer.model.buffers is None:
        return state
    trainer.check_owner()
    return state | {
        "counters": counters(trainer),
        "arrays": arrays(trainer)["optimizer"],
    }


def make_from(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Make `trainer`, an object without attributes, what `state_of` was given."""
    trainer.__init__(**state["arguments"])  # type: ignore[misc]
    trainer.metrics = dict(zip(state["metrics"], trainer.metrics.values(), strict=True))
    for name in ("notes", "history", "stop"):
        setattr(trainer, name, state[name])
    if "counters" in state:
        _restore_rule(trainer, state["counters"], state["arrays"])
