"""All trials by name."""

from xpnet.benchmarks.trials.numbers import NUMBERS
from xpnet.benchmarks.trials.trial import Trial
from xpnet.benchmarks.trials.writes import WRITES

TRIALS: dict[str, Trial] = {trial.name: trial for trial in (*WRITES, *NUMBERS)}
