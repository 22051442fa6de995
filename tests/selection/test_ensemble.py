"""Ensembles: means, disagreement, files."""

import json
import os
from functools import cache

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import data, make, make_regression
from tests.training.examples import as_first_format
from xpnet.selection.ensemble import load_saved
from xpnet.training.sealed import sealed

PARTS = ("weights-", "optimizer-")


@cache
def trained(seeds=(0, 1, 2, 3)):
    """(an ensemble, x, y), fitted once."""
    x, y = data()
    stack = xn.Stack([make(0.3, seed=s) for s in seeds])
    stack.fit(x / 50, y, 5, 8, verbose=False)
    return xn.Ensemble(stack), x / 50, y


def test_it_predicts_the_mean_of_its_members():
    ensemble, x, y = trained()
    wanted = np.mean([t.predict(x) for t in ensemble.stack.trainers], axis=0)
    np.testing.assert_allclose(ensemble.predict(x), wanted, rtol=0, atol=1e-12)
    assert np.array_equal(ensemble.predict_classes(x), wanted.argmax(axis=1))
    assert len(ensemble) == 4
    assert ensemble[1] is ensemble.stack[1]
    losses = [t.evaluate(x, y)["loss"] for t in ensemble.stack.trainers]
    assert ensemble.evaluate(x, y)["loss"] < np.mean(losses)
    one = xn.Ensemble([ensemble[0]])
    assert one.evaluate(x, y) == pytest.approx(ensemble[0].evaluate(x, y), abs=1e-9)


def test_uncertainty_is_disagreement_and_noise():
    ensemble, x, _ = trained()
    found = ensemble.uncertainty(x)
    p = ensemble.member_predictions(x)
    mean = p.mean(axis=0)
    np.testing.assert_allclose(found.total, -(mean * np.log(mean)).sum(axis=1))
    np.testing.assert_allclose(found.noise, -(p * np.log(p)).sum(axis=2).mean(axis=0))
    np.testing.assert_allclose(found.total, found.noise + found.disagreement)
    assert (found.disagreement > 0.0).all()
    assert (found.total <= np.log(3) + 1e-12).all()
    alike, x, _ = trained((7, 7, 7))
    assert abs(alike.uncertainty(x).disagreement).max() < 1e-12


def test_a_regression_is_in_its_own_units_and_its_spread_too():
    x, y = data(regression=True)
    sx, sy = xn.Standardizer.fit(x), xn.Standardizer.fit(y)
    stack = xn.Stack([make_regression(seed=s) for s in range(3)])
    stack.fit(sx.transform(x), sy.transform(y), 3, 8, verbose=False)
    ensemble = xn.Ensemble(stack, sx, sy)
    each = [sy.inverse(t.predict(sx.transform(x))) for t in stack.trainers]
    np.testing.assert_allclose(ensemble.predict(x), np.mean(each, axis=0))
    np.testing.assert_allclose(ensemble.uncertainty(x).total, np.std(each, axis=0))
    scores = ensemble.evaluate(x, y)
    error = np.mean((np.mean(each, axis=0) - y) ** 2)
    assert scores["loss"] == pytest.approx(error)
    with pytest.raises(ValueError, match="use predict"):
        ensemble.predict_classes(x)


def test_binary_answers():
    x, y = data()
    stack = xn.Stack([
        xn.Trainer(xn.Sequential([xn.Dense(4, "tanh"), xn.Dense(1)]),
                   "binary_cross_entropy", seed=s, device="cpu", dtype="float64")
        for s in range(3)
    ])  # fmt: skip
    stack.fit(x / 50, (y == 1).astype(float), 3, 8, verbose=False)
    ensemble = xn.Ensemble(stack)
    assert ensemble.predict_classes(x / 50).shape == (len(x),)
    found = ensemble.uncertainty(x / 50)
    assert (found.total >= found.noise - 1e-12).all()
    one = xn.Ensemble([stack[0]])
    wanted = stack[0].evaluate(x / 50, (y == 1).astype(float))
    assert one.evaluate(x / 50, (y == 1).astype(float)) == pytest.approx(wanted)


