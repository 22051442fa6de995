"""The arrays of a training in safetensors, by part and name."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.execution.update import AVERAGES
from xpnet.layers import Sequential
from xpnet.optim import OPTIMIZERS, Optimizer, WeightAverage
from xpnet.training.folder import damaged, part_name, read_part
from xpnet.training.sealed import check_keys
from xpnet.training.state import TrainingState

Shapes = dict[str, dict[str, tuple[int, ...]]]


def packed_arrays(
    tensors: dict[str, dict[str, NDArray]],
) -> tuple[dict[str, str], dict[str, bytes]]:
    """({part: its file name}, {file name: contents}) of arrays, by part and name."""
    from safetensors.numpy import save as to_bytes

    files, parts = {}, {}
    for part, named in tensors.items():
        data = to_bytes(named)
        files[part] = part_name(part, data)
        parts[files[part]] = data
    return files, parts


def arrays(trainer: TrainingState) -> dict[str, dict[str, NDArray]]:
    """Host copies of everything that training changes, by part and name."""
    buffers, host = trainer._built("save"), trainer.backend.to_numpy
    trainer.check_owner()
    slots = trainer.model.slots().items()
    views = {key: buffers.views[s.layer, s.parameter.name] for key, s in slots}
    named = {"weights": views, "optimizer": trainer.rule.arrays()}
    # safetensors writes wrong values for arrays that are not contiguous.
    return {
        part: {name: np.array(host(a), order="C") for name, a in rows.items()}
        for part, rows in named.items()
    }


def shapes(
    model: Sequential, optimizer: Optimizer, average: WeightAverage | None
) -> Shapes:
    """Of every array that a file of such a trainer holds, by part and name."""
    flat: tuple[int, ...] = (model.layout.size,)
    sizes = [] if average is None else [flat, (model.layout.state_size,)]
    return {
        "weights": {key: slot.parameter.shape for key, slot in model.slots().items()},
        "optimizer": dict.fromkeys(optimizer.slots, flat)
        | dict(zip(AVERAGES, sizes, strict=False)),
    }


def read_arrays(
    folder: Path, files: dict[str, str], wanted: Shapes, dtype: np.dtype[Any]
) -> dict[str, dict[str, NDArray]]:
    """The arrays of these files.

    Raises:
        ValueError: a damaged file, arrays of other names, shapes or types.
    """
    found: dict[str, dict[str, NDArray]] = {}
    for part, named in wanted.items():
        bytes_ = sum(math.prod(shape) for shape in named.values()) * dtype.itemsize
        most = bytes_ + 4096 + 1024 * len(named)  # the header's
        found[part] = tensors_in(folder, files[part], most)
        _check_fit(folder / files[part], named, found[part], dtype)
    return found


def tensors_in(folder: Path, name: str, most: int) -> dict[str, NDArray]:
    """The arrays of one part file of at most `most` bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    data = read_part(folder, name, most)
    try:
        return dict(from_bytes(data))
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        damaged(folder / name, str(error))


def _check_fit(
    path: Path,
    wanted: dict[str, tuple[int, ...]],
    found: dict[str, NDArray],
    dtype: np.dtype[Any],
) -> None:
    check_keys(path, "", wanted, found)
    for name, shape in wanted.items():
        tensor = found[name]
        if (tensor.shape, tensor.dtype) != (shape, dtype):
            damaged(
                path,
                f"{name}: expected {dtype} of shape {shape}, got {tensor.dtype} of "
                f"shape {tensor.shape}",
            )


def check_values(
    optimizer: Optimizer, tensors: dict[str, dict[str, NDArray]], owner: str = ""
) -> None:
    """Raises ValueError for NaN, infinities, and negative variances and squares."""
    ours = type(optimizer) in OPTIMIZERS.values()
    never_negative = set(optimizer.squares if ours else ())
    for part, named in tensors.items():
        for name, values in named.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{owner}{name}: expected finite numbers")
            square = part == "optimizer" and name in never_negative
            square = square or name.endswith(".running_variance")
            if square and (values < 0.0).any():
                raise ValueError(f"{owner}{name}: expected numbers >= 0")
