"""The trainer of a fitted estimator, which can be copied and pickled."""

from collections.abc import Callable
from typing import Any

from xpnet.training.trainer import Trainer

Maker = Callable[[], Trainer]


class Network:
    """A built trainer, or what is needed to make it again.

    A trainer holds programs over arrays of its device, which cannot be pickled. Pickled
    are its arrays (weights, statistics, those of the update rule) on the host and its
    counters. The first prediction after unpickling calls `maker`.

    Args:
        trainer: a built trainer.
        maker: makes a new, unbuilt trainer of the same architecture.
    """

    def __init__(self, trainer: Trainer, maker: Maker) -> None:
        self._trainer: Trainer | None = trainer
        self._maker = maker
        self._kept: dict[str, Any] = {}

    @property
    def trainer(self) -> Trainer:
        """The trainer itself."""
        kept = self._kept  # first: another thread may set the trainer meanwhile
        if self._trainer is None:
            self._trainer = self._made(kept)
            self._kept = {}
        return self._trainer

    def _made(self, kept: dict[str, Any]) -> Trainer:
        trainer = self._maker()
        trainer.build(kept["sample"])
        arrays = trainer.arrays().values()
        with trainer.backend.active():
            for array, values in zip(arrays, kept["arrays"], strict=True):
                trainer.backend.upload(array, values)
        trainer.steps_done, trainer.epochs_done = kept["done"]
        trainer.rates.scale, trainer.rates.fixed = kept["rates"]
        return trainer

    def __getstate__(self) -> dict[str, Any]:
        return {"maker": self._maker, "kept": self._kept or self._keep()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._trainer = None
        self._maker, self._kept = state["maker"], state["kept"]

    def _keep(self) -> dict[str, Any]:
        trainer = self._trainer
        assert trainer is not None
        host = trainer.backend.to_numpy
        return {
            "sample": trainer.model.sample_shape,
            "arrays": [host(array).copy() for array in trainer.arrays().values()],
            "done": (trainer.steps_done, trainer.epochs_done),
            "rates": (trainer.rates.scale, trainer.rates.fixed),
        }
