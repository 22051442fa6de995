"""`xpnet predict DIR FILE`: a saved model's predictions, one a line."""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.data import Scaler, load_data
from xpnet.selection import Ensemble
from xpnet.selection.ensemble import load_saved


def run(options: Namespace) -> int:
    """Predict as asked; see `xpnet predict --help`."""
    backend, folder = get_backend(options.device), Path(options.model)
    found = load_saved(folder, backend)
    together = found if isinstance(found, Ensemble) else None
    trainer = found[0] if isinstance(found, Ensemble) else found
    notes = trainer.notes
    features = notes.get("features")
    named = Path(options.data).suffix.lower() in (".csv", ".tsv", ".txt")
    columns = tuple(features) if features and named else None
    data = load_data(options.data, has_target=False, columns=columns)
    x = data.x
    if together is not None:
        rows = _rows(together.predict(x), notes | {"y_scaler": None})
        _add_disagreement(rows, together.uncertainty(x).disagreement)
    else:
        if notes.get("scaler"):
            x = Scaler.from_dict(notes["scaler"]).transform(x)
        rows = _rows(trainer.predict(x), notes)
    if options.json:
        print(json.dumps({"model": options.model, "predictions": rows}))
        return 0
    names = list(rows[0])
    lines = [",".join(names)]
    lines += [",".join(_cell(row[name]) for name in names) for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _rows(outputs: np.ndarray[Any, Any], notes: dict[str, Any]) -> list[dict[str, Any]]:
    """A dict a sample: the prediction, and the probability of a class."""
    if notes.get("task") == "classification":
        classes = notes.get("classes") or list(range(outputs.shape[1]))
        if len(classes) != outputs.shape[1]:
            raise ValueError(
                f"the saved model names {len(classes)} classes for {outputs.shape[1]} "
                "outputs; its notes were changed, train it again"
            )
        best = outputs.argmax(axis=1)
        return [
            {"prediction": classes[i], "probability": float(p[i])}
            for i, p in zip(best.tolist(), outputs, strict=True)
        ]
    if notes.get("y_scaler"):
        outputs = Scaler.from_dict(notes["y_scaler"]).inverse(outputs)
    if outputs.shape[1] == 1:
        return [{"prediction": float(v)} for v in outputs[:, 0]]
    return [
        {f"output_{i}": float(v) for i, v in enumerate(row)} for row in outputs.tolist()
    ]


def _add_disagreement(rows: list[dict[str, Any]], found: Any) -> None:
    """How far an ensemble's members contradict each other about each sample."""
    for row, value in zip(rows, found.reshape(len(rows), -1), strict=True):
        row["disagreement"] = float(value.mean())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    if any(c in text for c in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
