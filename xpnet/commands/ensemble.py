"""`xpnet train DATA --ensemble K`: K networks at once and the scores of their mean."""

from argparse import Namespace
from typing import Any

import numpy as np

from xpnet.commands.preparation import Prepared, check_checkpoint, prepare
from xpnet.commands.report import announce, next_steps, print_json
from xpnet.common import check_whole
from xpnet.selection import Ensemble, Reliability, Temperature, reliability
from xpnet.stack import Stack
from xpnet.training.metrics import confusion_matrix


def run(options: Namespace) -> int:
    """Train several networks; see `xpnet train --help`."""
    check_checkpoint(options)
    check_whole("", "--ensemble", options.ensemble, 1)
    prepared = prepare(options)
    trainers = prepared.trainers
    if not options.json:
        announce(prepared)
    stack = Stack(trainers)
    histories = stack.fit(
        **prepared.fitting(options), verbose=False if options.json else None
    )
    stops = [history.stopped for history in histories]
    stopped = next((stop for stop in stops if stop.startswith("interrupted")), "")
    sound = [t for i, t in enumerate(trainers) if i not in stack.errors]
    if not sound:
        raise next(iter(stack.errors.values()))
    ensemble = Ensemble(sound, prepared.scaler, prepared.y_scaler)
    record = _scored(ensemble, prepared, options)
    diagram = _calibrated(ensemble, prepared, record)
    if options.save:
        record["saved"] = str(ensemble.save(options.save))
    if options.plot:
        history = trainers[0].history
        (history if diagram is None else diagram).plot(options.plot)
    record |= {"diverged": len(stack.errors), "stopped": stopped}
    if options.json:
        print_json(record)
    else:
        print(_text(record, options))
    return 130 if stopped.startswith("interrupted") else 0


def _scored(
    ensemble: Ensemble, prepared: Prepared, options: Namespace
) -> dict[str, Any]:
    """Scores of the mean and of each network on the test part."""
    data, (part, (x, y)) = prepared.data, prepared.scored
    alone = [
        Ensemble([trainer], ensemble.scaler, ensemble.y_scaler).evaluate(x, y)
        for trainer in ensemble.stack.trainers
    ]
    scores = ensemble.evaluate(x, y)
    record: dict[str, Any] = {
        "data": options.data,
        "task": data.task,
        "device": ensemble[0].backend.device,
        "seed": options.seed,
        "members": len(ensemble),
        "part": part,
        "samples": len(y),
        "scores": scores,
        "member_scores": alone,
        "disagreement": float(ensemble.uncertainty(x).disagreement.mean()),
    }
    if data.task == "classification":
        predicted = ensemble.predict_classes(x)
        matrix = confusion_matrix(predicted, np.asarray(y), len(data.classes or ()))
        record["classes"] = [str(c) for c in data.classes or ()]
        record["confusion_matrix"] = matrix.tolist()
    return record


def _calibrated(
    ensemble: Ensemble, prepared: Prepared, record: dict[str, Any]
) -> Reliability | None:
    """Calibration on the same part, before and after a fitted temperature."""
    if prepared.data.task != "classification":
        return None
    _, (x, y) = prepared.scored
    p = ensemble.predict(x)
    found = reliability(p, y)
    record["calibration_error"] = found.error
    if prepared.parts.validation is not None:
        held_x, held_y = prepared.parts.validation
        temperature = Temperature.fit(ensemble.predict(held_x), held_y)
        record["temperature"] = temperature.value
        record["calibration_error_tempered"] = reliability(temperature(p), y).error
    return found


def _text(record: dict[str, Any], options: Namespace) -> str:
    where, lines = record["part"], []
    for name, value in record["scores"].items():
        alone = [scores[name] for scores in record["member_scores"]]
        lines.append(
            f"{where} {name.replace('_', ' ')}: {value:.4g} for the mean of "
            f"{record['members']} networks; alone {np.mean(alone):.4g} "
            f"({min(alone):.4g} to {max(alone):.4g})"
        )
    unit = "units of y" if record["task"] == "regression" else "nats"
    lines.append(f"disagreement: {record['disagreement']:.3g} {unit} on average")
    if "calibration_error" in record:
        text = f"calibration error: {record['calibration_error']:.3g}"
        if "temperature" in record:
            text += (
                f"; {record['calibration_error_tempered']:.3g} at temperature "
                f"{record['temperature']:.3g}, fitted on the validation part"
            )
        lines.append(text)
    if record["diverged"]:
        lines.append(f"{record['diverged']} networks diverged and are left out")
    if record["stopped"]:
        lines.append(f"stopped: {record['stopped']}")
    lines += ["", next_steps(options)]
    return "\n".join(lines)
