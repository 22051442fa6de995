"""`xpnet doctor DATA`: train as `xpnet train` does, and say what ails the training."""

from argparse import Namespace

from xpnet.commands.report import print_json
from xpnet.commands.train import prepare, train
from xpnet.training.divergence import DivergenceError

FOUND = 1  # the exit status where something was found


def run(options: Namespace) -> int:
    """Train with the doctor looking on; see `xpnet doctor --help`."""
    prepared = prepare(options)
    trainer = prepared.trainer
    try:
        status = train(options, prepared, diagnose=True)
    except DivergenceError:  # what it says is among the findings
        status = FOUND
        diagnosis = trainer.history.diagnosis
        if diagnosis is not None and options.plot:
            diagnosis.plot(options.plot)
        if diagnosis is not None and options.json:
            seen = {"data": options.data, "diagnosis": diagnosis.to_dict()}
            print_json(seen)
    diagnosis = trainer.history.diagnosis
    return status or (0 if diagnosis is None or diagnosis.healthy else FOUND)
