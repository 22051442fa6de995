"""How a trained network does beside the best answer that ignores its inputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.layers import Huber, Loss, MeanAbsoluteError
from xpnet.training.data import Samples
from xpnet.training.state import TrainingState

MOST = 10_000  # samples looked at
AT_ONCE = 1024


@dataclass(frozen=True)
class Score:
    """What the network gains over a constant answer.

    For labels and yes/no questions a sample counts 1 if it is answered rightly, for
    numbers 1 less its error, in units of the mean error of the constant answer.

    Attributes:
        own, constant: means over the samples: of the network, of the constant answer.
        error: the standard error of own - constant.
        answer: the constant answer: the label that is most frequent in the training
            data, yes or no an output, the mean of y (its median for absolute errors).
        only: the label that every sample gets from the network; None for several, and
            where all samples have one label.
        samples: how many there were.
    """

    own: float
    constant: float
    error: float
    answer: Any
    only: int | None
    samples: int

    @property
    def gain(self) -> float:
        """Of what there is to gain, the share that the network has gained."""
        room = 1.0 - self.constant
        return (self.own - self.constant) / room if room > 0.0 else 1.0

    @property
    def chance(self) -> float:
        """Three standard errors of `gain`: what training gains by chance at most."""
        return 1.5 * self.uncertain

    @property
    def uncertain(self) -> float:
        """Two standard errors of `gain`."""
        room = 1.0 - self.constant
        return 2.0 * self.error / room if room > 0.0 else 0.0


def score(trainer: TrainingState, samples: Samples, answer: Any = None) -> Score | None:
    """The score of the trainer as it predicts; None where outputs are not finite.

    Args:
        samples: of training or validation.
        answer: the constant one; that which suits the samples unless given.
    """
    most = min(MOST, samples.count)
    rows = np.linspace(0, samples.count - 1, most).astype(np.int64)
    p = _outputs(trainer, samples, rows)
    if not np.isfinite(p).all():
        return None
    y = samples.host_y[rows]
    w = np.ones(most) if samples.host_w is None else samples.host_w[rows]
    w = w.astype(np.float64) / max(float(w.sum(dtype=np.float64)), 1e-300)
    loss = trainer.loss_function
    if loss.targets == "values":
        own, constant, answer = _numbers(p, y, w, loss, answer)
        only = None
    else:
        own, constant, answer, only = _choices(p, y, w, loss, answer)
    means = float(w @ own), float(w @ constant)
    ahead = own - constant - (means[0] - means[1])
    error = float(np.sqrt((w * w) @ (ahead * ahead)))
    return Score(*means, error, answer, only, most)


def _outputs(trainer: TrainingState, samples: Samples, rows: NDArray) -> NDArray:
    backend, found = trainer.backend, []
    with np.errstate(all="ignore"), backend.active(), trainer.averaged():
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            step = trainer.evaluation_step(samples.kind(len(part)), targets=False)
            samples.gather(backend.asarray(part), step.batch)
            step.run()
            found.append(backend.to_numpy(step.output).astype(np.float64))
    return np.concatenate(found)


def _choices(
    p: NDArray, y: NDArray, w: NDArray, loss: Loss, answer: Any
) -> tuple[NDArray, NDArray, Any, int | None]:
    if loss.targets == "classes":
        labels = y if y.ndim == 1 else y.argmax(axis=1)
        chosen = p.argmax(axis=1)
        if answer is None:
            answer = int(np.bincount(labels, w).argmax())
        own, constant = chosen == labels, labels == answer
    else:
        labels, chosen = y >= 0.5, p >= 0.5
        if answer is None:
            answer = w @ labels >= 0.5
        own, constant = (chosen == labels).mean(axis=1), (labels == answer).mean(axis=1)
        labels, chosen = labels[:, 0], chosen[:, 0]
    alone = loss.targets == "classes" or p.shape[1] == 1
    same = alone and len(np.unique(chosen)) == 1 < len(np.unique(labels))
    only = int(chosen[0]) if same else None
    return own.astype(np.float64), constant.astype(np.float64), answer, only


def _numbers(
    p: NDArray, y: NDArray, w: NDArray, loss: Loss, answer: Any
) -> tuple[NDArray, NDArray, Any]:
    y = y.astype(np.float64)
    absolute = isinstance(loss, MeanAbsoluteError | Huber)
    if answer is None:
        answer = np.median(y, axis=0) if absolute else w @ y
    size = np.abs if absolute else np.square
    ours, theirs = size(p - y).mean(axis=1), size(answer - y).mean(axis=1)
    unit = float(w @ theirs)
    if unit == 0.0:  # y does not vary: there is nothing to gain
        return np.ones(len(y)), np.ones(len(y)), answer
    return 1.0 - ours / unit, 1.0 - theirs / unit, answer
