"""Ensembles: the average of several networks, and how far they disagree."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.common import explains_arguments, shown
from xpnet.data import Scaler
from xpnet.training import Stack, Trainer, checks
from xpnet.training.stack_checks import check_rows

Values = np.ndarray[Any, Any]
TINY = 1e-30  # p ln p is 0 where p is
DESCRIPTION = "ensemble.json"


def is_ensemble(directory: Path) -> bool:
    """Whether `Ensemble.save` wrote this directory."""
    return (directory / DESCRIPTION).is_file()


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How sure an ensemble is of each sample, (samples,) or (samples, n).

    Attributes:
        total: classes: the entropy of the mean probabilities, in nats, H[p̄]; numbers:
            the standard deviation over the members, in units of y.
        disagreement: classes: what of it comes from members that contradict each
            other, H[p̄] - mean H[pᵢ], the mutual information of label and member;
            numbers: the same as `total`.
        noise: classes: mean H[pᵢ], what each member is unsure of by itself; numbers: 0.

    Depeweg et al. (2018), arXiv:1710.07283.
    """

    total: Values
    disagreement: Values
    noise: Values


@explains_arguments
class Ensemble:
    """Networks that answer together: p̄ = (1/k) Σᵢ pᵢ.

    Members trained from different seeds make different mistakes; their mean is better
    than they are, and their disagreement says where it is not to be trusted.
    Lakshminarayanan, Pritzel, Blundell (2017), arXiv:1612.01474.

        stack = xn.Stack([make(seed=seed) for seed in range(8)])
        stack.fit(x, y, epochs=30)
        ensemble = xn.Ensemble(stack)
        ensemble.predict(xt), ensemble.uncertainty(xt).disagreement

    Args:
        members: a `Stack`, or trainers that could be one.
        scaler: of the inputs, applied before the networks see them.
        y_scaler: undone on what they predict.

    Raises:
        ValueError, TypeError: members that cannot be stacked.
    """

    def __init__(
        self,
        members: Stack | Sequence[Trainer],
        scaler: Scaler | None = None,
        y_scaler: Scaler | None = None,
    ) -> None:
        self.stack = members if isinstance(members, Stack) else Stack(members)
        self.scaler = _check_scaler("scaler", scaler)
        self.y_scaler = _check_scaler("y_scaler", y_scaler)

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, i: int) -> Trainer:
        return self.stack[i]

    @property
    def targets(self) -> str:
        """What the networks predict: "classes", "binary" or "values"."""
        return self.stack[0].loss_function.targets

    def scaled(self, x: Any) -> Any:
        """x as the networks see it."""
        if self.scaler is None:
            return x
        first = self.stack[0]
        x = checks.check_x(x, first.model.sample_shape, first.backend)
        checks.check_finite(x, "x", first.backend)
        return self.scaler.transform(x.reshape(len(x), -1)).reshape(x.shape)

    def member_predictions(self, x: Any, batch_size: int | None = None) -> Values:
        """What each member predicts for x (samples, *sample): (k, samples, n)."""
        outputs: Values = self.stack.predict(self.scaled(x), batch_size=batch_size)
        if self.y_scaler is not None:
            outputs = np.stack([self.y_scaler.inverse(p) for p in outputs])
        return outputs

    def predict(self, x: Any, batch_size: int | None = None) -> Values:
        """The mean of the members' probabilities, or outputs: (samples, n)."""
        return np.asarray(self.member_predictions(x, batch_size).mean(axis=0))

    def predict_classes(self, x: Any, batch_size: int | None = None) -> Values:
        """Labels (samples,) of the most probable class; yes/no as 0 and 1.

        Raises:
            ValueError: networks that do not classify.
        """
        if self.targets == "values":
            raise ValueError(
                "predict_classes: expected networks that classify; use predict"
            )
        p = self.predict(x, batch_size)
        if self.targets == "classes":
            return np.asarray(p.argmax(axis=1))
        answers = (p >= 0.5).astype(np.int64)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def uncertainty(self, x: Any, batch_size: int | None = None) -> Uncertainty:
        """How sure the ensemble is of each sample, and why not."""
        p = self.member_predictions(x, batch_size).astype(np.float64)
        if self.targets == "values":
            spread = p.std(axis=0)
            return Uncertainty(spread, spread, np.zeros_like(spread))
        total, noise = self._entropy(p.mean(axis=0)), self._entropy(p).mean(axis=0)
        return Uncertainty(total, np.maximum(total - noise, 0.0), noise)

    def _entropy(self, p: Values) -> Values:
        """-Σ p ln p over the classes, or over yes and no of each question."""
        if self.targets == "classes":
            return np.asarray(-(p * np.log(np.maximum(p, TINY))).sum(axis=-1))
        q = 1.0 - p
        return -(p * np.log(np.maximum(p, TINY)) + q * np.log(np.maximum(q, TINY)))

    @explains_arguments
    def evaluate(self, x: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """{metric: value} of the mean prediction, and "loss", -ln p̄ of the label or
        mean square error.

        The loss is that of the averaged probabilities (or outputs), which is never
        above the mean of the members' losses.

        Raises:
            ValueError, TypeError: unfit data, as `Trainer.evaluate`.
        """
        x, y, w = self._checked(x, y, sample_weight)
        p = self.predict(x)
        scores = {"loss": float(np.average(self._losses(p, y), weights=w))}
        for name, metric in self.stack[0].metrics.items():
            scores[name] = float(metric(p, y, w))
        return scores

    def _checked(self, x: Any, y: Any, w: Any) -> tuple[Any, Values, Values | None]:
        """x, and y and the weights on the host, as `Samples` checks them."""
        first = self.stack[0]
        backend = first.backend
        x = checks.check_x(x, first.model.sample_shape, backend)
        checks.check_finite(x, "x", backend)
        if self.scaler is None:
            checks.check_fits(x, "x", first.dtype)
        first.build(x.shape[1:])
        width = first.model.n_outputs
        y = checks.check_y(y, len(x), first.loss_function, width, backend)
        checks.check_finite(y, "y", backend)
        if self.y_scaler is None:
            checks.check_fits(y, "y", first.dtype)
        w = checks.check_weights(w, len(x), backend)
        y = backend.to_numpy(y)
        y = y.astype(np.int64) if checks.is_labels(y, first.loss_function) else y
        return x, y, None if w is None else backend.to_numpy(w)

    def _losses(self, p: Values, y: Values) -> Values:
        p = p.astype(np.float64)
        if self.targets == "values":
            return np.asarray(((p - y) ** 2).mean(axis=1))
        if self.targets == "binary":
            right = y * np.log(np.maximum(p, TINY))
            wrong = (1.0 - y) * np.log(np.maximum(1.0 - p, TINY))
            return np.asarray(-(right + wrong).mean(axis=1))
        t = np.eye(p.shape[1])[y] if y.ndim == 1 else y
        return np.asarray(-(t * np.log(np.maximum(p, TINY))).sum(axis=1))

    def score(self, x: Any, y: Any, rows: Any, sample_weight: Any) -> dict[str, float]:
        """`evaluate` on some rows of x and y, with the loss that searches report.

        That is the mean of the members' own losses, of scaled y where y is scaled.
        """
        x, y, w = self._checked(x, y, sample_weight)
        (rows,) = check_rows([rows], "rows", len(x), 1)
        x, y, w = x[rows], y[rows], None if w is None else w[rows]
        scaled_y = y
        if self.y_scaler is not None:
            scaled_y = self.y_scaler.transform(y)
        own = self.stack.evaluate(self.scaled(x), scaled_y, sample_weight=w)
        loss = float(np.mean([scores["loss"] for scores in own]))
        return self.evaluate(x, y, w) | {"loss": loss}

    # Files.

    def save(self, directory: str | Path) -> Path:
        """Write the members into `directory`/0, 1, ... and the scaling beside them.

        Raises:
            ValueError: parts of your own, as `Trainer.save`.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for i, trainer in enumerate(self.stack.trainers):
            trainer.save(directory / str(i))
        text = json.dumps(
            {
                "members": len(self),
                "scaler": self.scaler and self.scaler.to_dict(),
                "y_scaler": self.y_scaler and self.y_scaler.to_dict(),
            }
        )
        (directory / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        return directory

    @staticmethod
    def load(directory: str | Path, device: str | Backend = "auto") -> "Ensemble":
        """The ensemble that `save` wrote.

        Raises:
            FileNotFoundError: there is none.
            ValueError: a damaged one.
        """
        directory = Path(directory)
        path = directory / DESCRIPTION
        if not is_ensemble(directory):
            raise FileNotFoundError(f"no saved ensemble in {directory}")
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            count = int(described["members"])
            scalers = [
                described[name] and Scaler.from_dict(described[name])
                for name in ("scaler", "y_scaler")
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a damaged ensemble ({error})") from None
        members = [Trainer.load(directory / str(i), device) for i in range(count)]
        return Ensemble(members, *scalers)


def _check_scaler(name: str, scaler: Any) -> Scaler | None:
    if scaler is None or isinstance(scaler, Scaler):
        return scaler
    raise TypeError(
        f"{name}: expected a fitted scaler or None, got {shown(scaler)}; such as "
        "xpnet.Standardizer.fit(x)"
    )
