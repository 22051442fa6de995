"""The file of a search: what decides a score, damage, kills, a second search."""

import errno
import os
import subprocess
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import CLASSES, QUICK, data, make
from xpnet.selection.identity import identity, network

ROOT = Path(__file__).resolve().parents[2]
SLOPE = 0.1
SPACE = {"learning_rate": [0.1, 0.01]}


def search(file, make=make, xy=None, **options):
    x, y = data() if xy is None else xy
    options = {"folds": 3, "monitor": "loss", **QUICK, "file": file, **options}
    return [t.scores for t in xn.grid_search(make, x, y, SPACE, **options).trials]


def maker(activation="tanh", loss="softmax_cross_entropy", metrics=None, **options):
    """A function like `make` whose networks differ in one thing."""

    def make(learning_rate, seed=0):
        layers = [*options.get("layers", list)(), xn.Dense(6, activation)]
        rule = options.get("rule", xn.SGD)(learning_rate)
        trainer = xn.Trainer(
            xn.Sequential([*layers, xn.Dense(CLASSES)]), loss, rule, "cpu",
            options.get("dtype", "float64"), seed + options.get("more", 0), metrics,
            average=options.get("average"),
        )  # fmt: skip
        if "start" in options:
            trainer.fit(*data(seed=options["start"]), 1, verbose=False)
        return trainer

    return make


def leaky(slope):
    return lambda z: np.maximum(z, slope * z)


def constant(z):
    return np.maximum(z, SLOPE * z)


def scored(p, target, weights=None):
    return float((p.argmax(1) == target).mean() * SLOPE)


def scaled(p, target, weights=None, by=1.0):
    return float(by * p.mean())


def named(metric):
    metric.__name__ = "own"
    return metric


class Scale(xn.Layer):
    factor = 2.0

    def forward(self, x, training):
        return x * self.factor

    def backward(self, delta):
        return delta * self.factor


class Patient(xn.Callback):
    """Counts in its class, and ends a training after some epochs."""

    seen = 0

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, trainer, row):
        Patient.seen += 1
        if trainer.epochs_done == self.epochs:
            trainer.stop = "enough"


def scales(factor):
    kind = type("Scale", (Scale,), {"factor": factor})
    return lambda: [kind()]


# name: what makes the networks before, and after; the file must not mix them up.
CHANGES = {
    "dtype": ({}, {"dtype": "float32"}),
    "seed": ({}, {"more": 7}),
    "activation": ({"activation": "tanh"}, {"activation": "relu"}),
    "a closure": ({"activation": leaky(0.1)}, {"activation": leaky(0.3)}),
    "a default": ({"activation": lambda z, s=0.1: s * z},
                  {"activation": lambda z, s=0.3: s * z}),
    "a body": ({"activation": lambda z: np.maximum(z, 0.0)},
               {"activation": lambda z: np.minimum(z, 0.0)}),
    "a constant": ({"activation": lambda z: z * 0.5}, {"activation": lambda z: z * 2}),
    "a partial": ({"metrics": [named(partial(scaled, by=2.0))]},
                  {"metrics": [named(partial(scaled, by=3.0))]}),
    "layers": ({}, {"layers": lambda: [xn.Dense(5)]}),
    "a number of a layer": ({"layers": lambda: [xn.Dropout(0.1)]},
                            {"layers": lambda: [xn.Dropout(0.5)]}),
    "a class attribute": ({"layers": scales(2.0)}, {"layers": scales(3.0)}),
    "a rule": ({"rule": xn.SGD}, {"rule": xn.Adam}),
    "a number of a rule": ({"rule": partial(xn.SGD, momentum=0.1)},
                           {"rule": partial(xn.SGD, momentum=0.9)}),
    "a schedule": ({"rule": lambda r: xn.SGD(xn.Cosine(r, 9))},
                   {"rule": lambda r: xn.SGD(xn.Cosine(r, 90))}),
    "a loss": ({}, {"loss": xn.SoftmaxCrossEntropy(label_smoothing=0.3)}),
    "averages": ({}, {"average": xn.WeightAverage(decay=0.5)}),
    "weights": ({"start": 1}, {"start": 2}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_networks_that_have_changed_are_trained_again(change, tmp_path):
    before, after = CHANGES[change]
    file = tmp_path / "search.jsonl"
    few = {"folds": 2, "epochs": 1}
    old = search(file, maker(**before), **few)
    content = file.read_bytes()
    assert search(file, maker(**before), **few) == old
    assert file.read_bytes() == content, "the same networks are not trained again"
    with pytest.warns(UserWarning, match="4 of its results are of other networks"):
        new = search(file, maker(**after), **few)
    assert new == search(None, maker(**after), **few) != old
    assert search(file, maker(**before), **few) == old


def test_networks_that_have_not_changed_are_taken_from_the_file(tmp_path):
    """Whatever counts as it runs, and however often the same thing is made anew."""
    file = tmp_path / "search.jsonl"
    old = search(file, callbacks=Patient(2))
    content = file.read_bytes()
    Patient.seen = 0
    space = {"learning_rate": [0.01, 0.1, 0.1]}
    again = xn.grid_search(
        make, *data(), space, folds=3, file=file, callbacks=[Patient(2)], **QUICK
    )
    assert Patient.seen == 0, "nothing is trained again"
    assert [t.scores for t in again.trials] == [old[1], old[0], old[0]]
    assert file.read_bytes() == content
    with pytest.raises(ValueError, match="another search"):
        search(file, callbacks=Patient(1))


@pytest.mark.slow
def test_another_process_has_the_same_identities():
    code = (
        "from tests.selection.test_store import CHANGES, maker\n"
        "from xpnet.selection.identity import network\n"
        "for change in CHANGES:\n"
        "    for options in CHANGES[change]:\n"
        "        print(network(maker(**options)(0.1)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONHASHSEED": "1"},
    ).stdout.split()  # fmt: skip
    rows = (options for change in CHANGES.values() for options in change)
    assert done == [network(maker(**options)(0.1)) for options in rows]
    assert len(set(done)) == 2 * len(CHANGES) - 6, "seven rows begin alike"


def test_the_names_that_a_function_uses_are_a_part_of_it(monkeypatch):
    before = [identity(function) for function in (constant, scored, scaled)]
    monkeypatch.setattr(f"{__name__}.SLOPE", 0.2)
    after = [identity(function) for function in (constant, scored, scaled)]
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, False]


