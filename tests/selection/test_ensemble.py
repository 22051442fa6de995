"""Ensembles: means, disagreement, files."""

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import data, make, make_regression


def trained(members=4, seeds=None, **options):
    x, y = data()
    stack = xn.Stack([make(0.3, seed=s) for s in seeds or range(members)])
    stack.fit(x / 50, y, 5, 8, verbose=False)
    return xn.Ensemble(stack, **options), x / 50, y


def test_it_predicts_the_mean_of_its_members():
    ensemble, x, _ = trained()
    wanted = np.mean([t.predict(x) for t in ensemble.stack.trainers], axis=0)
    np.testing.assert_allclose(ensemble.predict(x), wanted, rtol=0, atol=1e-12)
    assert np.array_equal(ensemble.predict_classes(x), wanted.argmax(axis=1))
    assert len(ensemble) == 4
    assert ensemble[1] is ensemble.stack[1]


def test_the_loss_of_the_mean_is_at_most_the_mean_of_the_losses():
    ensemble, x, y = trained()
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


def test_members_that_are_equal_do_not_disagree():
    ensemble, x, _ = trained(seeds=[7, 7, 7])
    assert abs(ensemble.uncertainty(x).disagreement).max() < 1e-12


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
    x, y = data()
    scaler = xn.MinMaxScaler.fit(x)
    stack = xn.Stack([make(0.3, seed=s) for s in range(3)])
    stack.fit(scaler.transform(x), y, 3, 8, verbose=False)
    ensemble = xn.Ensemble(stack, scaler)
    ensemble.save(tmp_path / "kept")
    again = xn.Ensemble.load(tmp_path / "kept", "cpu")
    assert np.array_equal(again.predict(x), ensemble.predict(x))
    with pytest.raises(FileNotFoundError, match="no saved ensemble"):
        xn.Ensemble.load(tmp_path)
    (tmp_path / "kept" / "ensemble.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        xn.Ensemble.load(tmp_path / "kept")
