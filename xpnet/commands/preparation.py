"""What precedes a training: options checked, data loaded, split and scaled."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.commands.network import Settings, outputs, widths
from xpnet.common import (
    check_file,
    check_folder,
    check_number,
    printable,
)
from xpnet.data import SCALERS, Dataset, Scaler, Standardizer, load_data, split
from xpnet.data.files import check_memory
from xpnet.training.callbacks import EarlyStopping
from xpnet.training.folder import CHECKPOINT, MODEL, check_ours
from xpnet.training.trainer import Trainer

FEW = 20  # samples below which nothing is held out by default
SGD = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}  # its defaults here
COPIES = 6  # of the parameters: gradients, the rule's two arrays, the best, the last
OBJECTS = 20_000  # least bytes of a network without its parameters
Part = tuple[Any, Any]


@dataclass
class Parts:
    """(x, y) for training, validation and test; the last two may be None."""

    train: Part
    validation: Part | None
    test: Part | None


@dataclass
class Prepared:
    """What a training needs: the data and its parts, their scalers, the trainers."""

    data: Dataset
    parts: Parts
    scaler: Scaler | None
    y_scaler: Scaler | None
    trainers: list[Trainer]
    batch_size: int

    @property
    def trainer(self) -> Trainer:
        """The only trainer, or the first one."""
        return self.trainers[0]

    def scaled(self, part: Part) -> Part:
        """(x, y) as the network gets them."""
        x, y = part
        x = self.scaler.transform(x) if self.scaler else x
        return x, (self.y_scaler.transform(y) if self.y_scaler else y)

    def fitting(self, options: Namespace) -> dict[str, Any]:
        """Arguments of `fit` for one network or several."""
        held = self.parts.validation and self.scaled(self.parts.validation)
        watched = "loss" if held is None else "val_loss"
        stopping = EarlyStopping(watched, options.patience or options.epochs)
        x, y = self.scaled(self.parts.train)
        return {
            "x": x,
            "y": y,
            "epochs": options.epochs,
            "batch_size": self.batch_size,
            "validation": held,
            "callbacks": [stopping] if held is not None or options.patience else [],
        }

    @property
    def scored(self) -> tuple[str, Part]:
        """The part that scores are of: "test", or "training" if nothing is held out."""
        parts = self.parts
        return ("training", parts.train) if parts.test is None else ("test", parts.test)


def prepare(options: Namespace) -> Prepared:
    """Check the options, load and split the data, make the trainers.

    Raises:
        ValueError: an option or a file that cannot be used.
    """
    _check(options)
    hidden = hidden_widths(options.hidden)
    work = max(hidden, default=1), options.batch_size
    backend = get_backend(options.device, work, options.dtype)
    data = load_data(options.data, options.target, options.task)
    networks = getattr(options, "ensemble", None) or 1
    check_fits(data, hidden, options, networks)
    parts = _hold_out(data, options)
    scaler = _scaler(data, parts, options)
    y_scaler = Standardizer.fit(parts.train[1]) if data.task == "regression" else None
    samples = len(parts.train[0])
    batch_size = min(int(options.batch_size), samples)
    settings, steps = _settings(data, options), -(-samples // batch_size)
    how = {"device": backend, "dtype": options.dtype}
    trainers = [
        settings.trainer(data, steps * options.epochs, seed=options.seed + i, **how)
        for i in range(networks)
    ]
    for trainer in trainers:
        trainer.notes = notes(data, scaler, y_scaler)
    return Prepared(data, parts, scaler, y_scaler, trainers, batch_size)


def _settings(data: Dataset, options: Namespace) -> Settings:
    """The options as settings, with the defaults of `train` and `doctor`."""
    dropout, rate = options.dropout, options.learning_rate
    if dropout is None:
        classes = data.task == "classification" and len(data.x) >= FEW
        dropout = 0.3 if classes else 0.0
    own: dict[str, Any] = dict(SGD) if options.optimizer == "sgd" else {}
    if rate is not None:
        positive = "a number > 0"
        own["learning_rate"] = check_number(
            "--learning-rate", rate, positive, lambda r: r > 0.0
        )
    return Settings(
        hidden=hidden_widths(options.hidden),
        activation=options.activation,
        dropout=dropout or None,
        optimizer=options.optimizer,
        schedule=options.schedule,
        label_smoothing=options.label_smoothing,
        l2=options.l2,
        **own,
    )


def hidden_widths(text: str) -> tuple[int, ...]:
    """The widths of `--hidden`.

    Raises:
        ValueError: text that is no widths.
    """
    try:
        return widths(text)
    except ValueError:
        raise ValueError(
            f"--hidden: expected widths such as 128,64 or none, got {text!r}"
        ) from None


def _check(options: Namespace) -> None:
    """Raises ValueError for options that can be refused before any work."""
    for name in ("validation", "test"):
        share = getattr(options, name)
        if share is not None and not 0.0 <= share < 1.0:
            raise ValueError(f"--{name}: expected a share from 0 to 1, got {share}")
    check_counts(options, "epochs", "batch_size", "patience")
    check_places(options)


def check_counts(options: Namespace, *names: str, least: int = 1) -> None:
    """Raises ValueError for an option below `least`."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag}: expected at least {least}, got {value}")


