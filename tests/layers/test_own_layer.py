"""A layer of one's own, as in the docstring of `Layer`."""

import numpy as np

import xpnet as xn
from tests.layers.examples import rng
from xpnet.lessons.your_own import Scale


def test_a_layer_of_ones_own_has_right_gradients_unregistered():
    model = xn.Sequential([xn.Dense(5, "tanh"), Scale(), xn.Dense(2)])
    x = rng(1).standard_normal((3, 6, 4))
    errors = xn.check_gradients(
        model, "mean_squared_error", x, np.sin(x[..., :2]), lead=(3,)
    )
    assert max(errors.values()) < 1e-7
    assert "1.s" in errors


def test_a_layer_of_ones_own_trains_recorded_as_eager():
    results = []
    for eager in (False, True):
        model = xn.Sequential([Scale(), xn.Dense(4, "tanh"), Scale(), xn.Dense(1)])
        trainer = xn.Trainer(
            model, "mean_squared_error", xn.Adam(0.02), device="cpu", eager=eager
        )
        x = rng(1).standard_normal((64, 3))
        y = x[:, :1] * 2.0
        history = trainer.fit(x, y, epochs=30, batch_size=16, verbose=False)
        assert history["loss"][-1] < 0.1 * history["loss"][0]
        results.append(trainer.parameters())
    assert results[0].keys() == {"0.s", "1.W", "1.b", "2.s", "3.W", "3.b"}
    assert all(np.array_equal(v, results[1][name]) for name, v in results[0].items())
    assert abs(results[0]["0.s"] - 1.0).max() > 1e-3
