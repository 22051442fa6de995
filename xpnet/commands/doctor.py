"""`xpnet doctor DATA`: train as `xpnet train` does, and report likely problems."""

from argparse import Namespace

from xpnet.commands.preparation import prepare
from xpnet.commands.report import print_json
from xpnet.commands.train import train
from xpnet.training.divergence import DivergenceError

FOUND = 1  # exit status if something was found


def run(options: Namespace) -> int:
    """Train with `diagnose=True`; see `xpnet doctor --help`."""
    prepared = prepare(options)
    trainer = prepared.trainer
    try:
        status = train(options, prepared, diagnose=True)
    except DivergenceError:  # the diagnosis has its message
        status = FOUND
        diagnosis = trainer.history.diagnosis
        if diagnosis is not None and options.plot:
            diagnosis.plot(options.plot)
        if diagnosis is not None and options.json:
            seen = {"data": options.data, "diagnosis": diagnosis.to_dict()}
            print_json(seen)
    diagnosis = trainer.history.diagnosis
    return status or (0 if diagnosis is None or diagnosis.healthy else FOUND)
