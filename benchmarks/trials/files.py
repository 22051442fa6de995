"""Models, ensembles and checkpoints on disk: killed writers, two at once, flipped bits.

Every network of these trials holds one number in all its arrays, and it is in its notes
too: a mix of two saves is seen at once.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO

import numpy as np

from xpnet.benchmarks.trials.trial import Trial
from xpnet.benchmarks.trials.writes import running
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
    """One whose arrays and notes hold `number`."""
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
    """Whether what is loaded is of one number."""
    found = load_saved(folder, "cpu")
    members = [found] if isinstance(found, Trainer) else found.stack.trainers
    numbers = {trainer.notes["number"] for trainer in members}
    for trainer in members:
        for array in (*trainer.parameters().values(), *trainer.rule.slots):
            numbers |= set(np.unique(array).tolist())
    return len(numbers) == 1


def left(folder: Path) -> int:
    """Files in the folder that its description does not need."""
    text = "".join(path.read_text() for path in folder.glob("*.json"))
    needed = set(PART.findall(text))
    names = {path.name for path in folder.iterdir() if path.suffix != ".json"}
    return len(names - needed)


def kill_savers(kind: str) -> Callable[[int, Path, int], dict[str, int]]:
    """SIGKILL amid saves of this kind, at a random moment."""

    def run(tries: int, folder: Path, seed: int) -> dict[str, int]:
        random, place = Random(seed), folder / "model"
        of(0, "network").save(place)
        faults = {"lost": 0, "mixed": 0, "left behind": 0}
        for i in range(tries):
            code = (WRITER, str(place), kind, str(1000 * (i + 1)))
            with running(*code) as process:
                time.sleep(random.uniform(0.0, 0.1))
                process.send_signal(signal.SIGKILL)
            try:
                faults["mixed"] += not whole(place)
            except (OSError, ValueError):
                faults["lost"] += 1
            of(i, "network").save(place)
            faults["left behind"] += left(place)
        return faults

    return run


def two_writers(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Two processes save into one folder at the same time; a third one reads it."""
    random, place = Random(seed), folder / "model"
    of(0, "network").save(place)
    names = ("without a model", "left behind", "failed saves", "failed reads")
    faults = dict.fromkeys(names, 0)
    with (
        running(READER, str(place)) as reader,
        running(ON_CALL, str(place), "1000000") as first,
        running(ON_CALL, str(place), "2000000") as second,
    ):
        for _ in range(tries):
            for process in (first, second):
                kind = random.choice(["network", "ensemble"])
                print(kind, file=_pipe(process.stdin), flush=True)
            for process in (first, second):
                faults["failed saves"] += _pipe(process.stdout).readline() != "saved\n"
            try:
                faults["without a model"] += not whole(place)
            except (OSError, ValueError):
                faults["without a model"] += 1
            faults["left behind"] += left(place)
        (folder / "stop").touch()
        _, failed = _pipe(reader.stdout).readline().split()
        faults["failed reads"] = int(failed)
    return faults


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def flip(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Bits of model.json are flipped, one at a time: all of them, or every nth."""
    path = network(7).save(folder / "model") / "model.json"
    text = path.read_bytes()
    faults = {"silent": 0, "crashed": 0, "file not named": 0}
    for i in range(tries):
        bit = i * 8 * len(text) // tries if tries < 8 * len(text) else i
        if bit >= 8 * len(text):
            break
        flipped = bytearray(text)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            load_saved(path.parent, "cpu")
            faults["silent"] += 1
        except ValueError as error:
            faults["file not named"] += "model.json" not in str(error)
        except Exception:
            faults["crashed"] += 1
    return faults


def kill_trainings(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """SIGKILL amid a training with checkpoints, at a random moment; it goes on.

    A training that has ended must have ended in the bits of one that was never stopped,
    and the next one begins.
    """
    random, run = Random(seed), 0
    straight = _straight(folder)
    faults = {"lost": 0, "another end": 0, "left behind": 0}
    place, before = folder / "run 0", 0
    for _ in range(tries):
        with running(TRAINER, str(place), "0.002") as process:
            time.sleep(random.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
            end = _pipe(process.stdout).read().split()
        try:
            found = read_run(place)
            steps = 0 if found is None else found.rows[0]["steps_done"]
            faults["lost"] += steps < before
            before = steps
        except (OSError, ValueError):
            faults["lost"] += 1
        if "finished" in end:
            faults["another end"] += end[-1] != straight
            faults["left behind"] += left(place)
            run, before = run + 1, 0
            place = folder / f"run {run}"
    return faults


def stop_and_go_on(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """A training is killed twice and then let end: in the same bits?"""
    random, straight = Random(seed), _straight(folder)
    faults = {"another end": 0, "left behind": 0}
    for i in range(tries):
        place = folder / f"run {i}"
        for kill in (True, True, False):
            with running(TRAINER, str(place), "0.004") as process:
                if kill:
                    time.sleep(random.uniform(0.0, 0.1))
                    process.send_signal(signal.SIGKILL)
                end = _pipe(process.stdout).read().split()
        faults["another end"] += end != ["finished", straight]
        faults["left behind"] += left(place)
    return faults


def _straight(folder: Path) -> str:
    """How the training ends that is never stopped."""
    with running(TRAINER, str(folder / "none"), "0") as process:
        return _pipe(process.stdout).read().split()[-1]


FILES = [
    Trial("save", "a process is killed while it saves", kill_savers("network"), 200, 1),
    Trial(
        "ensemble",
        "a process is killed while it saves networks over ensembles and back",
        kill_savers("both"),
        200,
        1,
    ),
    Trial(
        "checkpoint",
        "a training is killed while it keeps checkpoints, and goes on",
        kill_trainings,
        200,
        1,
    ),
    Trial(
        "resume",
        "a training that was killed ends as one that was not",
        stop_and_go_on,
        30,
        1,
    ),
    Trial("writers", "two processes save into one folder", two_writers, 300, 2),
    Trial("flips", "a bit of model.json is flipped", flip, 1 << 20, 100),
]
