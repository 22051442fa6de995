"""All trials by name."""

from itertools import chain

from xpnet.benchmarks.trials.calls import CALLS
from xpnet.benchmarks.trials.files import FILES
from xpnet.benchmarks.trials.inputs import INPUTS
from xpnet.benchmarks.trials.libraries import LIBRARIES
from xpnet.benchmarks.trials.numbers import NUMBERS
from xpnet.benchmarks.trials.scores import SCORES
from xpnet.benchmarks.trials.searches import SEARCHES
from xpnet.benchmarks.trials.threads import THREADED
from xpnet.benchmarks.trials.trial import Trial
from xpnet.benchmarks.trials.writes import WRITES

KINDS = (CALLS, FILES, INPUTS, LIBRARIES, NUMBERS, SCORES, SEARCHES, THREADED, WRITES)
TRIALS: dict[str, Trial] = {trial.name: trial for trial in chain(*KINDS)}
