"""The doctor: looks at a training a few times an epoch and reports likely problems."""

from collections.abc import Callable
from types import TracebackType

from xpnet.diagnosis.layer_statistics import LayerStatistics
from xpnet.diagnosis.report import Diagnosis, Inputs
from xpnet.diagnosis.rules import Findings
from xpnet.diagnosis.score import score
from xpnet.training.data import Samples
from xpnet.training.divergence import DivergenceError
from xpnet.training.progress import Progress
from xpnet.training.state import TrainingState

LOOKS = 3  # an epoch
DENSE = 20  # epochs in which it looks so often; then in about 100 of the rest


class Doctor:
    """Watches one `fit`; the diagnosis is there when the block is left.

    Args:
        trainer: the training that is watched.
        samples: what it is trained on.
        batch_size: samples a step.
        epochs: of the fit.
        progress: where the report is printed.
        held: what it is validated on, or None.
    """

    def __init__(
        self,
        trainer: TrainingState,
        samples: Samples,
        batch_size: int,
        epochs: int,
        progress: Progress,
        held: Samples | None = None,
    ) -> None:
        self._trainer, self._progress = trainer, progress
        self._samples, self._held = samples, held
        self._probe = LayerStatistics(trainer, samples)
        steps = -(-samples.count // batch_size)
        self._steps = steps
        self._looks = sorted({steps * i // LOOKS for i in range(LOOKS)})
        self._rare = max(1, (epochs - DENSE) // 100)
        self._first = trainer.epochs_done
        self.diagnosis = Diagnosis(
            self._probe.names, self._probe.samples, Inputs.of(trainer, self._probe)
        )

        targets = trainer.loss_function.targets
        self.diagnosis.targets = "labels" if samples.labels else targets

    def next_look(self, i: int) -> int:
        """The first batch of the epoch from i on that it wants to watch.

        The number of batches where there is none any more.
        """
        epoch = self._trainer.epochs_done - self._first
        due = epoch < DENSE or (epoch - DENSE) % self._rare == 0
        return next((look for look in self._looks if due and look >= i), self._steps)

    def watch(self, step: Callable[[int], None], i: int) -> None:
        """Look at the layers as they were before `step(i)`, and at what it changed."""
        number = self._trainer.steps_done
        self._probe.take(self._trainer)
        step(i)
        self.diagnosis.add(number, *self._probe.measure(self._trainer))

    def __enter__(self) -> "Doctor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Judge what was seen, also when the training diverged."""
        found, history = self.diagnosis, self._trainer.history
        if isinstance(error, DivergenceError):
            found.diverged = str(error)
        found.rows = history.rows
        if error is None:
            self._score()
        found.findings = Findings(found).all()
        history.diagnosis = found
        self._progress.note(f"\n{found}")

    def _score(self) -> None:
        """See how the network does, in training and in validation."""
        trainer, found = self._trainer, self.diagnosis
        found.score = score(trainer, self._samples)
        if found.score is not None and self._held is not None:
            found.held = score(trainer, self._held, found.score.answer)
