"""The networks of the commands: what `train` and `search` take by default."""

import pytest

import xpnet as xn
from xpnet.backend import get_backend
from xpnet.cli import _options
from xpnet.commands.network import Settings, outputs, widths
from xpnet.commands.preparation import prepare
from xpnet.commands.search import Maker
from xpnet.data import load_data
from xpnet.optim import OPTIMIZERS

RATES = {"sgd": 0.01, "adagrad": 0.02, "adadelta": 1.0, "rmsprop": 1e-3, "lion": 3e-4}


def trained(*arguments):
    """The trainer of `xpnet train moons`."""
    return prepare(_options(["train", "moons", "--device", "cpu", *arguments])).trainer


def searched(**settings):
    """A trainer of `xpnet search moons`."""
    options = _options(["search", "moons", "--grid", "l2=0", "--epochs", "6"])
    data = load_data("moons")
    return Maker(data, get_backend("cpu"), len(data.x), options)(**settings)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_rule_has_its_learning_rate(name):
    rule = searched(optimizer=name).optimizer
    assert rule.config() == OPTIMIZERS[name](RATES.get(name, 2e-3)).config()
    rule = trained("--optimizer", name, "--schedule", "constant").optimizer
    own = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    rate = 0.1 if name == "sgd" else RATES.get(name, 2e-3)
    assert rule.config() == OPTIMIZERS[name](rate, **own).config()


def test_a_cosine_ends_with_the_training():
    rule = trained("--epochs", "5", "--batch-size", "1000").optimizer
    assert rule.learning_rate.steps == 5
    samples = len(load_data("moons").x)
    rule = searched(schedule="cosine", batch_size=samples - 1).optimizer
    assert rule.learning_rate.steps == 6 * 2
    rule = searched(schedule="cosine", batch_size=samples, epochs=3).optimizer
    assert rule.learning_rate.steps == 3


def test_networks_of_a_search_have_one_shape_whatever_their_dropout():
    kinds = [type(layer) for layer in searched(dropout=0.0).model.layers]
    assert kinds == [xn.Dense, xn.Dropout, xn.Dense]
    assert len(searched(dropout=0.3).model.layers) == 3
    assert len(trained("--hidden", "8", "--dropout", "0").model.layers) == 2
    (_, dropout, _) = trained("--hidden", "8").model.layers
    assert dropout.rate == 0.3


def test_a_loss_and_outputs_fit_the_task():
    data = load_data("digits")
    assert outputs(data) == 10
    assert Settings(label_smoothing=0.1).loss(data).label_smoothing == 0.1
    data = load_data("line")
    assert outputs(data) == 1
    assert type(Settings().loss(data)) is xn.MeanSquaredError


def test_an_option_that_a_rule_does_not_have_is_named():
    with pytest.raises(TypeError, match="momentum"):
        searched(optimizer="adam", momentum=0.9)
    assert searched(optimizer="sgd", momentum=0.9).optimizer.momentum == 0.9


def test_widths_are_read_from_text_and_built():
    assert [widths(text) for text in ("none", "", "0")] == [()] * 3
    assert widths("128,64") == (128, 64)
    for text, units in (("none", []), ("16", [16]), ("16,8", [16, 8])):
        model = trained("--hidden", text, "--dropout", "0").model
        assert [layer.units for layer in model.layers] == [*units, 2]
