"""`xpnet search DATA --grid SETTINGS`: settings on folds, the best tested and kept."""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.commands import grid, train
from xpnet.commands.report import predict_line
from xpnet.common import choose, printable
from xpnet.data import Dataset, load_data
from xpnet.data.files import existing_file
from xpnet.layers import Dense, Dropout, Layer, Sequential, SoftmaxCrossEntropy
from xpnet.optim import OPTIMIZERS, Cosine
from xpnet.selection import (
    Ensemble,
    LogUniform,
    Results,
    Uniform,
    grid_search,
    halving_search,
    random_search,
)
from xpnet.training.trainer import Trainer

HIDDEN = (64,)  # widths, where they are no setting


class Maker:
    """Settings -> Trainer, for one data set.

    Args:
        data: says how many outputs there are, and of which kind.
        backend: where networks live.
        samples: that are searched on.
        options: epochs and batch size, where they are no settings.
    """

    def __init__(
        self, data: Dataset, backend: Backend, samples: int, options: Namespace
    ) -> None:
        self.data, self.backend, self.dtype = data, backend, options.dtype
        self.samples = samples
        self.epochs, self.batch_size = options.epochs, options.batch_size

    def __call__(
        self,
        *,
        hidden: tuple[int, ...] = HIDDEN,
        activation: str = "relu",
        dropout: float = 0.0,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        schedule: str = "constant",
        label_smoothing: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        momentum: float | None = None,
        clip_norm: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> Trainer:
        """A network of these settings."""
        data = self.data
        layers: list[Layer] = []
        for width in hidden:
            layers += [Dense(width, activation=activation), Dropout(dropout)]
        outputs = len(data.classes) if data.classes else np.asarray(data.y).shape[1]
        loss: Any = train.LOSSES_OF[str(data.task)]
        if data.task == "classification":
            loss = SoftmaxCrossEntropy(label_smoothing=label_smoothing)
        rule: Any = choose(optimizer, OPTIMIZERS, "optimizer")
        default = 0.01 if optimizer == "sgd" else 2e-3
        rate: Any = default if learning_rate is None else learning_rate
        choose(schedule, {"constant": None, "cosine": None}, "schedule")
        if schedule == "cosine":
            batches = -(-self.samples // (batch_size or self.batch_size))
            rate = Cosine(rate, (epochs or self.epochs) * batches)
        extra = {} if momentum is None else {"momentum": momentum}
        return Trainer(
            Sequential([*layers, Dense(outputs)]),
            loss,
            rule(
                rate,
                l1=l1,
                l2=l2,
                weight_decay=weight_decay,
                clip_norm=clip_norm,
                **extra,
            ),
            device=self.backend,
            dtype=self.dtype,
            seed=seed,
        )


def run(options: Namespace) -> int:
    """Search as asked; see `xpnet search --help`."""
    space = grid.parse(options.grid)
    _check(options, space)
    data = load_data(options.data, options.target, options.task)
    for hidden in space.get("hidden", [HIDDEN]):
        train.check_fits(data, list(hidden), options)
    backend = get_backend(options.device, None, options.dtype)
    test = _test_share(data, options)
    samples = round(len(data.x) * (1.0 - test))
    make = Maker(data, backend, samples, options)
    if not options.json:
        share = f", {len(data.x) - samples} to test on" if test else ""
        what = f"{printable(data.name)}: {samples} to search on{share}"
        print(f"{what}; {backend.device}\ny: {data.taken}\n")
    results = _search(make, data, space, test, options)
    if not results.interrupted:
        _best(results, data, options)
    if options.plot:
        results.plot(options.plot)
    if options.json:
        record = {"data": options.data, "device": backend.device, "seed": options.seed}
        print(json.dumps(record | results.to_dict(), indent=2, allow_nan=False))
    else:
        print(results)
        _say_next(results, options)
    return 130 if results.interrupted else 0


def _check(options: Namespace, space: dict[str, Any]) -> None:
    """What can be refused before any work is done."""
    drawn = options.random is not None or options.halving is not None
    for name, values in space.items():
        if isinstance(values, LogUniform | Uniform) and not drawn:
            raise ValueError(
                f"--grid: {name}: expected values, got a range; add --random N to draw "
                "from it"
            )
    if options.halving is not None and (options.file or options.repeats != 1):
        raise ValueError("--halving: expected neither --file nor --repeats with it")
    train.check_counts(options, "epochs", "batch_size", "repeats", "random", "halving")
    if options.file is not None and Path(options.file).exists():
        existing_file(options.file)
    train.check_places(options)


def _test_share(data: Dataset, options: Namespace) -> float:
    if options.test is not None:
        share = float(options.test)
        if not 0.0 <= share < 1.0:
            raise ValueError(f"--test: expected a share from 0 to 1, got {share}")
        return share
    few = len(data.x) < train.FEW or data.x_test is not None
    return 0.0 if few else 0.2


def _search(
    make: Maker,
    data: Dataset,
    space: dict[str, Any],
    test: float,
    options: Namespace,
) -> Results:
    scale = train.scale_kind(data, options)
    seen = make.samples * (options.folds - 1) // max(options.folds, 2)
    common: dict[str, Any] = {
        "folds": options.folds,
        "test": test,
        "epochs": options.epochs,
        "batch_size": max(1, min(make.batch_size, seen)),
        "scale": None if scale == "none" else scale,
        "scale_y": data.task == "regression",
        "monitor": options.monitor,
        "seed": options.seed,
        "verbose": None if sys.stderr.isatty() and not options.json else False,
    }
    y = np.asarray(data.y)
    if options.halving is not None:
        return halving_search(make, data.x, y, space, options.halving, **common)
    common |= {"repeats": options.repeats, "file": options.file}
    if options.random is not None:
        return random_search(make, data.x, y, space, options.random, **common)
    return grid_search(make, data.x, y, space, **common)


def _best(results: Results, data: Dataset, options: Namespace) -> None:
    """Refit, test on the data's own test part, keep."""
    own = data.x_test is not None and options.test is None
    if not (own or options.save):
        return
    best: Ensemble = results.refitted or results.refit()
    if own:
        results.test = best.evaluate(data.x_test, data.y_test)
    if options.save:
        trainer = best[0]
        trainer.notes = train._notes(data, best.scaler, best.y_scaler)
        trainer.save(options.save)


def _say_next(results: Results, options: Namespace) -> None:
    if results.interrupted and options.file:
        print(f"\nthe same command goes on with what {options.file} holds")
    elif options.save and not results.interrupted:
        print(
            f"\nthe best is saved in {options.save}; to use it:\n"
            f"  {predict_line(options.save)}"
        )
