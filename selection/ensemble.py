"""Ensembles: the mean of several networks, and their disagreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.common import check_directory, check_path, explains_arguments, shown
from xpnet.common.arrays import NDArray
from xpnet.data import Scaler
from xpnet.stack import Stack
from xpnet.stack.checks import check_rows
from xpnet.training import inputs
from xpnet.training.checkpoint import load, packed, read_model, trainer_of, write_model
from xpnet.training.folder import ENSEMBLE, MODEL, damaged, read_description
from xpnet.training.sealed import check_keys, difference, parse
from xpnet.training.trainer import Trainer

TINY = 1e-30  # stands for p = 0 in p ln p


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The uncertainty of an ensemble about each sample, (samples,) or (samples, n).

    Attributes:
        total: classes: the entropy of the mean probabilities, in nats, H[p̄]; numbers:
            the standard deviation over the members, in units of y.
        disagreement: classes: the part of it from the differences between members,
            H[p̄] - mean H[pᵢ], the mutual information of label and member; numbers: the
            same as `total`.
        noise: classes: mean H[pᵢ], the mean uncertainty of one member; numbers: 0.

    Depeweg et al. (2018), arXiv:1710.07283.
    """

    total: NDArray
    disagreement: NDArray
    noise: NDArray


@explains_arguments
class Ensemble:
    """Networks whose predictions are averaged: p̄ = (1/k) Σᵢ pᵢ.

    Members trained from different seeds make different mistakes. Their mean is better
    than each of them, and their disagreement shows where the mean is uncertain.
    Lakshminarayanan, Pritzel, Blundell (2017), arXiv:1612.01474.

        stack = xn.Stack([make(seed=seed) for seed in range(8)])
        stack.fit(x, y, epochs=30)
        ensemble = xn.Ensemble(stack)
        ensemble.predict(xt), ensemble.uncertainty(xt).disagreement

    Args:
        members: a `Stack`, or trainers that can be stacked.
        scaler: applied to the inputs.
        y_scaler: its inverse is applied to the predictions.

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
        """The kind of the targets: "classes", "binary" or "values"."""
        return self.stack[0].loss_function.targets

    def scaled(self, x: Any) -> Any:
        """x as the networks get it."""
        if self.scaler is None:
            return x
        first = self.stack[0]
        x = inputs.check_x(x, first.model.sample_shape, first.backend)
        inputs.check_finite(x, "x", first.backend)
        return self.scaler.transform(x.reshape(len(x), -1)).reshape(x.shape)

    def member_predictions(self, x: Any, batch_size: int | None = None) -> NDArray:
        """The predictions of each member for x (samples, *sample): (k, samples, n)."""
        outputs: NDArray = self.stack.predict(self.scaled(x), batch_size=batch_size)
        if self.y_scaler is not None:
            outputs = np.stack([self.y_scaler.inverse(p) for p in outputs])
        return outputs

    def predict(self, x: Any, batch_size: int | None = None) -> NDArray:
        """The mean of the members' probabilities, or outputs: (samples, n)."""
        return np.asarray(self.member_predictions(x, batch_size).mean(axis=0))

    def predict_classes(self, x: Any, batch_size: int | None = None) -> NDArray:
        """Labels (samples,) of the most probable class; yes/no as 0 and 1.

        Raises:
            ValueError: the networks do not classify.
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
        """The uncertainty about each sample, and its two sources."""
        p = self.member_predictions(x, batch_size).astype(np.float64)
        if self.targets == "values":
            spread = p.std(axis=0)
            return Uncertainty(spread, spread, np.zeros_like(spread))
        total, noise = self._entropy(p.mean(axis=0)), self._entropy(p).mean(axis=0)
        return Uncertainty(total, np.maximum(total - noise, 0.0), noise)

    def _entropy(self, p: NDArray) -> NDArray:
        """-Σ p ln p over the classes, or over yes and no of each output."""
        if self.targets == "classes":
            return np.asarray(-(p * np.log(np.maximum(p, TINY))).sum(axis=-1))
        q = 1.0 - p
        return -(p * np.log(np.maximum(p, TINY)) + q * np.log(np.maximum(q, TINY)))

    @explains_arguments
    def evaluate(self, x: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """{metric: value} of the mean prediction, and "loss", -ln p̄ of the label or
        mean square error.

        The loss is that of the mean probabilities (or outputs), which is never above
        the mean of the members' losses.

        Raises:
            ValueError, TypeError: unfit data, as `Trainer.evaluate`.
        """
        x, y, w = self._checked(x, y, sample_weight)
        p = self.predict(x)
        scores = {"loss": float(np.average(self._losses(p, y), weights=w))}
        for name, metric in self.stack[0].metrics.items():
            scores[name] = float(metric(p, y, w))
        return scores

    def _checked(self, x: Any, y: Any, w: Any) -> tuple[Any, NDArray, NDArray | None]:
        """x, and y and the weights on the host, as `Samples` checks them."""
        first = self.stack[0]
        backend = first.backend
        x = inputs.check_x(x, first.model.sample_shape, backend)
        inputs.check_finite(x, "x", backend)
        if self.scaler is None:
            inputs.check_fits(x, "x", first.dtype)
        first.build(x.shape[1:])
        width = first.model.n_outputs
        y = inputs.check_y(y, len(x), first.loss_function, width, backend)
        inputs.check_finite(y, "y", backend)
        if self.y_scaler is None:
            inputs.check_fits(y, "y", first.dtype)
        w = inputs.check_weights(w, len(x), backend)
        y = backend.to_numpy(y)
        y = y.astype(np.int64) if inputs.is_labels(y, first.loss_function) else y
        return x, y, None if w is None else backend.to_numpy(w)

    def _losses(self, p: NDArray, y: NDArray) -> NDArray:
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

        That is the mean of the members' own losses, of scaled y if y is scaled.
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
        """Write all members and the scalers into `directory`, in one step.

        It replaces a model of `Trainer.save`, and the other way round: `directory` has
        what was saved last.

        Raises:
            ValueError, OSError: as `Trainer.save`.
        """
        folder = check_directory(directory, "save: directory")
        members: list[dict[str, Any]] = []
        parts: dict[str, bytes] = {}
        for trainer in self.stack.trainers:
            entries, own = packed(trainer)
            members.append(entries)
            parts |= own
        entries = {
            "members": members,
            "scaler": self.scaler and self.scaler.to_dict(),
            "y_scaler": self.y_scaler and self.y_scaler.to_dict(),
        }
        return write_model(folder, "ensemble", entries, parts)

    @staticmethod
    def load(directory: str | Path, device: str | Backend = "auto") -> "Ensemble":
        """The ensemble that `save` wrote.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged (the message has the file and the entry), or it is
                a single network.
        """
        folder = check_path(directory, "load: directory")
        found = _load(folder, device, prefer_old=True)
        if isinstance(found, Trainer):
            raise ValueError(
                f"{folder}: expected an ensemble, got one network; use "
                "xpnet.Trainer.load"
            )
        return found


def load_saved(
    directory: str | Path, device: str | Backend = "auto"
) -> Trainer | Ensemble:
    """What was saved last in `directory`: one network or an ensemble.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: it is damaged; the message has the file and the entry.
    """
    return _load(check_path(directory, "load: directory"), device, prefer_old=False)


def _load(folder: Path, device: str | Backend, prefer_old: bool) -> Trainer | Ensemble:
    """The network or ensemble in `folder`.

    Args:
        folder: of the model.
        device: of the networks.
        prefer_old: whether to take the ensemble if `folder` has an ensemble and a
            network in the older form.
    """
    backend = get_backend(device)
    old = (folder / ENSEMBLE).is_file()
    if old and not (folder / MODEL).is_file():
        return _load_old(folder, backend)
    saved = read_model(folder)
    if old and saved.entries["format"] == 1:
        if not prefer_old:
            raise ValueError(
                f"{folder} holds a network, {MODEL}, and an ensemble, {ENSEMBLE}; an "
                "older xpnet wrote one over the other; remove the wrong one, or "
                "use xpnet.Trainer.load or xpnet.Ensemble.load"
            )
        return _load_old(folder, backend)
    if saved.kind == "trainer":
        return trainer_of(Trainer, saved.networks[0], backend)
    scalers = _scalers(saved.path, saved.entries)
    return Ensemble([trainer_of(Trainer, n, backend) for n in saved.networks], *scalers)


def _load_old(folder: Path, backend: Backend) -> Ensemble:
    """An ensemble in the older form: a folder for each member."""
    path = folder / ENSEMBLE
    found = parse(path, read_description(folder, ENSEMBLE))
    check_keys(path, "", ("members", "scaler", "y_scaler"), found)
    count = found["members"]
    if type(count) is not int or count < 1:
        damaged(path, f"members: expected a number >= 1, got {count!r}")
    scalers = _scalers(path, found)
    return Ensemble(
        [load(Trainer, folder / str(i), backend) for i in range(count)], *scalers
    )


def _scalers(path: Path, entries: dict[str, Any]) -> list[Scaler | None]:
    """The scalers of the inputs and of the targets."""
    found = []
    for name in ("scaler", "y_scaler"):
        values = entries[name]
        if not isinstance(values, dict | None):
            damaged(path, f"{name}: expected a scaler or nothing, got {values!r}")
        try:
            scaler = None if values is None else Scaler.from_dict(values)
            wanted = None if scaler is None else scaler.to_dict()
        except (TypeError, ValueError) as error:
            damaged(path, f"{name}: {error}")
        problem = difference(wanted, values, name, exact=False)
        if problem:
            damaged(path, problem)
        found.append(scaler)
    return found


def _check_scaler(name: str, scaler: Any) -> Scaler | None:
    if scaler is None or isinstance(scaler, Scaler):
        return scaler
    raise TypeError(
        f"{name}: expected a fitted scaler or None, got {shown(scaler)}; such as "
        "xpnet.Standardizer.fit(x)"
    )
