"""Files, models and checkpoints on disk: killed writers, two at once, flipped bits.

Every network of these trials holds one number in all its arrays and in its notes, so
that a mix of two saves is detected.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

from xpnet.benchmarks.trials.trial import (
    flipped,
    killed,
    running,
    trial,
)
from xpnet.common.files import PART as WRITTEN
from xpnet.common.files import locked, remove_parts
from xpnet.layers import Dense, Sequential
from xpnet.selection.ensemble import Ensemble, load_saved
from xpnet.training.folder import PART
from xpnet.training.runs import read_run
from xpnet.training.trainer import Trainer

WRITER = """
import sys
from pathlib import Path
from xpnet.benchmarks.trials.files import of
folder, kind, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
while True:
    number += 1
    now = ["network", "ensemble"][number % 2] if kind == "both" else kind
    of(number, now).save(folder)
"""
ON_CALL = """
import sys
from pathlib import Path
from xpnet.benchmarks.trials.files import of
folder, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    number += 1
    try:
        of(number, line.strip()).save(folder)
        print("saved", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        print("failed", flush=True)
"""
READER = """
import sys
from pathlib import Path
from xpnet.benchmarks.trials.files import whole
folder, count, faults = Path(sys.argv[1]), 0, 0
print("ready", flush=True)
while not (folder.parent / "stop").exists():
    count += 1
    try:
        faults += not whole(folder)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        faults += 1
print(count, faults, flush=True)
"""
TRAINER = """
import hashlib, sys, time
from pathlib import Path
import numpy as np
import xpnet as xn
folder, pause = Path(sys.argv[1]), float(sys.argv[2])

class Slow(xn.Callback):
    def on_epoch_end(self, trainer, row):
        time.sleep(pause)

draw = np.random.default_rng(0)
x, y = draw.normal(size=(60, 5)), draw.integers(0, 3, 60)
layers = [xn.Dense(8, "relu"), xn.BatchNorm(), xn.Dropout(0.3), xn.Dense(3)]
rule = xn.Adam(xn.Cosine(0.01, 150))
average = xn.WeightAverage(0.9)
loss = "softmax_cross_entropy"
trainer = xn.Trainer(xn.Sequential(layers), loss, rule, "cpu", average=average)
callbacks = [Slow(), xn.ReduceOnPlateau(patience=2), xn.EarlyStopping(patience=6)]
keep = {}
if pause:
    callbacks.append(xn.Checkpoint(folder, every=1, unit="steps", keep=2))
    keep = {"resume": folder}
print("ready", flush=True)
history = trainer.fit(
    x, y, 30, 8, validation=(x[:20], y[:20]), callbacks=callbacks, **keep
)
arrays = [*trainer.snapshot(), *trainer.rule.slots, trainer.model.step]
digest = hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays))
clock = ("seconds", "samples_per_second")
rows = [{k: v for k, v in row.items() if k not in clock} for row in history]
digest.update(repr((rows, history.stopped, trainer.learning_rate)).encode())
print("finished", digest.hexdigest(), flush=True)
"""


def network(number: int) -> Trainer:
    """A network whose arrays and notes hold `number`."""
    trainer = Trainer(Sequential([Dense(64), Dense(8)]), "mean_squared_error", "adam")
    trainer.build(32)
    for array in (*trainer.parameters().values(), *trainer.rule.slots):
        array[...] = number
    trainer.notes = {"number": number}
    return trainer


def of(number: int, kind: str) -> Trainer | Ensemble:
    """A network of this number, or an ensemble of two."""
    if kind == "network":
        return network(number)
    return Ensemble([network(number), network(number)])


def whole(folder: Path) -> bool:
    """Whether everything that is loaded holds one number."""
    found = load_saved(folder, "cpu")
    members = [found] if isinstance(found, Trainer) else found.stack.trainers
    numbers = {trainer.notes["number"] for trainer in members}
    for trainer in members:
        for array in (*trainer.parameters().values(), *trainer.rule.slots):
            numbers |= set(np.unique(array).tolist())
    return len(numbers) == 1


def left_behind(folder: Path) -> Iterator[str]:
    """A fault per file in the folder that model.json does not name."""
    text = "".join(path.read_text() for path in folder.glob("*.json"))
    needed = set(PART.findall(text))
    names = {path.name for path in folder.iterdir() if path.suffix != ".json"}
    yield from ("left behind" for _ in names - needed)


def _kill_savers(kind: str, tries: int, folder: Path, seed: int) -> Iterator[str]:
    random, place = Random(seed), folder / "model"
    of(0, "network").save(place)
    for i in range(tries):
        killed(random, 0.1, WRITER, str(place), kind, str(1000 * (i + 1)))
        try:
            if not whole(place):
                yield "mixed"
        except (OSError, ValueError):
            yield "lost"
        of(i, "network").save(place)
        yield from left_behind(place)


@trial("save", 200, 1, "lost", "mixed", "left behind")
def kill_savers(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A process is killed while it saves a network."""
    return _kill_savers("network", tries, folder, seed)


