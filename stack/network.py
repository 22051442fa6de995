"""One network of a stack: its trainer, and the samples that it sees."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xpnet.training.callbacks import Callback
from xpnet.training.data import Rows
from xpnet.training.divergence import DivergenceError

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


@dataclass(eq=False)
class Network:
    """What distinguishes one network from the others.

    Attributes:
        trainer: an ordinary one; its settings, counters and history are the network's.
        rows: the samples it trains on, by number.
        held: the samples it is validated on, or None.
        block: where its sample weights begin.
        callbacks: its own.
        frozen: whether its training has ended.
        error: what ended it, if it diverged.
    """

    trainer: "Trainer"
    rows: Rows
    held: Rows | None = None
    block: int = 0
    callbacks: list[Callback] = field(default_factory=list)
    frozen: bool = False
    error: DivergenceError | None = None
