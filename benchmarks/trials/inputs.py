"""Damaged data files, targets whose kind is easily mistaken, arguments of metrics."""

import gzip
import io
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.trials.trial import trial
from xpnet.benchmarks.trials.values import SAMPLES, Value, fine_forms, wrong_forms
from xpnet.data import load_data
from xpnet.data.target import encode_target
from xpnet.selection.calibration import reliability
from xpnet.training.metrics import METRICS, confusion_matrix

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


def _rows(random: np.random.Generator, n: int) -> Array:
    """Probabilities that are exact in float32."""
    p = random.integers(1, 9, (SAMPLES, n)).astype(np.float64)
    p[:, 0] += 64.0 - p.sum(axis=1)
    return p / 64.0


def _draw(random: np.random.Generator) -> tuple[Callable[..., Any], Any, list[Array]]:
    """(function, its right result, its arguments), of a random kind."""
    n = int(random.integers(2, 7))
    p, t = _rows(random, n), _rows(random, n)
    labels, said = random.integers(0, n, (2, SAMPLES))
    labels[0] = said[0] = n - 1
    kind = random.choice(["accuracy", "mean_absolute_error", "r2", "matrix", "gap"])
    if kind == "matrix":
        counts = np.zeros((n, n), int)
        np.add.at(counts, (labels, said), 1)
        return lambda a, b: confusion_matrix(a, b, n), counts, [said, labels]
    if kind == "gap":
        right = (p.argmax(axis=1) == labels).mean()
        gap = abs(right - p.max(axis=1).mean())
        return lambda a, b: reliability(a, b, 1).error, gap, [p, labels]
    if kind == "accuracy":
        wanted = (p.argmax(axis=1) == labels).mean()
        return METRICS[kind], wanted, [p, labels]
    if kind == "mean_absolute_error":
        return METRICS[kind], abs(p - t).mean(), [p, t]
    p, t = p[:, 0], t[:, 0]
    wanted = 1.0 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    return METRICS[kind], wanted, [p, t]


def _other(function: Callable[..., Any], arguments: list[Any], wanted: Any) -> bool:
    """Whether the result is another one, or an error."""
    try:
        return not np.allclose(function(*arguments), wanted, rtol=1e-6, atol=0.0)
    except Exception:
        return True


def _accepted(function: Callable[..., Any], arguments: list[Any]) -> Iterator[str]:
    """The fault of a call that must raise one of our own errors."""
    try:
        function(*arguments)
    except (ValueError, TypeError) as error:
        if not re.search("expected|the array is on cuda", str(error)):
            yield "an unclear error"
    except Exception:
        yield "an unclear error"
    else:
        yield "accepted"


def _forms(plain: Array) -> list[Value]:
    return [*fine_forms(plain, whole=False), lambda r: plain.reshape(len(plain), -1)]


def _wrong(plain: Array) -> list[Value]:
    if plain.dtype.kind == "f":
        return wrong_forms(plain)
    above, below = plain + plain.max() + 1, plain - plain.max() - 1
    return [*wrong_forms(plain), lambda r: r.choice([above, below, plain + 0.5])]


@trial("scores", 5000, 150, "another number", "accepted", "an unclear error")
def score_anything(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Metrics get a right form and a wrong form of a random argument."""
    draw, random = np.random.default_rng(seed), Random(seed)
    for _ in range(tries):
        function, wanted, given = _draw(draw)
        forms = [random.choice(_forms(each))(random) for each in given]
        if _other(function, forms, wanted):
            yield "another number"
        place = random.randrange(len(given))
        bad: list[Any] = list(given)
        bad[place] = random.choice(_wrong(given[place]))(random)
        yield from _accepted(function, bad)
