"""`xpnet train DATA`: load, hold out, scale, train, test, keep."""

from argparse import Namespace
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.commands.report import Report, print_json, print_report
from xpnet.common import (
    check_file,
    check_folder,
    check_number,
    check_path,
    choose,
    printable,
)
from xpnet.data import SCALERS, Dataset, Scaler, Standardizer, load_data, split
from xpnet.data.files import check_memory
from xpnet.layers import (
    Dense,
    Dropout,
    Layer,
    Loss,
    Sequential,
    SoftmaxCrossEntropy,
    get_loss,
)
from xpnet.optim import OPTIMIZERS, Cosine, Optimizer
from xpnet.training.callbacks import Callback, Checkpoint, EarlyStopping
from xpnet.training.folder import CHECKPOINT, MODEL, check_ours
from xpnet.training.metrics import confusion_matrix
from xpnet.training.trainer import Trainer

KEEP_SECONDS = 30.0  # between two checkpoints
FEW = 20  # samples below which nothing is held out unless asked for
# Where a learning rate starts, if not at 0.002.
RATES = {"sgd": 0.1, "adagrad": 0.02, "adadelta": 1.0, "rmsprop": 1e-3, "lion": 3e-4}
LOSSES_OF = {
    "classification": "softmax_cross_entropy",
    "multilabel": "binary_cross_entropy",
    "regression": "mean_squared_error",
}
COPIES = 6  # of the parameters: gradients, the rule's two arrays, the best, the last
OBJECTS = 20_000  # bytes of a network without its parameters, at least
Part = tuple[Any, Any]


@dataclass
class Parts:
    """(x, y) to train on, to choose on and to test on; the last two may be None."""

    train: Part
    validation: Part | None
    test: Part | None


def run(options: Namespace) -> int:
    """Train as asked; see `xpnet train --help`."""
    _check_checkpoint(options)
    if options.ensemble is not None:
        from xpnet.commands import ensemble

        return ensemble.run(options)
    return train(options, prepare(options))


@dataclass
class Prepared:
    """What a training needs: data in parts, their scaling, a trainer."""

    data: Dataset
    parts: Parts
    scaler: Scaler | None
    y_scaler: Scaler | None
    trainer: Trainer


