"""Damaged data files, and targets whose kind is easily mistaken."""

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from xpnet.benchmarks.trials.trial import trial
from xpnet.data import load_data
from xpnet.data.target import encode_target

Generator = np.random.Generator


def _table(draw: Generator) -> bytes:
    rows = draw.normal(size=(20, 3)).round(3).tolist()
    lines = [",".join(map(str, [*row, "ab"[i % 2]])) for i, row in enumerate(rows)]
    return "\n".join(["p,q,r,kind", *lines, ""]).encode()


def _archive(save: Callable[..., None]) -> Callable[[Generator], bytes]:
    def make(draw: Generator) -> bytes:
        file = io.BytesIO()
        save(file, x=draw.normal(size=(20, 3)), y=np.arange(20) % 2)
        return file.getvalue()

    return make


def _images(draw: Generator) -> bytes:
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 20, 4, 4)
    return header + draw.integers(0, 256, (20, 4, 4)).astype(np.uint8).tobytes()


def _gzipped(draw: Generator) -> bytes:
    return gzip.compress(_images(draw), mtime=0)


FORMATS: dict[str, Callable[[Generator], bytes]] = {
    "t.csv": _table,
    "stored.npz": _archive(np.savez),
    "packed.npz": _archive(np.savez_compressed),
    "images-idx3-ubyte": _images,
    "images-idx3-ubyte.gz": _gzipped,
}


def _damaged(data: bytes, draw: Generator) -> bytes:
    """`data` with a few bytes changed, deleted, inserted or cut off."""
    found = bytearray(data)
    for _ in range(int(draw.integers(1, 5))):
        at, end = sorted(draw.integers(0, len(found) + 1, 2).tolist())
        end = min(end, at + 8)
        noise = draw.integers(0, 256, 8, np.uint8).tobytes()
        match draw.integers(0, 5):
            case 0:
                found[at : at + 1] = noise[:1]
            case 1:
                del found[at:end]
            case 2:
                found[at:at] = noise
            case 3:
                found[at:end] = bytes(end - at)
            case _:
                del found[at:]
    return bytes(found)


@trial("files", 5000, 150, "another message")
def damage_files(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A damaged data file loads, or is refused in one line that names it."""
    draw = np.random.default_rng(seed)
    names = list(FORMATS)
    for i in range(tries):
        name = names[i % len(names)]
        path = folder / name
        path.write_bytes(_damaged(FORMATS[name](draw), draw))
        try:
            load_data(path, has_target="images" not in name)
        except ValueError as error:
            text = str(error)
            if not (text.isprintable() and name in text):
                yield "another message"
        except Exception as error:
            yield f"{type(error).__name__} of {name}"


@trial("targets", 5000, 140, "counts as classification")
def guess_targets(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Counts, measurements, codes and rows are told apart, or the task is asked for."""
    draw = np.random.default_rng(seed)
    for i in range(tries):
        n, k = int(draw.integers(100, 1000)), int(draw.integers(3, 9))
        kinds: dict[str, tuple[np.ndarray, str]] = {
            "counts": (draw.poisson(draw.uniform(2.0, 50.0), n), "regression"),
            "many counts": (draw.integers(1, 21, n), "regression"),
            "ages": (draw.integers(18, 90, n), "regression"),
            "lengths": (draw.normal(size=n).round(2), "regression"),
            "codes": (draw.permutation(np.arange(n) % k), "classification"),
            "one-hot": (np.eye(k)[np.arange(n) % k], "classification"),
            "labels": (draw.integers(0, 2, (n, k)), "multilabel"),
        }
        name = list(kinds)[i % len(kinds)]
        values, task = kinds[name]
        taken: str
        try:
            taken = encode_target(values, "auto", name).task
        except ValueError as error:
            asks = "name the task" in str(error) and "counts" in name
            taken = task if asks else "error"
        if taken != task:
            yield f"{name} as {taken}"
