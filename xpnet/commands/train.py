"""`xpnet train DATA`: load, hold out, scale, train, test, keep."""

from argparse import Namespace
from typing import Any

import numpy as np

from xpnet.commands.preparation import Prepared, check_checkpoint, prepare
from xpnet.commands.report import Report, announce, print_json, print_report
from xpnet.training.checkpoint_callback import Checkpoint
from xpnet.training.metrics import confusion_matrix
from xpnet.training.trainer import Trainer

KEEP_SECONDS = 30.0  # between two checkpoints


def run(options: Namespace) -> int:
    """Train one network; see `xpnet train --help`."""
    check_checkpoint(options)
    return train(options, prepare(options))


def train(options: Namespace, prepared: Prepared, diagnose: bool = False) -> int:
    """Train, test, save and report; returns the exit status."""
    trainer = prepared.trainer
    if not options.json:
        announce(prepared)
    _fit(prepared, options, diagnose)
    report = _report(prepared)
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


def _fit(prepared: Prepared, options: Namespace, diagnose: bool) -> None:
    how = prepared.fitting(options)
    keep = getattr(options, "checkpoint", None)
    if keep is not None:
        how["callbacks"].append(Checkpoint(keep, every=KEEP_SECONDS, unit="seconds"))
    prepared.trainer.fit(
        **how,
        verbose=not options.json,
        diagnose=diagnose,
        resume=keep if keep is not None and options.resume else None,
    )


def _report(prepared: Prepared) -> Report:
    """Scores on the test part, or on the training part if there is none."""
    data, trainer = prepared.data, prepared.trainer
    where, (x, y) = prepared.scored
    x = prepared.scaler.transform(x) if prepared.scaler else x
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
    if prepared.y_scaler:
        predicted = prepared.y_scaler.inverse(predicted)
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