def prepare(options: Namespace) -> Prepared:
    """Check the options, load and split the data, make the trainer."""
    _check(options)
    work = max(_hidden(options.hidden), default=1), options.batch_size
    backend = get_backend(options.device, work, options.dtype)
    data = load_data(options.data, options.target, options.task)
    networks = getattr(options, "ensemble", None) or 1
    check_fits(data, _hidden(options.hidden), options, networks)
    parts = _hold_out(data, options)
    scaler = _scaler(data, parts, options)
    y_scaler = Standardizer.fit(parts.train[1]) if data.task == "regression" else None
    model = Sequential(_layers(data, options))
    steps = -(-len(parts.train[0]) // _batch_size(options, parts)) * options.epochs
    trainer = Trainer(
        model,
        _loss(data, options),
        _optimizer(options, steps),
        device=backend,
        dtype=options.dtype,
        seed=options.seed,
    )
    trainer.notes = _notes(data, scaler, y_scaler)
    return Prepared(data, parts, scaler, y_scaler, trainer)


def train(options: Namespace, prepared: Prepared, diagnose: bool = False) -> int:
    """Train, test, keep and report; the exit status."""
    data, parts, trainer = prepared.data, prepared.parts, prepared.trainer
    scaler, y_scaler = prepared.scaler, prepared.y_scaler
    if not options.json:
        _announce(data, parts, trainer)
    _fit(trainer, parts, scaler, y_scaler, options, diagnose)
    report = _report(trainer, data, parts, scaler, y_scaler)
    if options.save:
        trainer.save(options.save)
    if options.plot:
        (trainer.history.diagnosis or trainer.history).plot(options.plot)
    cut = trainer.history.stopped.startswith("interrupted")
    if options.json:
        print_json(_record(report, trainer, options))
    else:
        print_report(report, trainer, options)
        if cut and getattr(options, "checkpoint", None):
            print("to go on with the training: the same command with --resume")
    return 130 if cut else 0


def _check(options: Namespace) -> None:
    """What can be refused before any work is done."""
    for name in ("validation", "test"):
        share = getattr(options, name)
        if share is not None and not 0.0 <= share < 1.0:
            raise ValueError(f"--{name}: expected a share from 0 to 1, got {share}")
    check_counts(options, "epochs", "batch_size", "patience")
    check_places(options)


def check_counts(options: Namespace, *names: str) -> None:
    """Raises ValueError for an option below 1."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag}: expected at least 1, got {value}")


def _check_checkpoint(options: Namespace) -> None:
    """Raises ValueError for --checkpoint and --resume that cannot be followed."""
    folder = options.checkpoint
    if folder is None:
        if options.resume:
            raise ValueError("--resume: expected --checkpoint DIR with it")
        return
    if options.ensemble is not None:
        raise ValueError(
            "--checkpoint: expected one network, got --ensemble; leave one of them out"
        )
    path = check_path(folder, "--checkpoint")
    if path.exists() and not path.is_dir():
        raise ValueError(f"--checkpoint: expected a directory, got {folder!r}")
    check_folder(path, "--checkpoint")
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
        path = Path(options.save)
        if not options.save or (path.exists() and not path.is_dir()):
            raise ValueError(f"--save: expected a directory, got {options.save!r}")
        check_folder(path, "--save")  # no model must be lost at the end
        check_ours(path, MODEL, "--save")


def check_fits(
    data: Dataset, hidden: list[int], options: Namespace, networks: int = 1
) -> None:
    """Raises ValueError for data or networks larger than the memory."""
    item = np.dtype(options.dtype).itemsize
    outputs = len(data.classes) if data.classes else np.asarray(data.y).shape[1]
    widths = [data.x.shape[1], *hidden, outputs]
    weights = sum(a * b for a, b in pairwise(widths))
    samples = data.x.size * (data.x.dtype.itemsize + 2 * item)
    needed = samples + networks * (OBJECTS + weights * item * COPIES)
    what = f"{printable(data.name)}: {len(data.x)} samples of {widths[0]} features and "
    check_memory(f"{what}{networks} networks of {weights} weights", needed)


def _hold_out(data: Dataset, options: Namespace) -> Parts:
    """Training, validation and test part; a test part of the data's own stays."""
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
    """How inputs are scaled: as asked, or as fits the data."""
    images = data.x.dtype.kind in "ui" or data.name == "digits"
    return options.scale or ("minmax" if images else "standard")


def _scaler(data: Dataset, parts: Parts, options: Namespace) -> Scaler | None:
    """Fitted on the training part only."""
    kind = scale_kind(data, options)
    with np.errstate(all="ignore"):  # a scaler of numbers too large is refused
        return None if kind == "none" else SCALERS[kind].fit(parts.train[0])


def _layers(data: Dataset, options: Namespace) -> list[Layer]:
    classes = data.task == "classification" and len(data.x) >= FEW
    dropout = (0.3 if classes else 0.0) if options.dropout is None else options.dropout
    layers: list[Layer] = []
    for width in _hidden(options.hidden):
        layers.append(Dense(width, activation=options.activation))
        if dropout:
            layers.append(Dropout(dropout))
    outputs = len(data.classes) if data.classes else np.asarray(data.y).shape[1]
    return [*layers, Dense(outputs)]


def _hidden(text: str) -> list[int]:
    if text.strip().lower() in ("", "none", "0"):
        return []
    try:
        return [int(width) for width in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--hidden: expected widths such as 128,64 or none, got {text!r}"
        ) from None


def _loss(data: Dataset, options: Namespace) -> Loss:
    if data.task == "classification":
        return SoftmaxCrossEntropy(label_smoothing=options.label_smoothing)
    return get_loss(LOSSES_OF[str(data.task)])


def _optimizer(options: Namespace, steps: int) -> Optimizer:
    rule: Any = choose(options.optimizer, OPTIMIZERS, "optimizer")
    sgd = options.optimizer == "sgd"
    rate = (
        RATES.get(options.optimizer, 2e-3)
        if options.learning_rate is None
        else (
            check_number(
                "--learning-rate",
                options.learning_rate,
                "a number > 0",
                lambda r: r > 0.0,
            )
        )
    )
    extra = {"momentum": 0.9, "nesterov": True} if sgd else {}
    schedule = Cosine(rate, steps) if options.schedule == "cosine" else rate
    return rule(schedule, l2=options.l2, **extra)  # type: ignore[no-any-return]


def _notes(
    data: Dataset, scaler: Scaler | None, y_scaler: Scaler | None
) -> dict[str, Any]:
    """What predict needs to know beside the weights."""
    return {
        "data": data.name,
        "task": data.task,
        "features": list(data.feature_names) if data.feature_names else None,
        "classes": list(data.classes) if data.classes else None,
        "scaler": scaler.to_dict() if scaler else None,
        "y_scaler": y_scaler.to_dict() if y_scaler else None,
    }


def _batch_size(options: Namespace, parts: Parts) -> int:
    return min(int(options.batch_size), len(parts.train[0]))


def _announce(data: Dataset, parts: Parts, trainer: Trainer) -> None:
    backend = trainer.backend
    why = f" ({backend.reason.partition(';')[0]})" if backend.reason else ""
    sizes = [
        f"{len(part[0])} {what}"
        for part, what in (
            (parts.train, "to train on"),
            (parts.validation, "to choose on"),
            (parts.test, "to test on"),
        )
        if part is not None
    ]
    trainer.build(data.x.shape[1:])
    print(f"{printable(data.name)}: {', '.join(sizes)}; {backend.device}{why}")
    print(f"y: {data.taken}")
    print(f"{trainer.model.summary()}\n{trainer.loss_function}, {trainer.optimizer}")
    if data.task == "regression":
        print("y is standardised while training: the table is in its deviations")
    print()


def _fit(
    trainer: Trainer,
    parts: Parts,
    scaler: Scaler | None,
    y_scaler: Scaler | None,
    options: Namespace,
    diagnose: bool,
) -> None:
    callbacks: list[Callback] = []
    if parts.validation is not None:
        patience = options.patience or options.epochs
        callbacks.append(EarlyStopping("val_loss", patience))
    elif options.patience:
        callbacks.append(EarlyStopping("loss", options.patience))
    keep = getattr(options, "checkpoint", None)
    if keep is not None:
        callbacks.append(Checkpoint(keep, every=KEEP_SECONDS, unit="seconds"))
    held = parts.validation and scaled(parts.validation, scaler, y_scaler)
    trainer.fit(
        *scaled(parts.train, scaler, y_scaler),
        epochs=options.epochs,
        batch_size=_batch_size(options, parts),
        validation=held,
        callbacks=callbacks,
        verbose=not options.json,
        diagnose=diagnose,
        resume=keep if keep is not None and options.resume else None,
    )


def scaled(part: Part, scaler: Scaler | None, y_scaler: Scaler | None) -> Part:
    """(x, y) as the network sees them."""
    x, y = part
    x = scaler.transform(x) if scaler else x
    return x, (y_scaler.transform(y) if y_scaler else y)


def _report(
    trainer: Trainer,
    data: Dataset,
    parts: Parts,
    scaler: Scaler | None,
    y_scaler: Scaler | None,
) -> Report:
    """Scores on the held-out test part, or on the training part where there is none."""
    x, y = parts.test or parts.train
    x = scaler.transform(x) if scaler else x
    where = "test" if parts.test else "training"
    if data.task == "classification":
        predicted = trainer.predict_classes(x)
        matrix = confusion_matrix(predicted, np.asarray(y), len(data.classes or ()))
        scores = {"accuracy": float((predicted == y).mean())}
        return Report(where, len(y), scores, matrix, tuple(data.classes or ()))
    from xpnet.training.metrics import binary_accuracy, mean_absolute_error, r2

    predicted = trainer.predict(x)
    if data.task == "multilabel":
        right = (predicted >= 0.5) == (y >= 0.5)
        scores = {
            "binary_accuracy": binary_accuracy(predicted, y),
            "exact_match": float(right.all(axis=1).mean()),
        }
        return Report(where, len(y), scores, None, ())
    predicted = y_scaler.inverse(predicted) if y_scaler else predicted
    scores = {
        "mean_absolute_error": mean_absolute_error(predicted, y),
        "r2": r2(predicted, y),
    }
    return Report(where, len(y), scores, None, ())


def _record(report: Report, trainer: Trainer, options: Namespace) -> dict[str, Any]:
    matrix, diagnosis = report.confusion, trainer.history.diagnosis
    seen = {} if diagnosis is None else {"diagnosis": diagnosis.to_dict()}
    return {
        "data": options.data,
        "task": trainer.notes["task"],
        "device": trainer.backend.device,
        "seed": options.seed,
        "part": report.part,
        "samples": report.samples,
        **report.scores,
        "classes": [str(c) for c in report.classes],
        "confusion_matrix": None if matrix is None else matrix.tolist(),
        "best_epoch": trainer.history.best_epoch,
        "stopped": trainer.history.stopped,
        "history": trainer.history.rows,
        "saved": options.save,
        **seen,
    }
