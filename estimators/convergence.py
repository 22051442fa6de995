"""The stopping rules of scikit-learn's MLP, and the curves of an estimator."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.training.callbacks import Callback
from xpnet.training.trainer import Trainer

SMALLEST_RATE = 1e-6  # "adaptive" stops below
FLAT = 2.2e-9  # scipy's ftol for L-BFGS-B: 1e7 float64 roundings


class Curves:
    """Losses and scores of an estimator's epochs, over several fits.

    Attributes:
        losses: the objective of each epoch, the penalty included.
        scores: on the held-out samples, if there are any.
        best_loss, best_score: so far.
        waited: epochs without improvement.
        samples: seen so far.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best_loss, self.best_score = np.inf, -np.inf
        self.waited = self.samples = 0


class Convergence(Callback):
    """Ends training when the objective, or the held-out score, no longer improves.

        loss > best loss - tol,   or   score < best score + tol

    for more than `patience` epochs in a row. The weights of the best score are restored
    at the end. The objective of an epoch is the mean over its batches, weighted by
    their numbers of samples, of Σ w l / Σ w + ½ (alpha / Σ w) Σ W² (see `Alpha`), as in
    scikit-learn.

    Args:
        curves: of the estimator.
        settings: its parameters.
        count: samples of an epoch.
        monitor: the curve of the held-out score; "" for none.
        outputs: divisor of the loss of an epoch.
    """

    def __init__(
        self, curves: Curves, settings: Any, count: int, monitor: str, outputs: int
    ) -> None:
        self.curves, self.count = curves, count
        self.monitor, self.outputs = monitor, outputs
        self.tol, self.patience = settings["tol"], settings["n_iter_no_change"]
        named = settings["solver"] == "sgd"
        self.rates = settings["learning_rate"] if named else "constant"
        self.first, self.power = settings["learning_rate_init"], settings["power_t"]
        self.epochs, self.converged = 0, False
        self._best: tuple[Array, ...] | None = None

    def patient_for(self, trainer: Trainer) -> float:
        """The least number of epochs before it acts."""
        if self.monitor or self.rates == "invscaling":
            return 1
        return float(self.patience - self.curves.waited + 1)

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Take the initial weights as the best so far."""
        if self.monitor:
            self._best = trainer.snapshot(self._best)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Record the epoch; stop, or lower the rate, when patience runs out."""
        curves = self.curves
        curves.samples += self.count
        curves.losses.append(row["loss"] / self.outputs)
        self.epochs += 1
        better = self._score(trainer, row) if self.monitor else self._loss()
        curves.waited = 0 if better else curves.waited + 1
        if self.rates == "invscaling":
            trainer.learning_rate = self.first / (curves.samples + 1) ** self.power
        if curves.waited > self.patience:
            self._stop(trainer)

    def _loss(self) -> bool:
        curves, loss = self.curves, self.curves.losses[-1]
        better = not loss > curves.best_loss - self.tol
        curves.best_loss = min(curves.best_loss, loss)
        return better

    def _score(self, trainer: Trainer, row: dict[str, float]) -> bool:
        curves, score = self.curves, row[self.monitor]
        curves.scores.append(score)
        better = bool(score >= curves.best_score + self.tol)  # NaN is not
        if score > curves.best_score:
            curves.best_score = score
            self._best = trainer.snapshot(self._best)
        return better

    def _stop(self, trainer: Trainer) -> None:
        rate = trainer.learning_rate
        if self.rates == "adaptive" and rate > SMALLEST_RATE:
            trainer.learning_rate = rate / 5.0
            self.curves.waited = 0
            return
        what = self.monitor or "the training loss"
        self.converged = True
        trainer.stop = (
            f"{what} has not improved by more than {self.tol:g} for {self.patience} "
            "epochs"
        )

    def on_fit_end(self, trainer: Trainer) -> None:
        """Restore the best weights."""
        if self._best is not None:
            trainer.restore(self._best)
            self._best = None


class Flatness(Callback):
    """Ends L-BFGS as scipy's L-BFGS-B does: at a flat objective or after `most` calls.

    Flat: (fₖ - fₖ₊₁) / max(|fₖ|, |fₖ₊₁|, 1) ≤ 2.2e-9. The minimiser itself tests the
    gradient.

    Args:
        most: evaluations of the objective.
    """

    def __init__(self, most: int) -> None:
        self.most, self.value, self.exhausted = most, np.inf, False

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Compare the objective with that of the iteration before."""
        value = row.get("objective", row["loss"])
        drop, scale = self.value - value, max(abs(self.value), abs(value), 1.0)
        if self.value < np.inf and drop <= FLAT * scale:
            trainer.stop = "the objective no longer falls"
        elif row["evaluations"] >= self.most:
            self.exhausted = True
            trainer.stop = f"the objective was evaluated {self.most} times"
        self.value = value
