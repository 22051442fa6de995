"""What layers, losses and initialisers are not made of is refused, by name."""

import numpy as np
import pytest

import xpnet as xn
from xpnet.layers import Activation, get_initializer, get_loss

NAN = float("nan")
# kind: {argument: (what is expected of it, bad values)}
NUMBERS = {
    xn.Dense: {"units": ("Dense: expected units >= 1", [0, -3, 2.0, "10", True, None])},
    xn.Dropout: {"rate": ("Dropout: expected 0 <= rate < 1", [-0.1, 1.0, 1.5, NAN])},
    xn.GaussianNoise: {"std": ("GaussianNoise: .*std >= 0", [-0.1, NAN])},
    xn.BatchNorm: {
        "momentum": ("0 < momentum <= 1", [0.0, -0.1, 1.1, NAN]),
        "eps": ("BatchNorm: .*eps > 0", [0.0, -1.0, NAN]),
    },
    xn.LayerNorm: {"eps": ("LayerNorm: .*eps > 0", [0.0, -1.0, NAN])},
    xn.Huber: {"delta": ("Huber: expected delta > 0", [0.0, -1.0, NAN])},
    xn.SoftmaxCrossEntropy: {
        "label_smoothing": ("0 <= label_smoothing < 1", [-0.1, 1.0, 1.5, NAN])
    },
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_out_of_range_is_named(kind):
    for name, (expected, values) in NUMBERS[kind].items():
        for value in values:
            with pytest.raises(ValueError, match=f"{expected}.*got {value!r}"):
                kind(**{name: value})


def images(kind, *arguments):
    return lambda: xn.Sequential([kind(*arguments)]).build((28, 28))


def built():
    return xn.Sequential([xn.Dense(15), xn.Dense(10)]).build(784)


class Nothing(xn.Layer):
    """A layer without its equations."""


DENSE = xn.Dense(3)
REFUSED = [
    (lambda: xn.Dense(3, "rellu"), "activation 'rellu'; did you mean 'relu'"),
    *(
        (lambda value=value: Activation(value), "activation: expected a name")
        for value in (3, 1.5, ["relu"])
    ),
    (lambda: get_initializer("he"), r"initializer 'he'; .*he_normal"),
    (lambda: get_initializer("xavier"), "unknown initializer 'xavier'"),
    (lambda: get_initializer(3), "initializer: expected a name, got int"),
    (lambda: get_loss("hubert"), "did you mean 'huber'"),
    (lambda: get_loss(3), "loss: expected a name, got int"),
    (images(xn.Dense, 3), r"layer 0: Dense: .*\(28, 28\).*Flatten\(\)"),
    (images(xn.BatchNorm), r"BatchNorm: .*\(28, 28\).*Flatten"),
    (images(xn.LayerNorm), r"LayerNorm: .*\(28, 28\).*Flatten"),
    *(
        (lambda w=w: xn.Sequential([DENSE]).build(w), "build: expected widths")
        for w in (0, -1, (), (3, 0), 2.5, "784")
    ),
    (lambda: built().build(64), r"samples of shape \(784,\), got \(64,\)"),
    (lambda: xn.Sequential([xn.Dense]), "Sequential: .*a Layer at position 0"),
    (lambda: xn.Sequential([DENSE, 3]), "Sequential: .*a Layer at position 1, got 3"),
    (lambda: xn.Sequential(DENSE), "Sequential: .*a list of layers, got Dense"),
    (lambda: xn.Sequential(None), "Sequential: .*a list of layers, got None"),
    (lambda: xn.Sequential([]), "Sequential: .*at least one layer"),
    (lambda: xn.Sequential([DENSE, xn.Flatten(), DENSE]), "Sequential: .*twice"),
    (lambda: Nothing().forward(np.ones(2), True), "Nothing.forward"),
    (lambda: Nothing().backward(np.ones(2)), "Nothing.backward"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_does_not_fit_is_refused(call, message):
    errors = (ValueError, TypeError, NotImplementedError)
    with pytest.raises(errors, match=message):
        call()
