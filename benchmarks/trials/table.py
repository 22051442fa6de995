"""All trials by name."""

from xpnet.benchmarks.trials import (
    calls,
    files,
    inputs,
    libraries,
    numbers,
    scores,
    searches,
    threads,
    writes,
)
from xpnet.benchmarks.trials.trial import Trial

MODULES = (calls, files, inputs, libraries, numbers, scores, searches, threads, writes)
TRIALS: dict[str, Trial] = {
    found.name: found
    for module in MODULES
    for found in vars(module).values()
    if isinstance(found, Trial)
}
