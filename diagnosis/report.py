"""What the doctor has seen and what it makes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.common.plain import plain
from xpnet.diagnosis.layer_statistics import SHARES, SIZES, LayerStatistics, Row
from xpnet.diagnosis.score import Score
from xpnet.diagnosis.thresholds import THRESHOLDS
from xpnet.layers import BatchNorm, LayerNorm
from xpnet.training.state import TrainingState

HEADINGS = {
    "z": "z",
    "a": "a",
    "delta": "δ",
    "gradient": "gradient",
    "update": "update/W",
    "dead": "dead",
    "saturated": "saturated",
}


@dataclass(frozen=True)
class Finding:
    """One illness.

    Attributes:
        illness: its name.
        sign: what shows it, a row of `THRESHOLDS` (limits.py), with reason and source.
        layer: the number of the layer it is in; None for the training as a whole.
        text: what was seen, with the layer and the number.
        remedy: what to try.
        value, limit: the number, and the one from which it counts as ill.
    """

    illness: str
    sign: str
    layer: int | None
    text: str
    remedy: str
    value: float
    limit: float

    @classmethod
    def of(
        cls, sign: str, layer: int | None, text: str, remedy: str, value: float
    ) -> "Finding":
        """The illness that `sign` shows."""
        limit = THRESHOLDS[sign]
        return cls(limit.illness, sign, layer, text, remedy, float(value), limit.value)

    def __str__(self) -> str:
        return f"{self.text}; try {self.remedy}"


@dataclass(frozen=True)
class Inputs:
    """The scale of what comes in.

    Attributes:
        largest: √ mean x² of the largest feature.
        spread: deviation of the widest feature over that of the narrowest.
        offset: share of the features whose mean is over 10 of their deviations.
        targets: √ mean y², where y holds values; 0 elsewhere.
    """

    largest: float = 0.0
    spread: float = 1.0
    offset: float = 0.0
    targets: float = 0.0

    @classmethod
    def of(cls, trainer: TrainingState, probe: LayerStatistics) -> "Inputs":
        """Of the samples that `probe` looks at; a network may scale them itself."""
        values = trainer.loss_function.targets == "values"
        targets = float(np.sqrt(np.mean(np.square(probe.y)))) if values else 0.0
        first = next((part for part in trainer.model.layers if part.declared), None)
        if isinstance(first, BatchNorm | LayerNorm):
            return cls(targets=targets)
        x = probe.x.reshape(len(probe.x), -1).astype(np.float64)
        deviation, mean = x.std(axis=0), abs(x.mean(axis=0))
        moving = deviation[deviation > 0.0]
        return cls(
            float(np.sqrt((x * x).mean(axis=0)).max(initial=0.0)),
            float(moving.max() / moving.min()) if moving.size else 1.0,
            float((mean > 10.0 * deviation)[deviation > 0.0].mean())
            if moving.size
            else 0.0,
            targets,
        )


@dataclass
class Diagnosis:
    """What `fit(..., diagnose=True)` leaves as `history.diagnosis`.

    Attributes:
        names: "layer 0 (Dense, relu)", one a layer.
        samples: how many samples each look was at.
        inputs: the scale of what comes in.
        steps: updates done before each look.
        losses: of those samples, at each look.
        layers: {"z", "a", "delta", "gradient", "update", "dead", "saturated"}, each
            (looks, layers), NaN where a layer has none of it. z, a, δ = ∂l/∂z of each
            sample's own loss and the gradient of the weights are roots of mean squares;
            update is ‖ΔW‖ / ‖W‖ of one step; dead is the share of rectified units that
            are 0 for every sample looked at, saturated that of sigmoid or tanh units
            flatter than 5% of their steepest slope for 80% of the samples.
        rows: of the history.
        diverged: the words of the DivergenceError that ended training; empty if none.
        targets: what y holds: "labels", or "classes", "binary", "values" (see `Loss`).
        score, held: how the network does in the end beside the best constant answer,
            on the samples of training and of validation; None where nothing is known.
        findings: the illnesses, gravest first; empty for a healthy training.
    """

    names: list[str]
    samples: int
    inputs: Inputs = field(default_factory=Inputs)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    looks: list[Row] = field(default_factory=list, repr=False)
    rows: list[dict[str, float]] = field(default_factory=list, repr=False)
    diverged: str = ""
    targets: str = "labels"
    score: Score | None = None
    held: Score | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, step: int, loss: float, look: Row) -> None:
        """One more look, at what was there before step number `step` (from 0)."""
        self.steps.append(step)
        self.losses.append(loss)
        self.looks.append(look)

    @property
    def layers(self) -> dict[str, NDArray]:
        """Each measurement as (looks, layers)."""
        shape = (-1, len(self.names))
        return {
            name: np.array([look[name] for look in self.looks], float).reshape(shape)
            for name in (*SIZES, *SHARES)
        }

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [f"diagnosis after {len(self.steps)} looks at {self.samples} samples"]
        lines += self._table()
        if self.healthy:
            return "\n".join([*lines, "nothing found: the training looks healthy"])
        for finding in self.findings:
            lines += [f"- {finding.text}", f"  try {finding.remedy}"]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """A row a layer, of medians over the looks."""
        width = max(map(len, self.names))
        head = [f"{HEADINGS[name]:>9}" for name in (*SIZES, *SHARES)]
        lines = ["  ".join([f"{'median':<{width}}", *head])]
        for i, label in enumerate(self.names):
            cells = [
                _cell(name, median(values[:, i]))
                for name, values in self.layers.items()
            ]
            lines.append("  ".join([f"{label:<{width}}", *cells]))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists and numbers; what is not there is None."""
        found = {
            "healthy": self.healthy,
            "findings": [vars(finding) for finding in self.findings],
            "diverged": self.diverged,
            "layers": self.names,
            "samples": self.samples,
            "inputs": vars(self.inputs),
            "steps": self.steps,
            "losses": self.losses,
            "score": _shown(self.score),
            "validation": _shown(self.held),
            "looks": self.looks,
        }
        return {name: plain(value) for name, value in found.items()}

    def plot(self, path: str | Path | None = None) -> Any:
        """δ, updates and idle units of each layer over the steps; saved to `path`.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is missing, with the install line.
        """
        from xpnet.diagnosis.plots import plot_diagnosis

        return plot_diagnosis(self.names, self.steps, self.layers, path)


def median(values: NDArray) -> float:
    """The median of what is finite; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _shown(score: Score | None) -> dict[str, float] | None:
    if score is None:
        return None
    return {name: getattr(score, name) for name in ("own", "constant", "error")}


def _cell(name: str, value: float) -> str:
    if np.isnan(value):
        return f"{'':>9}"
    return f"{value:>9.0%}" if name in SHARES else f"{value:>9.2g}"
