"""The splits of a search, and its data scaled on the training part of each split."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.data import SCALERS, Scaler, Standardizer, split_indices
from xpnet.selection.folds import Indices
from xpnet.selection.options import Checked


@dataclass(frozen=True, eq=False)
class Split:
    """One training and what it is scored on.

    Attributes:
        train, test: rows of the data; `test` is used for scores only.
        repeat: number that is added to the seed.
        validation: rows held out of the training part for callbacks, or None.
    """

    train: Indices
    test: Indices
    repeat: int = 0
    validation: Indices | None = None


def with_validation(
    splits: Sequence[Split], labels: NDArray | None, options: Checked
) -> list[Split]:
    """The splits, with `options.validation` of each training part held out."""
    if not options.validation:
        return list(splits)
    shares = (1.0 - options.validation, options.validation)
    found = []
    for split in splits:
        own = None if labels is None else labels[split.train]
        train, held = split_indices(len(split.train), shares, own, options.seed)
        rows = split.train[np.sort(train)], split.test, split.repeat
        found.append(Split(*rows, split.train[held]))
    return found


@dataclass(eq=False)
class FoldData:
    """The samples of the networks of one stack.

    Attributes:
        x, y: all samples, one block per scaling, one block after the other.
        w: sample weights in the same order, or None.
        splits: {number: split}.
        blocks: {number of a split: first row of its block}.
        y_scalers: {number of a split: scaler of its y}.
        whole: y and w before scaling.
    """

    x: NDArray
    y: NDArray
    w: NDArray | None
    splits: dict[int, Split]
    blocks: dict[int, int]
    y_scalers: dict[int, Scaler]
    whole: tuple[NDArray, NDArray | None]
    _rows: dict[tuple[int, int], tuple[Indices, Indices]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(
        cls, x: NDArray, y: NDArray, splits: dict[int, Split], options: Checked
    ) -> "FoldData":
        """One copy of the data for these splits, or one for each if it is scaled."""
        w = options.sample_weight
        whole = y.reshape(len(y), -1), w
        if options.scale is None and not options.scale_y:
            return cls(x, y, w, splits, dict.fromkeys(splits, 0), {}, whole)
        n, blocks = len(x), dict[int, int]()
        y_scalers: dict[int, Scaler] = {}
        xs, ys = [], []
        for place, (number, split) in enumerate(splits.items()):
            blocks[number] = place * n
            xs.append(scaled_x(x, split.train, options.scale)[0])
            if options.scale_y:
                y_scalers[number] = Standardizer.fit(whole[0][split.train])
                ys.append(y_scalers[number].transform(whole[0]))
            else:
                ys.append(y)
        weights = None if w is None else np.tile(w, len(splits))
        blocked = np.concatenate(xs), np.concatenate(ys), weights
        return cls(*blocked, splits, blocks, y_scalers, whole)

    def rows(self, number: int, rows: Indices) -> Indices:
        """Rows of a split as rows of x; the same array for the same rows."""
        key = number, id(rows)
        if key not in self._rows:
            self._rows[key] = rows, rows + self.blocks[number]
        return self._rows[key][1]

    def unscaled(self, rows: Indices) -> tuple[NDArray, NDArray | None]:
        """(y, w) of rows of the data, before scaling."""
        y, w = self.whole
        return y[rows], None if w is None else w[rows]


def scaled_x(
    x: NDArray, train: Indices, scale: str | None
) -> tuple[NDArray, Scaler | None]:
    """x scaled by a scaler fitted on its training rows, and the scaler."""
    if scale is None:
        return x, None
    flat = x.reshape(len(x), -1)
    scaler = SCALERS[scale].fit(flat[train])
    return scaler.transform(flat).reshape(x.shape), scaler
