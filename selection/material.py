"""The data of a search: its parts, and copies scaled on a part's training samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.data import SCALERS, Scaler, Standardizer, split_indices
from xpnet.selection.folds import Indices
from xpnet.selection.options import Checked

Values = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Part:
    """One training and what it is scored on.

    Attributes:
        train, test: rows of the data; nothing of `test` is used before the scores.
        repeat: added to the seed.
        held: rows of the training part that callbacks may watch.
    """

    train: Indices
    test: Indices
    repeat: int = 0
    held: Indices | None = None


def with_validation(
    parts: Sequence[Part], labels: Values | None, options: Checked
) -> list[Part]:
    """The parts, with a share of each training part held out for the callbacks."""
    if not options.validation:
        return list(parts)
    shares = (1.0 - options.validation, options.validation)
    found = []
    for part in parts:
        own = None if labels is None else labels[part.train]
        train, held = split_indices(len(part.train), shares, own, options.seed)
        found.append(
            Part(part.train[np.sort(train)], part.test, part.repeat, part.train[held])
        )
    return found


@dataclass(eq=False)
class Material:
    """What the networks of one stack draw their samples from.

    Attributes:
        x, y: one block of all samples for each scaling, one after the other.
        w: sample weights alike, or None.
        blocks: where the block of a part begins: {number of the part: first row}.
        y_scalers: what undoes the scaling of y: {number of the part: scaler}.
    """

    x: Values
    y: Values
    w: Values | None
    blocks: dict[int, int]
    y_scalers: dict[int, Scaler]
    _rows: dict[tuple[int, int], tuple[Indices, Indices]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(
        cls, x: Values, y: Values, parts: dict[int, Part], options: Checked
    ) -> "Material":
        """For these parts: one copy of the data, or one a part where it is scaled."""
        w = options.sample_weight
        if options.scale is None and not options.scale_y:
            return cls(x, y, w, dict.fromkeys(parts, 0), {})
        n, blocks = len(x), dict[int, int]()
        y_scalers: dict[int, Scaler] = {}
        xs, ys = [], []
        for place, (number, part) in enumerate(parts.items()):
            blocks[number] = place * n
            xs.append(scaled_x(x, part.train, options.scale)[0])
            if options.scale_y:
                y_scalers[number] = Standardizer.fit(_columns(y)[part.train])
                ys.append(y_scalers[number].transform(_columns(y)))
            else:
                ys.append(y)
        weights = None if w is None else np.tile(w, len(parts))
        return cls(np.concatenate(xs), np.concatenate(ys), weights, blocks, y_scalers)

    def rows(self, number: int, rows: Indices) -> Indices:
        """Rows of a part in the material; the same array for the same rows."""
        key = number, id(rows)
        if key not in self._rows:
            self._rows[key] = rows, rows + self.blocks[number]
        return self._rows[key][1]


def scaled_x(
    x: Values, train: Indices, scale: str | None
) -> tuple[Values, Scaler | None]:
    """x scaled by what its training rows say, and the scaler."""
    if scale is None:
        return x, None
    flat = x.reshape(len(x), -1)
    scaler = SCALERS[scale].fit(flat[train])
    return scaler.transform(flat).reshape(x.shape), scaler


def _columns(y: Values) -> Values:
    return y.reshape(len(y), -1)
