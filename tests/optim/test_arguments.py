"""The optimisers' arguments: names, defaults, and what is refused."""

import math
import re

import numpy as np
import pytest

import xpnet as xn
from xpnet.optim import OPTIMIZERS, VARIANTS, Optimizer, get_optimizer

SHARE, EPS = [-0.1, 1.0, math.nan], [0.0, -1.0, math.nan]
POSITIVE = [-0.1, math.nan, math.inf]
BAD_VALUES = {
    "learning_rate": [0.0, *POSITIVE], "clip_value": EPS, "clip_norm": EPS,
    **dict.fromkeys(("l1", "l2", "weight_decay"), POSITIVE),
    **dict.fromkeys(("gradient_noise", "noise_decay"), POSITIVE),
}  # fmt: skip
OTHERS = {**dict.fromkeys(("beta1", "beta2", "rho", "momentum"), SHARE), "eps": EPS}
# Every other number that a rule takes.
OWN = {
    row: {
        name: OTHERS.get(name, POSITIVE)
        for name, default in kind.defaults().items()
        if not isinstance(default, bool | tuple) and name not in BAD_VALUES
    }
    for row, kind in OPTIMIZERS.items()
}


def message(row, **argument):
    """What a rule says of an argument, "" if it takes it."""
    try:
        OPTIMIZERS[row](**argument)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_a_bad_value_of_each_number_is_named_with_what_was_expected(row):
    numbers = OPTIMIZERS[row].defaults().items()
    bad = BAD_VALUES | OWN[row]
    numbers = {n for n, value in numbers if not isinstance(value, bool | tuple)}
    assert bad.keys() == numbers
    wrong = {}
    for name, values in bad.items():
        for value in [*values, "much"]:
            expected = rf"^ValueError: .*expected.*{name}.*got {value}"
            if value == "much":
                expected = rf"{name}.*'?much'?"
            if not re.search(expected, message(row, **{name: value})):
                wrong[name, value] = message(row, **{name: value})
    assert wrong == {}


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_a_row_is_found_knows_its_words_and_is_made_again_by_its_config(row):
    rule = get_optimizer(row)
    assert type(rule) is OPTIMIZERS[row]
    assert get_optimizer(rule) is rule
    kind = OPTIMIZERS[row].__name__
    with pytest.raises(TypeError, match=f"^{kind}: .*'weight_decai'; did you mean 'we"):
        OPTIMIZERS[row](0.1, weight_decai=0.1)
    rule = OPTIMIZERS[row](0.05, clip_norm=2.0, **SETTINGS)
    again = OPTIMIZERS[row](**rule.config())
    assert again.config() == rule.config()
    assert repr(again) == repr(rule)
    assert rule.config().items() >= (SETTINGS | {"clip_norm": 2.0}).items()


MEANT = {
    "lr": ("adam", "learning_rate"),
    "beta_1": ("adam", "beta1"),
    "centred": ("rmsprop", "centered"),
    "nestorov": ("sgd", "nesterov"),
    "momentum_dekay": ("nadam", "momentum_decay"),
    "clipnorm": ("lion", "clip_norm"),
}


@pytest.mark.parametrize("given", MEANT)
def test_other_libraries_words_lead_to_ours(given):
    row, meant = MEANT[given]
    with pytest.raises(TypeError, match=f"{given!r}; did you mean {meant!r}"):
        OPTIMIZERS[row](**{given: 0.5})


def test_the_lessons_names_are_settings_of_a_rule():
    found = {name: repr(get_optimizer(name)) for name in VARIANTS}
    assert found == {
        "momentum": "SGD(0.01, momentum=0.9)",
        "nesterov": "SGD(0.01, momentum=0.9, nesterov=True)",
        "rmsprop_centered": "RMSprop(0.01, centered=True)",
    }


REFUSED = [
    (lambda: get_optimizer("adamm"), "optimizer 'adamm'; did you mean 'adam'"),
    (lambda: xn.SGD(0.1, nesterov=True), "nesterov=True needs momentum > 0, got 0"),
    *(
        (lambda value=value: get_optimizer(value), "optimizer: expected a name")
        for value in (None, 3, xn.Adam)
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_no_update_rule_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_rate_may_be_any_number():
    for kind in (np.float32, np.float64, int):
        assert xn.SGD(kind(1)).schedule(0) == 1.0


SETTINGS = {"l1": 0.1, "l2": 0.2, "weight_decay": 0.3, "clip_value": 1.0}


def test_what_is_shown_is_what_differs_from_the_defaults():
    assert repr(xn.SGD(0.1)) == "SGD(0.1)"
    assert repr(xn.AdamW(0.1)) == "AdamW(0.1)"
    shown = repr(xn.SGD(0.1, momentum=0.9, nesterov=True, l2=0.5))
    assert shown == "SGD(0.1, l2=0.5, momentum=0.9, nesterov=True)"
    adam = xn.Adam()
    assert (adam.beta1, adam.beta2, adam.eps) == (0.9, 0.999, 1e-8)
    assert adam.schedule(0) == 1e-3


class SignMomentum(Optimizer):
    """p ← p - η sign(β m + (1 - β) g): a rule of one's own."""

    slots = ("m",)

    def update(self, p, g, *slots, rate, **scalars):
        (m,) = slots
        direction = np.sign(0.9 * m + 0.1 * g)
        return p - rate * direction, 0.99 * m + 0.01 * g


def test_a_rule_of_ones_own_trains_recorded_as_eager():
    draw = np.random.Generator(np.random.Philox(3))
    x, results = draw.standard_normal((16, 4)), []
    for eager in (False, True):
        model = xn.Sequential([xn.Dense(5, "tanh"), xn.Dense(1)])
        rule = SignMomentum(0.01, l2=0.01, clip_norm=1.0)
        trainer = xn.Trainer(
            model, "mean_squared_error", rule, device="cpu", eager=eager
        )
        for _ in range(60):
            trainer.step(x, x[:, :1])
        assert trainer.loss < 0.2
        results.append(trainer.parameters())
    assert all(np.array_equal(v, results[1][name]) for name, v in results[0].items())


def test_a_rule_without_its_equation_says_so():
    with pytest.raises(NotImplementedError, match=r"Optimizer\.update"):
        Optimizer(0.1).update(np.ones(2), np.ones(2), rate=np.ones(1))
