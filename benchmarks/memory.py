"""Memory that a training allocates, beside the memory that it needs.

    python -m xpnet.benchmarks.memory       # --json for one JSON object

The need is parameters + gradients + optimiser state + activations (a[0], the batch, to
a[L]); the use is the peak that the process allocates from building the model to the end
of 20 steps (by tracemalloc, to which NumPy reports). For the smallest nets the Python
objects of their program count most, 60 to 120 kB.
"""

import argparse
import gc
import json
import tracemalloc
from itertools import pairwise
from typing import Any

import xpnet as xn
from xpnet.benchmarks.cases import NETS, Case
from xpnet.benchmarks.subjects import model, rule
from xpnet.benchmarks.tables import RULES, Row, Table

STEPS = 20
SLOTS = {"sgd": 0, "adam": 2}


def need(case: Case) -> int:
    """Bytes of parameters, gradients, optimiser state and activations, in float32."""
    parameters = sum(n * m + m for n, m in pairwise(case.sizes))
    activations = case.batch * sum(case.sizes)
    return 4 * (parameters * (2 + SLOTS[case.optimizer]) + activations)


def use(case: Case) -> int:
    """Peak bytes that a training of a few steps allocates."""
    x, y = case.data()
    warm = xn.Trainer(xn.Sequential([xn.Dense(2)]), "softmax_cross_entropy", "sgd")
    warm.step(x[:2, :1], [0, 1])  # what the library keeps for all networks
    gc.collect()
    tracemalloc.start()
    loss = "softmax_cross_entropy"
    trainer = xn.Trainer(model(case.sizes), loss, rule(case), "cpu", jit=False)
    for _ in range(STEPS):
        trainer.step(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure() -> list[dict[str, Any]]:
    """A row per net and rule: bytes needed, bytes used, their ratio."""
    rows = []
    for case in (Case(*net, optimizer) for net in NETS for optimizer in SLOTS):
        needed, used = need(case), use(case)
        row = {"net": case.net, "optimizer": case.optimizer}
        rows.append({**row, "need": needed, "use": used, "ratio": used / needed})
    return rows


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = measure()
    if options.json:
        print(json.dumps({"memory": rows}, indent=1))
        return
    cells = []
    for row in rows:
        label = f"{row['net']}, {RULES[row['optimizer']]}"
        sizes = (f"{row['need'] / 1e3:,.1f}", f"{row['use'] / 1e3:,.1f}")
        cells.append(Row("", label, (*sizes, f"{row['ratio']:.2f}")))
    columns = ("", "need, kB", "use, kB", "ratio")
    print(Table("memory of a training", columns, tuple(cells)).text())


if __name__ == "__main__":
    main()
