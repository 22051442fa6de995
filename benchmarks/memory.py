"""Memory of a training run, beside what it cannot do without.

    python -m xpnet.benchmarks.memory       # --json for one JSON object

The need is parameters + gradients + optimiser state + activations (a[0], the batch, to
a[L]); the use is the peak of what the process allocates from building the model until
20 steps are done (tracemalloc, which NumPy reports to). The smallest nets are
outweighed by the Python objects of their program, 60 to 120 kB.
"""

import argparse
import gc
import json
import tracemalloc
from typing import Any

import xpnet as xn
from xpnet.benchmarks.cases import NETS, Case

STEPS = 20
SLOTS = {"sgd": 0, "adam": 2}


def need(case: Case) -> int:
    """Bytes of parameters, gradients, optimiser state and activations, in float32."""
    pairs = zip(case.sizes, case.sizes[1:], strict=False)
    parameters = sum(n * m + m for n, m in pairs)
    activations = case.batch * sum(case.sizes)
    return 4 * (parameters * (2 + SLOTS[case.optimizer]) + activations)


def use(case: Case) -> int:
    """Peak bytes allocated by a training of a few steps."""
    x, y = case.data()
    warm = xn.Trainer(xn.Sequential([xn.Dense(2)]), "softmax_cross_entropy", "sgd")
    warm.step(x[:2, :1], [0, 1])  # what the library keeps once, whatever the network
    gc.collect()
    tracemalloc.start()
    hidden = [xn.Dense(n, activation="relu") for n in case.sizes[1:-1]]
    model = xn.Sequential([*hidden, xn.Dense(case.sizes[-1])])
    rule = xn.SGD(case.rate) if case.optimizer == "sgd" else xn.Adam(case.rate)
    trainer = xn.Trainer(model, "softmax_cross_entropy", rule, device="cpu", jit=False)
    for _ in range(STEPS):
        trainer.step(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure() -> list[dict[str, Any]]:
    """A row a net and rule: bytes needed, bytes used, their ratio."""
    rows = []
    for sizes, batch in NETS:
        for optimizer in SLOTS:
            case = Case(sizes, batch, optimizer)
            needed, used = need(case), use(case)
            row = {"net": case.net, "optimizer": optimizer}
            rows.append({**row, "need": needed, "use": used, "ratio": used / needed})
    return rows


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps({"memory": rows}, indent=1))
        return
    print(f"{'net':28} {'rule':5} {'need, kB':>12} {'use, kB':>12} {'ratio':>7}")
    for r in rows:
        need_kb, use_kb = r["need"] / 1000, r["use"] / 1000
        print(
            f"{r['net']:28} {r['optimizer']:5} {need_kb:12,.1f} {use_kb:12,.1f} "
            f"{r['ratio']:7.2f}"
        )


if __name__ == "__main__":
    main()
