"""`xpnet search DATA --grid SETTINGS`: settings on folds, the best tested and kept."""

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.commands import preparation
from xpnet.commands.network import Settings, widths
from xpnet.commands.report import predict_line, print_json
from xpnet.common import choose, printable
from xpnet.data import Dataset, load_data
from xpnet.data.files import existing_file
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


class Maker:
    """Settings -> Trainer, for one data set.

    Args:
        data: gives the task and the number of outputs.
        backend: of the networks.
        samples: how many are searched on.
        options: dtype, and the epochs and batch size that are no settings.
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
        epochs: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Trainer:
        """A network of these settings, see `Settings`."""
        batches = -(-self.samples // (batch_size or self.batch_size))
        steps = batches * (epochs or self.epochs)
        how = {"device": self.backend, "dtype": self.dtype, "seed": seed}
        return Settings(**settings).trainer(self.data, steps, **how)


def run(options: Namespace) -> int:
    """Search; see `xpnet search --help`."""
    space = parse(options.grid)
    _check(options, space)
    data = load_data(options.data, options.target, options.task)
    for hidden in space.get("hidden", [Settings.hidden]):
        preparation.check_fits(data, hidden, options)
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
        print_json(record | results.to_dict())
    else:
        print(results)
        _print_next(results, options)
    return 130 if results.interrupted else 0


def _check(options: Namespace, space: dict[str, Any]) -> None:
    """Raises ValueError for options that can be refused before any work."""
    drawn = options.random is not None or options.halving is not None
    for name, values in space.items():
        if isinstance(values, Uniform) and not drawn:
            raise ValueError(
                f"--grid: {name}: expected values, got a range; add --random N to draw "
                "from it"
            )
    if options.halving is not None and (options.file or options.repeats != 1):
        raise ValueError("--halving: expected neither --file nor --repeats with it")
    preparation.check_counts(
        options, "epochs", "batch_size", "repeats", "random", "halving"
    )
    if options.file is not None and Path(options.file).exists():
        existing_file(options.file)
    preparation.check_places(options)


def _test_share(data: Dataset, options: Namespace) -> float:
    if options.test is not None:
        share = float(options.test)
        if not 0.0 <= share < 1.0:
            raise ValueError(f"--test: expected a share from 0 to 1, got {share}")
        return share
    few = len(data.x) < preparation.FEW or data.x_test is not None
    return 0.0 if few else 0.2


def _search(
    make: Maker,
    data: Dataset,
    space: dict[str, Any],
    test: float,
    options: Namespace,
) -> Results:
    scale = preparation.scale_kind(data, options)
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
    """Refit the best, test it on the data's own test part, save it."""
    own = data.x_test is not None and options.test is None
    if not (own or options.save):
        return
    best: Ensemble = results.refitted or results.refit()
    if own:
        results.test = best.evaluate(data.x_test, data.y_test)
    if options.save:
        trainer = best[0]
        trainer.notes = preparation.notes(data, best.scaler, best.y_scaler)
        trainer.save(options.save)


def _print_next(results: Results, options: Namespace) -> None:
    if results.interrupted and options.file:
        print(f"\nto go on: the same command, which reads {options.file}")
    elif options.save and not results.interrupted:
        print(
            f"\nthe best is saved in {options.save}; to use it:\n"
            f"  {predict_line(options.save)}"
        )


KINDS: dict[str, Callable[[str], Any]] = {
    "hidden": widths,
    "activation": str,
    "optimizer": str,
    "schedule": str,
    **dict.fromkeys(("learning_rate", "dropout", "label_smoothing"), float),
    **dict.fromkeys(("l1", "l2", "weight_decay", "momentum", "clip_norm"), float),
    **dict.fromkeys(("epochs", "batch_size"), int),
}
NAMES = {widths: "widths such as 128,64", float: "numbers", int: "whole numbers"}


def parse(text: str) -> dict[str, Any]:
    """{name: values or range}.

    Commas separate alternatives, semicolons those of `hidden`; a..b is a range, on a
    logarithmic scale if a > 0.

    Raises:
        ValueError: an unknown name, the same name twice, values of another kind.
    """
    found: dict[str, Any] = {}
    for item in text.split():
        name, equals, values = item.partition("=")
        if not equals:
            raise ValueError(
                f"--grid: expected name=values, got {item!r}; several are separated by "
                "spaces, with none around = and commas"
            )
        kind = choose(name, KINDS, "setting")
        if name in found:
            raise ValueError(f"--grid: expected {name} once, got it twice")
        try:
            found[name] = _values(values, kind)
        except ValueError:
            what = NAMES.get(kind, "names")
            raise ValueError(
                f"--grid: {name}: expected {what}, got {values!r}"
            ) from None
    if not found:
        raise ValueError(
            '--grid: expected settings such as "learning_rate=1e-3,3e-3", got none'
        )
    return found


def _values(text: str, kind: Callable[[str], Any]) -> Any:
    low, dots, high = text.partition("..")
    if dots and kind in (float, int):
        ends = kind(low), kind(high)
        return (LogUniform if ends[0] > 0 else Uniform)(*ends, whole=kind is int)
    parts = text.split(";" if kind is widths else ",")
    if any(not part for part in parts) and kind is not widths:
        raise ValueError(text)
    return [kind(part) for part in parts]
