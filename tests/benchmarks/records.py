"""A small record as `xpnet bench --json` writes it, with figures easy to tell apart."""

import copy

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.tables import add_summaries

TIMES = {
    "xpnet": [20.5, 21.5, 24.0],
    "products": [3.25, 3.5, 3.75],
    "numpy": [26.0, 27.5, 26.5],
    "torch": [1310.0, 1350.0, 1290.0],
}
NOTES = {
    "jax": {"note": "not installed: No module named 'jax'"},
    "thinc": {"note": "left out: loss 2.000000 after 20 steps, not 1.000000"},
}


def result(sizes, batch, optimizer="adam", threads=2, factor=1.0, **more):
    rows = {
        name: {"rounds_us": [factor * t for t in times], "versions": {"numpy": "2.4"}}
        for name, times in TIMES.items()
    }
    rows["xpnet"]["state"] = "loops not compiled"
    add_summaries(rows, "us")
    case = Case(sizes, batch, optimizer)
    head = {**more, **case.to_dict(), "sizes": list(sizes), "net": case.net}
    head |= {
        "threads": threads,
        "timing": {"warm_up": 2.5, "rounds": 3, "seconds": 0.1},
    }
    return {**head, "rivals": {**rows, **copy.deepcopy(NOTES)}}


def training(task, what, factor=1.0):
    rows = {
        name: {
            "rounds_s": [factor * t / 100 for t in TIMES[name]],
            "epochs": [10, 12, 11],
            "accuracy": [0.95, 0.975, 0.97],
            "version": "1.0",
        }
        for name in ("xpnet", "numpy", "torch")
    }
    add_summaries(rows, "s")
    rows["jax"] = dict(NOTES["jax"])
    return {"task": task, "what": what, "threads": 2, "rivals": rows}


def record():
    sweep = [
        result((784, w, 10), 128, factor=w / 10, axis="width", value=w)
        for w in (16, 64, 2048)
    ]
    sweep += [
        result((784, 128, 10), b, factor=3 + b / 9, axis="batch", value=b)
        for b in (1, 1024, 2048)
    ]
    return {
        "format": 1,
        "date": "2026-01-02",
        "command": "xpnet bench --full",
        "load_before": 0.05,
        "machine": {
            "device": "cpu",
            "why": "no GPU",
            "blas": [
                {"name": "openblas", "version": "0.3.99", "core": "Zen", "threads": 2}
            ],
            "processor": "A <Processor> & Co",
            "cores": 2,
            "versions": {"xpnet": "0.1.0", "numpy": "2.4"},
            "warnings": [],
            "system": "Linux",
            "python": "3.12.0",
        },
        "overrides": {
            "set": {"OPENBLAS_CORETYPE": "Haswell"},
            "removed_for_the_workers": True,
        },
        "timing": {"warm_up": 2.5, "rounds": 3, "seconds": 0.1},
        "results": [
            result((64, 32, 10), 32),
            result((784, 128, 10), 128, "sgd", factor=12.345),
        ],
        "sweep": sweep,
        "cold": [training("xor", "XOR"), training("digits", "digits", 1.7)],
        "accuracy": [training("accuracy", "digits to 97%", 0.6)],
    }
