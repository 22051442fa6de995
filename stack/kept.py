"""Recorded programs that a stack keeps from one call to the next, within bounds.

A stack of the same networks, or of some of them, finds its programs again: only the
values of the arrays are copied. What a program has taken from a network is in its
`RecordedSettings`; a network whose settings have changed finds no place.
"""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import ref

from xpnet.backend import Shape
from xpnet.common.access import renew_after_fork
from xpnet.stack.compatibility import RecordedSettings, settings_of
from xpnet.stack.parameters import StackedParameters

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

ROOM = 32 << 20  # bytes that a stack keeps, at most
COMPACT_BELOW = 0.75  # share of rows in use: with fewer a stack is compacted
MOST = 64  # recorded steps that it keeps, at most


class Holder(Protocol):
    """What else is kept beside the parameters."""

    @property
    def nbytes(self) -> int:
        """Bytes of all that it holds, the parameters too."""

    def let_go(self) -> None:
        """Hold neither networks nor samples."""


G = TypeVar("G", bound=Holder)


class Kept(Generic[G]):
    """The parameters of a stack with their programs; the newest is last.

    Each call takes them for itself and puts them back, so that several threads may
    predict at once.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[StackedParameters, G | None]] = []
        self._settings: dict[ref[Trainer], RecordedSettings] = {}
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """A new lock."""
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def settings(
        self, trainers: Sequence["Trainer"], sample: Shape | None = None
    ) -> list[tuple[Any, ...] | None]:
        """`RecordedSettings` of these trainers; they are built for samples of a shape.

        Args:
            trainers: of a stack.
            sample: the shape; None where they are built.
        """
        sample = trainers[0].model.sample_shape if sample is None else sample
        return settings_of(trainers, self._settings, sample)

    def take(
        self,
        settings: list[tuple[Any, ...] | None],
        counts: list[int],
        training: bool,
        leaves_out: bool = True,
    ) -> tuple[StackedParameters, list[int], G | None] | None:
        """(parameters, the row of each network, the group that had them last), or None.

        Args:
            settings: `RecordedSettings` of the networks.
            counts: samples of each in an epoch, most first.
            training: whether they are trained.
            leaves_out: whether C is to compute some of the rows only, where it can.
        """
        if None in settings:
            return None
        with self._lock:
            for at, (parameters, group) in reversed([*enumerate(self._kept)]):
                if parameters.training is not training:
                    continue
                rows = parameters.places(settings, counts)
                if rows is None:
                    continue
                few = len(rows) <= COMPACT_BELOW * len(parameters.settings)
                if not few or (leaves_out and parameters.splits):
                    del self._kept[at]
                    return parameters, rows, group
        return None

    def put(self, parameters: StackedParameters, group: G | None = None) -> None:
        """Keep these parameters, and let older ones go where they are too many."""
        if None in parameters.settings:
            return
        (group or parameters).let_go()
        with self._lock:
            self._kept.append((parameters, group))
            held = steps = 0
            for at in range(len(self._kept) - 1, -1, -1):
                one, last = self._kept[at]
                held += (last or one).nbytes
                steps += len(one.recorded)
                if held > ROOM or steps > MOST:
                    del self._kept[: at + 1]
                    break