def test_what_cannot_be_told_apart_is_refused_before_any_work(tmp_path):
    lock, numbers = threading.Lock(), (1.0 for _ in iter(int, 1))
    guarded = maker(activation=lambda z: z * lock.locked())
    assert search(tmp_path / "a", guarded) == search(None, guarded)
    drawn = maker(activation=lambda z: z * next(numbers))
    with pytest.raises(
        ValueError, match=r"file: .*genexpr> in .*Dense cannot be compared"
    ):
        search(tmp_path / "b", drawn)


DAMAGE = {  # what becomes of the lines, and what is told
    "cut short": (lambda lines: b"".join(lines)[:-7], None),
    "a line is gone": (lambda lines: b"".join(lines[:2] + lines[3:]), None),
    "another score": (
        lambda lines: b"".join(lines).replace(b'"accuracy": 0', b'"accuracy": 1', 1),
        "line 2 is damaged",
    ),
    "a head": (lambda lines: b"x" + b"".join(lines), "line 1 is damaged"),
    "two lines are one": (
        lambda lines: b"".join([*lines[:2], lines[2][:-1], *lines[3:]]),
        "line 3 is damaged",
    ),
    "empty lines": (lambda lines: b"\n\n".join(lines), None),
    "not text": (lambda lines: b"".join([*lines, b"\xff\x00\n"]), "line 8 is damaged"),
    "a deep list": (lambda lines: b"".join([*lines, b"[" * 10**5 + b"\n"]), "line 8"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(the scores of a search, its file's bytes)."""
    file = tmp_path_factory.mktemp("whole") / "search.jsonl"
    return search(file), file.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_lines_are_named_and_trained_again(damage, tmp_path, whole):
    harm, message = DAMAGE[damage]
    file = tmp_path / "search.jsonl"
    old, content = whole
    file.write_bytes(harm(content.splitlines(keepends=True)))
    (tmp_path / ".search.jsonl.0123456789abcdef.part").write_text("of a killed writer")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert search(file) == old
    assert [bool(message and message in str(w.message)) for w in told] == (
        [True] if message else []
    )
    assert sorted(file.read_bytes().splitlines()) == sorted(content.splitlines())
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside it"
    assert search(file) == old


def test_files_of_others_and_places_that_hold_none_are_left_as_they_are(tmp_path):
    file = tmp_path / "mine.csv"
    for content in (b"a,b\n1,2\n", b"line", b'{"a": 1}\n', b"\n", b'{"format": 1}\n'):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="expected a file of a search"):
            search(file)
        assert file.read_bytes() == content
    for place, message in (
        (".", "expected a file, got"),
        ("/dev/null", "expected a file, got"),
        ("mine.csv/below", "expected a directory, got the file"),
    ):
        with pytest.raises(ValueError, match=f"file: .*{message}"):
            search(tmp_path / place)


def test_two_searches_do_not_share_a_file(tmp_path):
    """Nor a file and a link to it; a search that has ended lets go."""
    file, link = tmp_path / "search.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(file)
    seen = []

    class Meanwhile(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if not seen:
                with pytest.raises(ValueError, match="in use by another search"):
                    search(link)
                seen.append(file.read_bytes().count(b"\n"))

    search(file, callbacks=Meanwhile())
    assert seen == [1], "the head, and no line of the second search"
    old = file.read_bytes()
    with pytest.raises(ValueError, match="this file is of another search"):
        search(link)
    assert link.is_symlink()
    assert file.read_bytes() == old


def test_a_full_disk_loses_nothing_that_was_there(tmp_path, monkeypatch):
    file = tmp_path / "search.jsonl"
    old = search(file, at_once=2)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]))

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot be written .No space left"):
        search(file, at_once=2)
    monkeypatch.undo()
    assert file.read_bytes() == b"".join(lines[:3])
    assert search(file, at_once=2) == old