def test_an_ensemble_is_saved_and_loaded(tmp_path):
    trained_one, x, _ = trained()
    ensemble = xn.Ensemble(trained_one.stack, xn.MinMaxScaler.fit(x))
    ensemble.save(tmp_path / "kept")
    again = xn.Ensemble.load(tmp_path / "kept", "cpu")
    assert np.array_equal(again.predict(x), ensemble.predict(x))
    with pytest.raises(FileNotFoundError, match="no saved model in"):
        xn.Ensemble.load(tmp_path)
    (tmp_path / "kept" / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        xn.Ensemble.load(tmp_path / "kept")


def built(seed=0):
    t = make(0.3, seed=seed)
    t.build(2)
    return t


def in_the_older_form(ensemble, folder):
    """What an older xpnet wrote: a folder for each member, in format 1."""
    for i, t in enumerate(ensemble.stack.trainers):
        as_first_format(t.save(folder / str(i)))
    scalers = {"scaler": ensemble.scaler and ensemble.scaler.to_dict()}
    head = {"members": len(ensemble), "y_scaler": None, **scalers}
    (folder / "ensemble.json").write_text(json.dumps(head) + "\n")
    return folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


KINDS = {
    "network": lambda seed, folder: built(seed).save(folder),
    "ensemble": lambda seed, folder: ensemble_of(seed).save(folder),
    "older ensemble": lambda seed, folder: in_the_older_form(ensemble_of(seed), folder),
    "older network": lambda seed, folder: as_first_format(built(seed).save(folder)),
}


def ensemble_of(seed):
    return xn.Ensemble([built(seed + i) for i in range(2)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_holds_what_was_saved_last_and_loads_as_what_it_is(kind, tmp_path):
    x = np.ones((3, 2))
    right, wrong = xn.Trainer, xn.Ensemble
    if "ensemble" in kind:
        right, wrong = wrong, right
    for second in ("network", "ensemble"):
        folder = tmp_path / second
        KINDS[kind](5, folder)
        wanted = ensemble_of(5) if right is xn.Ensemble else built(5)
        for found in (right.load(folder, "cpu"), load_saved(folder, "cpu")):
            assert type(found) is right
            assert np.array_equal(found.predict(x), wanted.predict(x))
        with pytest.raises(ValueError, match=rf"use xpnet\.{right.__name__}\.load"):
            wrong.load(folder, "cpu")
        (folder / "mine.txt").touch()
        KINDS[second](9, folder)
        wanted = built(9) if second == "network" else ensemble_of(9)
        assert np.array_equal(load_saved(folder, "cpu").predict(x), wanted.predict(x))
        parts = {name for name in names(folder) if name.startswith(PARTS)}
        text = (folder / "model.json").read_text()
        assert all(part in text for part in parts)
        assert set(names(folder)) == {"mine.txt", "model.json", *parts}


def test_a_mix_of_an_older_xpnet_is_told_and_each_can_be_had(tmp_path):
    in_the_older_form(ensemble_of(5), tmp_path)
    t = built(9)
    (tmp_path / "other").mkdir()
    as_first_format(t.save(tmp_path / "other"))
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(ValueError, match=r"holds a network.* and an ensemble"):
        load_saved(tmp_path, "cpu")
    x = np.ones((3, 2))
    assert np.array_equal(xn.Trainer.load(tmp_path, "cpu").predict(x), t.predict(x))
    again = xn.Ensemble.load(tmp_path, "cpu")
    assert np.array_equal(again.predict(x), ensemble_of(5).predict(x))


def test_an_ensemble_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    ensemble_of(5).save(tmp_path)
    before = names(tmp_path)
    real = os.replace
    for stop in range(3):  # two networks and the description; the rules are alike
        left = iter(range(100))

        def refuse(*paths, left=left, stop=stop):
            if next(left) == stop:
                raise OSError(28, "No space left on device")
            return real(*paths)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse)
            with pytest.raises(OSError, match="No space left"):
                ensemble_of(9).save(tmp_path)
        assert names(tmp_path) == before


EDITS = {
    "no members": {"members": []},
    "members by number": {"members": 2},
    "a member by name": {"members": ["0"]},
    "a scaler of text": {"scaler": "standard"},
    "a scaler of nothing": {"scaler": {}},
    "a scaler of another type": {
        "scaler": {"kind": "standard", "shift": ["0", "0"], "scale": [1.0, 1.0]}
    },
    "more": {"more": 1},
}


@pytest.mark.parametrize("case", EDITS)
def test_an_ensemble_that_was_changed_is_told(case, tmp_path):
    path = ensemble_of(5).save(tmp_path) / "model.json"
    whole = json.loads(path.read_bytes()) | EDITS[case]
    (name,) = EDITS[case]
    sums = {k: v for k, v in whole.items() if k != "checksums"}
    unsealed = (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode()
    for content in (unsealed, sealed(sums)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"model.json is damaged.*: {name}"):
            xn.Ensemble.load(tmp_path, "cpu")
