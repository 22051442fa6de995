"""`xpnet predict DIR FILE`: a saved model's predictions, one per line."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from xpnet.backend import get_backend
from xpnet.commands.report import print_json
from xpnet.common import nearest, printable
from xpnet.common.arrays import NDArray
from xpnet.data import Dataset, Scaler, load_data
from xpnet.data.columns import MissingColumnsError, is_number
from xpnet.data.files import check_memory, shown
from xpnet.data.loaders import TABLES
from xpnet.selection import Ensemble
from xpnet.selection.ensemble import load_saved

ROW = 400  # bytes of a prediction as text
FORMULA = ("=", "+", "-", "@")  # first characters of a spreadsheet's formula


def run(options: Namespace) -> int:
    """Predict; see `xpnet predict --help`."""
    model = load_saved(Path(options.model), get_backend(options.device))
    ensemble = model if isinstance(model, Ensemble) else None
    trainer = model[0] if isinstance(model, Ensemble) else model
    notes = trainer.notes
    x = _samples(options.data, notes.get("features")).x
    check_memory(
        f"{shown(options.data)}: {len(x)} samples of {x[0].size} features",
        x.nbytes + 2 * x.size * trainer.dtype.itemsize + ROW * len(x),
    )
    if ensemble is not None:
        outputs = ensemble.predict(x)
    else:
        if notes.get("scaler"):
            x = Scaler.from_dict(notes["scaler"]).transform(x)
        outputs = trainer.predict(x)
        if notes.get("y_scaler"):
            outputs = Scaler.from_dict(notes["y_scaler"]).inverse(outputs)
    rows = _rows(outputs, notes, options.probabilities)
    if ensemble is not None:
        _add_disagreement(rows, ensemble.uncertainty(x).disagreement)
    if options.json:
        print_json({"model": options.model, "predictions": rows}, indent=None)
        return 0
    names = list(rows[0])
    lines = [",".join(map(_cell, names))]
    lines += [",".join(_cell(row[name]) for name in names) for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _samples(source: str, features: list[str] | None) -> Dataset:
    """The samples of a file, by column name if the model knows the names."""
    named = Path(source).suffix.lower() in TABLES
    try:
        columns = tuple(features) if features and named else None
        return load_data(source, has_target=False, columns=columns)
    except MissingColumnsError as error:
        missing = error.missing
        several = len(missing) > 1
        listed = ", ".join(map(repr, missing[:5])) + (", ..." if missing[5:] else "")
        raise ValueError(
            f"{source}: the model was trained on column{'s' if several else ''} "
            f"{listed}, which {'are' if several else 'is'} missing; "
            f"{nearest(missing[0], error.names)}"
        ) from None


def _rows(outputs: NDArray, notes: dict[str, Any], every: bool) -> list[dict[str, Any]]:
    """One dict per sample: the prediction and its probability, or those of all."""
    task, width = notes.get("task"), outputs.shape[1]
    if task == "classification":
        return _class_rows(outputs, notes.get("classes") or list(range(width)), every)
    if task == "multilabel":
        rows = [
            {f"label_{i}": int(p >= 0.5) for i, p in enumerate(row)} for row in outputs
        ]
        if every:
            for found, row in zip(rows, outputs.tolist(), strict=True):
                found |= {f"probability_{i}": p for i, p in enumerate(row)}
        return rows
    if every:
        raise ValueError(
            "--probabilities: expected a model that classifies, got one that predicts "
            "numbers"
        )
    if width == 1:
        return [{"prediction": float(v)} for v in outputs[:, 0]]
    return [
        {f"output_{i}": float(v) for i, v in enumerate(row)} for row in outputs.tolist()
    ]


def _class_rows(
    outputs: NDArray, classes: list[Any], every: bool
) -> list[dict[str, Any]]:
    if len(classes) != outputs.shape[1]:
        raise ValueError(
            f"the saved model names {len(classes)} classes for {outputs.shape[1]} "
            "outputs; its notes were changed, train it again"
        )
    best = outputs.argmax(axis=1)
    rows = [
        {"prediction": classes[i], "probability": float(p[i])}
        for i, p in zip(best.tolist(), outputs, strict=True)
    ]
    if every:
        names = [f"probability_{name}" for name in classes]
        for found, row in zip(rows, outputs.tolist(), strict=True):
            found |= dict(zip(names, row, strict=True))
    return rows


def _add_disagreement(rows: list[dict[str, Any]], found: Any) -> None:
    """Add the mean disagreement of an ensemble about each sample."""
    for row, value in zip(rows, found.reshape(len(rows), -1), strict=True):
        row["disagreement"] = float(value.mean())


def _cell(value: Any) -> str:
    """A value as a cell of CSV that is safe in a terminal and a spreadsheet."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = printable(str(value))
    formula = text.startswith(FORMULA) and len(text) > 1 and not is_number(text)
    if formula and isinstance(value, str):
        text = f"'{text}"
    if "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text