@trial("ensemble", 200, 1, "lost", "mixed", "left behind")
def kill_both(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A process is killed while it saves networks over ensembles and back."""
    return _kill_savers("both", tries, folder, seed)


@trial("checkpoint", 200, 1, "lost", "another end", "left behind")
def kill_trainings(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A training is killed while it keeps checkpoints, and goes on.

    A training that reaches its end must have the bits of one that was never stopped;
    then the next one begins.
    """
    random, run = Random(seed), 0
    straight = _straight(folder)
    place, before = folder / "run 0", 0
    for _ in range(tries):
        end = killed(random, 0.2, TRAINER, str(place), "0.002").split()
        try:
            found = read_run(place)
            steps = 0 if found is None else found.rows[0]["steps_done"]
            if steps < before:
                yield "lost"
            before = steps
        except (OSError, ValueError):
            yield "lost"
        if "finished" in end:
            if end[-1] != straight:
                yield "another end"
            yield from left_behind(place)
            run, before = run + 1, 0
            place = folder / f"run {run}"


@trial("resume", 30, 1, "another end", "left behind")
def stop_and_go_on(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A training that was killed twice ends with the bits of one that was not."""
    random, straight = Random(seed), _straight(folder)
    for i in range(tries):
        place = folder / f"run {i}"
        for _ in range(2):
            killed(random, 0.1, TRAINER, str(place), "0.004")
        with running(TRAINER, str(place), "0.004") as process:
            end = process.stdout.read().split()
        if end != ["finished", straight]:
            yield "another end"
        yield from left_behind(place)


def _straight(folder: Path) -> str:
    """The hash of a training that is never stopped."""
    with running(TRAINER, str(folder / "none"), "0") as process:
        return str(process.stdout.read().split()[-1])


@trial(
    "writers", 300, 2, "without a model", "left behind", "failed saves", "failed reads"
)
def two_writers(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Two processes save into one folder at the same time; a third one reads it."""
    random, place = Random(seed), folder / "model"
    of(0, "network").save(place)
    with (
        running(READER, str(place)) as reader,
        running(ON_CALL, str(place), "1000000") as first,
        running(ON_CALL, str(place), "2000000") as second,
    ):
        for _ in range(tries):
            for process in (first, second):
                kind = random.choice(["network", "ensemble"])
                print(kind, file=process.stdin, flush=True)
            for process in (first, second):
                if process.stdout.readline() != "saved\n":
                    yield "failed saves"
            try:
                if not whole(place):
                    yield "without a model"
            except (OSError, ValueError):
                yield "without a model"
            yield from left_behind(place)
        (folder / "stop").touch()
        _, failed = reader.stdout.readline().split()
        yield from ["failed reads"] * int(failed)


@trial("flips", 1 << 20, 100, "silent", "crashed", "file not named")
def flip(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A bit of model.json is flipped: each bit in turn, or every nth."""
    path = network(7).save(folder / "model") / "model.json"
    text = path.read_bytes()
    for i in range(tries):
        bit = i * 8 * len(text) // tries if tries < 8 * len(text) else i
        if bit >= 8 * len(text):
            break
        path.write_bytes(flipped(text, bit))
        try:
            load_saved(path.parent, "cpu")
            yield "silent"
        except ValueError as error:
            if "model.json" not in str(error):
                yield "file not named"
        except Exception:
            yield "crashed"


RENAMER = """
import sys
from pathlib import Path
from xpnet.common.files import write_whole
path, i = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    i += 1
    write_whole(path, bytes([i % 251]) * 300_000, durable=False)
"""


@trial("writes", 200, 2, "torn", "left behind")
def kill_writers(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A process is killed while it writes a file, at a random moment."""
    random, path = Random(seed), folder / "file"
    for _ in range(tries):
        killed(random, 0.05, RENAMER, str(path))
        if path.exists():
            content = path.read_bytes()
            if len(content) != 300_000 or len(set(content)) != 1:
                yield "torn"
        with locked(folder):
            remove_parts(folder)
        yield from ("left behind" for f in folder.iterdir() if WRITTEN.match(f.name))
