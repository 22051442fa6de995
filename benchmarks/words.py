"""What page and report say around the figures, all of it taken from the record."""

from typing import Any

from xpnet.benchmarks.record import Record

RULES = {"sgd": "SGD", "adam": "Adam"}
STEPS = (
    "The time of one update (forward, backward, update rule) on one fixed batch. The "
    "floor is the time of the step's matrix products alone, into arrays that are "
    "there already. xpnet / this below 1 means that xpnet is faster."
)
BREAKDOWN = (
    "A clock between the calls of xpnet's step, and the same calls run alone, over "
    "and over. What a call takes more inside the step than alone, it waits for data: "
    "others have taken it out of the caches, or it lies in those of the other core. "
    "How much that is depends on where a virtual machine's cores are at the time: two "
    "of them may share a physical core and its caches. No code around the products "
    "can make a step cheaper than they are; the rest of the step is the difference "
    "of two measurements, and may come out below 0. So it does for small nets whose "
    "steps are C: here each of its calls is asked for by Python, at half a microsecond "
    "or so that the step itself does without."
)
COLD = (
    "Wall seconds of a whole process: starting Python, importing, loading the data, "
    "training, leaving. Every round is a fresh process."
)
REACHED = (
    "Seconds from building the network to the first epoch after which 97% of the "
    "validation part of the digits are classified rightly, with Adam at 0.001; "
    "compiling counts, imports do not. Every round has a seed of its own, and a rival "
    "its own initial weights and order, so the number of epochs differs."
)
METHOD = (
    "Every rival runs in a process of its own, with float32 and the same number of "
    "threads, in interleaved rounds: one after the other, round after round. Figures "
    "are medians over the rounds, IQR is the interquartile range, ratios are medians "
    "of the ratios within a round. Before a rival is timed on a net it starts from "
    "the same weights as hand-written NumPy and must reach the same loss after 20 "
    "steps, to 0.0001; then it runs as long as all others to warm up."
)


def swept(results: list[dict[str, Any]]) -> str:
    """How long the points of a sweep were timed."""
    how = results[0]["timing"]
    return (
        f"Measured like the nets above, after {how['warm_up']:g} s of warm-up in "
        f"{how['rounds']} rounds of {how['seconds']:g} s."
    )


def without_jit(results: list[dict[str, Any]]) -> str:
    """What a step without compiled loops cannot be cheaper than."""
    rows = [
        f"{r['net']}, {RULES[r['optimizer']]}: {r['calls_without_jit']} calls, at "
        f"least {r['calls_without_jit'] * r['smallest_call_us']:.1f} µs"
        for r in results
        if "note" not in r
    ]
    return (
        "Without compiled loops every elementwise operation is a call of its own, and "
        "a NumPy call on single numbers is the least that one can take: "
        f"{'; '.join(rows)}."
    )


def method(record: Record) -> list[tuple[str, str]]:
    """What was asked for, as (name, value) rows."""
    how, forced = record["timing"], record["overrides"]["set"]
    named = ", ".join(f"{k}={v}" for k, v in forced.items()) or "none set"
    removed = record["overrides"]["removed_for_the_workers"]
    note = "; the rivals' processes ran without them" if forced and removed else ""
    load = record["load_before"]
    return [
        ("date", record["date"]),
        ("command", record["command"]),
        ("load before", "unknown" if load is None else f"{load:.2f} processes"),
        ("warm-up", f"{how['warm_up']:g} s a rival and net"),
        ("rounds", f"{how['rounds']} of {how['seconds']:g} s a rival and net"),
        ("BLAS overrides", named + note),
    ]


def facts(record: Record) -> list[tuple[str, str]]:
    """The machine, and every rival's version, as (name, value) rows."""
    machine = record["machine"]
    rows = [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("system", f"{machine['system']}, Python {machine['python']}"),
    ]
    for blas in machine["blas"]:
        words = f"{blas['name']} {blas['version']}, core type {blas['core']}"
        rows.append(("BLAS", f"{words}, {blas['threads']} threads"))
    if "cuda" in machine:
        cuda = machine["cuda"]
        rows.append(("GPU", f"{cuda['name']}, CUDA {cuda['runtime']}"))
        rows.append(("CuPy", f"{cuda['cupy']}, TF32 {'on' if cuda['tf32'] else 'off'}"))
    else:
        rows.append(("GPU", "none used"))
    versions = {**machine["versions"], **_versions(record)}
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    return rows


def _versions(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for result in (*record["results"], *record["sweep"]):
        for row in result["rivals"].values():
            found |= row.get("versions", {})
    return found
