"""What `xpnet compare` says: in words, or as a record for `--json`."""

from argparse import Namespace
from typing import Any

from xpnet.backend.crossover import FASTER, Crossover
from xpnet.diagnosis.execution_modes import ExecutionMode
from xpnet.diagnosis.lockstep import Agreement, Difference, Problem

Speeds = tuple[float, float, float]  # seconds a step of A, of B; A's share of B's


def print_comparison(
    problem: Problem,
    ways: tuple[ExecutionMode, ExecutionMode],
    agreement: Agreement,
    speeds: Speeds,
) -> None:
    """The network, both ways, whether they agree, and their speeds."""
    widths = (problem.x.shape[1], *problem.widths, problem.outputs)
    print(
        f"{'-'.join(map(str, widths))}, tanh, {problem.optimizer}, "
        f"batch {problem.batch_size}, seed {problem.seed}"
    )
    for name, way in zip("AB", ways, strict=True):
        print(f"{name}  {way.label}: {way.backend.name}, {way.dtype}")
    print(f"\n{_verdict(agreement)}\n")
    a, b, ratio = speeds
    print(f"A takes {a * 1e6:.1f} µs a step, B {b * 1e6:.1f} µs: A/B = {ratio:.2f}")


def _verdict(found: Agreement) -> str:
    """Whether A and B agree, as text."""
    if found.first is not None:
        return (
            f"A and B DIFFER, first in {_described(found.first)}, "
            f"{found.first.share:.3g} times the bound"
        )
    text = f"A and B agree over {found.steps} steps"
    if found.equal:
        return f"{text}, equal to the bit"
    lines = [text]
    if found.largest is not None:
        share = f"at {found.largest.share:.2g} of its bound"
        lines.append(f"nearest, {share}: {_described(found.largest)}")
    lines.append(
        f"running freely, parameters drift {found.drift:.1e} of their largest apart"
    )
    return "\n".join(lines)


def _described(d: Difference) -> str:
    when = f"at step {d.step}" if d.step else "before the first step"
    return f"{d.tensor} {when}: {d.size:.2e} where {d.bound:.2e} is allowed"


def print_crossover(crossover: Crossover) -> None:
    """The grid of ratios, and from which size B is faster."""
    print(f"\n{_table(crossover)}\n{_faster(crossover)}")


def _table(crossover: Crossover) -> str:
    """The ratios: a row a width, a column a batch size."""
    head = "  width | batch" + "".join(f"{n:>9}" for n in crossover.batches)
    rows = [
        f"{width:>7} |      " + "".join(f"{ratio:>9.2f}" for ratio in row)
        for width, row in zip(crossover.widths, crossover.ratios, strict=True)
    ]
    return "\n".join(["A/B, time a step, for networks n-n-10", head, *rows])


def _faster(crossover: Crossover) -> str:
    found = crossover.smallest()
    if found is None:
        return f"nowhere on this grid is B {FASTER} times as fast as A"
    return (
        f"B is faster ({FASTER} times or more) from width {found[0]} at batch "
        f"{found[1]}, the smallest width x batch of this grid where it is"
    )


def record_of(
    options: Namespace,
    found: Agreement,
    speeds: Speeds,
    crossover: Crossover | None,
) -> dict[str, Any]:
    """All that was found, for `--json`."""
    names = ("data", "hidden", "optimizer", "batch_size", "seed")
    return {
        "a": options.a,
        "b": options.b,
        **{name: getattr(options, name) for name in names},
        "agree": found.agrees,
        "equal_to_the_bit": found.equal,
        "steps": found.steps,
        "first_difference": _values(found.first),
        "largest_difference": _values(found.largest),
        "drift": found.drift,
        "microseconds_a_step": {"a": speeds[0] * 1e6, "b": speeds[1] * 1e6},
        "ratio": speeds[2],
        "crossover": None if crossover is None else _cells(crossover),
    }


def _cells(crossover: Crossover) -> dict[str, Any]:
    found = crossover.smallest()
    b_from = found and {"width": found[0], "batch": found[1]}
    return {**vars(crossover), "b_faster_from": b_from}


def _values(d: Difference | None) -> dict[str, Any] | None:
    """A difference as plain values."""
    if d is None:
        return None
    share = {"difference": d.size, "bound": d.bound, "share_of_bound": d.share}
    return {"tensor": d.tensor, "step": d.step, **share}