def check_checkpoint(options: Namespace) -> None:
    """Raises ValueError for --checkpoint and --resume that cannot be used."""
    folder = options.checkpoint
    if folder is None:
        if options.resume:
            raise ValueError("--resume: expected --checkpoint DIR with it")
        return
    if options.ensemble is not None:
        raise ValueError(
            "--checkpoint: expected one network, got --ensemble; leave one of them out"
        )
    path = check_folder(folder, "--checkpoint")
    check_ours(path, CHECKPOINT, "--checkpoint")
    if not options.resume and (path / CHECKPOINT).is_file():
        raise ValueError(
            f"--checkpoint: {folder} holds a training; add --resume to go on with it, "
            "or name another folder"
        )


def check_places(options: Namespace) -> None:
    """Raises ValueError for a --plot or --save that could not be written."""
    if options.plot:
        from xpnet.training.plots import figure

        supported = figure(1)[0].canvas.get_supported_filetypes()
        kind = Path(options.plot).suffix.lower().lstrip(".")
        if kind and kind not in supported:
            raise ValueError(
                f"--plot: expected a file name ending in one of "
                f"{', '.join(sorted(supported))}; got {options.plot}"
            )
        check_file(options.plot, "--plot")
    if options.save is not None:
        # Before the training, so that no model is lost.
        check_ours(check_folder(options.save, "--save"), MODEL, "--save")


def check_fits(
    data: Dataset, hidden: Sequence[int], options: Namespace, networks: int = 1
) -> None:
    """Raises ValueError for data or networks larger than the memory."""
    item = np.dtype(options.dtype).itemsize
    sizes = [data.x.shape[1], *hidden, outputs(data)]
    weights = sum(a * b for a, b in pairwise(sizes))
    samples = data.x.size * (data.x.dtype.itemsize + 2 * item)
    needed = samples + networks * (OBJECTS + weights * item * COPIES)
    what = f"{printable(data.name)}: {len(data.x)} samples of {sizes[0]} features and "
    check_memory(f"{what}{networks} networks of {weights} weights", needed)


def _hold_out(data: Dataset, options: Namespace) -> Parts:
    """Training, validation and test part; the data's own test part is kept."""
    y = np.asarray(data.y)
    default = 0.0 if len(data.x) < FEW else 0.2
    validation = default if options.validation is None else options.validation
    test = default if options.test is None else options.test
    given: Part | None = None
    if data.x_test is not None and options.test is None:
        given, test = (data.x_test, data.y_test), 0.0
    rest = 1.0 - validation - test
    if rest <= 1e-9:
        raise ValueError(
            f"--validation {validation} and --test {test}: expected something left to "
            "train on"
        )
    shares = tuple(s for s in (rest, validation, test) if s > 0.0)
    if len(shares) == 1:
        return Parts((data.x, y), None, given)
    stratify = data.task == "classification"
    if stratify:
        _check_classes(data, y, len(shares))
    found = iter(split(data.x, y, shares, stratify, options.seed))
    train = next(found)
    held = next(found) if validation else None
    return Parts(train, held, next(found) if test else given)


def _check_classes(data: Dataset, y: Any, parts: int) -> None:
    """Raises ValueError for a class too small to have a sample in every part."""
    for label, count in zip(*np.unique(y, return_counts=True), strict=True):
        if count < parts:
            name = data.classes[label] if data.classes else label
            number = isinstance(name, int)
            cure = (
                "; if the target is a number, use --task regression" if number else ""
            )
            raise ValueError(
                f"class {name!r}: expected at least {parts} samples, one a part, got "
                f"{count}; drop or merge it, or use --validation 0 --test 0{cure}"
            )


def scale_kind(data: Dataset, options: Namespace) -> str:
    """How inputs are scaled: `--scale`, or what suits the data."""
    images = data.x.dtype.kind in "ui" or data.name == "digits"
    return options.scale or ("minmax" if images else "standard")


def _scaler(data: Dataset, parts: Parts, options: Namespace) -> Scaler | None:
    """The scaler of the inputs, fitted on the training part only."""
    kind = scale_kind(data, options)
    with np.errstate(all="ignore"):  # a scaler of numbers too large is refused
        return None if kind == "none" else SCALERS[kind].fit(parts.train[0])


def notes(
    data: Dataset, scaler: Scaler | None, y_scaler: Scaler | None
) -> dict[str, Any]:
    """What `xpnet predict` needs besides the weights."""
    return {
        "data": data.name,
        "task": data.task,
        "features": list(data.feature_names) if data.feature_names else None,
        "classes": list(data.classes) if data.classes else None,
        "scaler": scaler.to_dict() if scaler else None,
        "y_scaler": y_scaler.to_dict() if y_scaler else None,
    }
