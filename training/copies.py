"""Pickle and copies: what a file holds, with parts of your own as Python objects."""

from typing import Any

from xpnet.compiler.drivers import driver_of
from xpnet.training.checkpoint import restore_rule
from xpnet.training.description import counters, settings
from xpnet.training.metrics import METRICS
from xpnet.training.state import TrainingState
from xpnet.training.tensors import arrays


def state_of(trainer: TrainingState) -> dict[str, Any]:
    """What makes an equal trainer in `make_from`; the model brings its own arrays."""
    known = {name: METRICS.get(name) is f for name, f in trainer.metrics.items()}
    state: dict[str, Any] = {
        "arguments": {
            "model": trainer.model,
            "loss": trainer.loss_function,
            "optimizer": trainer.optimizer,
            "device": trainer.backend.device,
            "dtype": trainer.dtype.name,
            "seed": trainer.seed,
            "average": trainer.average,
            **settings(trainer),
            "metrics": [n if known[n] else f for n, f in trainer.metrics.items()],
            "precision": trainer.backend.precision
            if driver_of(trainer.backend)
            else None,
        },
        "metrics": list(trainer.metrics),
        "notes": trainer.notes,
        "history": trainer.history,
        "stop": trainer.stop,
    }
    if trainer.model.buffers is None:
        return state
    trainer.check_owner()
    return state | {
        "counters": counters(trainer),
        "arrays": arrays(trainer)["optimizer"],
    }


def make_from(trainer: TrainingState, state: dict[str, Any]) -> None:
    """Make `trainer`, an object without attributes, what `state_of` was given."""
    trainer.__init__(**state["arguments"])  # type: ignore[misc]
    trainer.metrics = dict(zip(state["metrics"], trainer.metrics.values(), strict=True))
    for name in ("notes", "history", "stop"):
        setattr(trainer, name, state[name])
    if "counters" in state:
        restore_rule(trainer, state["counters"], state["arrays"])
