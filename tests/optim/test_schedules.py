"""Learning rates as functions of the step."""

import math

import pytest

from xpnet.optim import (
    SCHEDULES,
    Constant,
    Cosine,
    ExponentialDecay,
    StepDecay,
    WarmUp,
    get_schedule,
    schedule_config,
    schedule_from,
)


def cosine(t):
    if t >= 40:
        return 0.01
    return 0.01 + 0.09 * math.cos(math.pi * t / 80) ** 2  # the half-angle form


# An example of each row, and its values written down again.
EXAMPLES = {
    "Constant": (Constant(0.3), lambda t: 0.3),
    "StepDecay": (StepDecay(0.4, 10, 0.5), lambda t: 0.4 * 2.0 ** -math.floor(t / 10)),
    "ExponentialDecay": (
        ExponentialDecay(0.4, 10, 0.5),
        lambda t: 0.4 * math.exp(-math.log(2) * t / 10),
    ),
    "Cosine": (Cosine(0.1, 40, 0.01), cosine),
    "WarmUp": (
        WarmUp(Cosine(0.1, 40, 0.01), 8),
        lambda t: 0.1 * (t + 1) / 8 if t < 8 else cosine(t - 8),
    ),
}


def test_every_schedule_of_the_table_has_an_example():
    assert set(EXAMPLES) == set(SCHEDULES)
    assert all(type(EXAMPLES[name][0]) is kind for name, kind in SCHEDULES.items())


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_its_formula_and_survives_its_config(name):
    schedule, formula = EXAMPLES[name]
    for t in (*range(60), 1000, 10**6):
        rate = schedule(t)
        assert isinstance(rate, float)
        assert rate == pytest.approx(formula(t), rel=1e-12)
    config = schedule_config(schedule)
    assert config["name"] == name
    assert schedule_from(config) == schedule
    assert schedule_config(schedule) == config  # reading it takes nothing away


def test_the_boundaries_belong_to_the_later_stretch():
    halved = StepDecay(0.4, 10)
    assert [halved(t) for t in (0, 9, 10, 19, 20)] == [0.4, 0.4, 0.2, 0.2, 0.1]
    wave = Cosine(0.1, 40)
    assert (wave(0), wave(40), wave(41)) == (0.1, 0.0, 0.0)
    assert wave(20) == pytest.approx(0.05, rel=1e-12)
    assert 0.0 < wave(39) < 0.001


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (WarmUp(0.2, 4), [0.05, 0.1, 0.15, 0.2, 0.2, 0.2]),
        (WarmUp(StepDecay(0.4, 3), 2), [0.2, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1]),
        (WarmUp(WarmUp(0.8, 2), 2), [0.2, 0.4, 0.4, 0.8, 0.8]),
    ],
    ids=str,
)
def test_what_follows_a_warm_up_starts_after_it(schedule, rates):
    found = [schedule(t) for t in range(len(rates))]
    assert found == pytest.approx(rates, rel=1e-15)


def test_a_config_is_plain_values():
    config = schedule_config(WarmUp(0.2, 4))
    after = {"name": "Constant", "rate": 0.2}
    assert config == {"name": "WarmUp", "after": after, "steps": 4}


def test_a_schedule_of_ones_own_is_used_but_not_saved():
    def own(t):
        return 0.1 / (1 + t)

    assert get_schedule(own) is own
    assert get_schedule(0.1) == Constant(0.1)
    assert get_schedule(1) == Constant(1.0)
    with pytest.raises(ValueError, match="saved; expected a number or one of"):
        schedule_config(own)


BAD = [
    (lambda: Constant(0.0), "Constant: .*learning_rate > 0, got 0"),
    (lambda: StepDecay(-0.1, 5), "StepDecay: .*rate > 0, got -0.1"),
    (lambda: StepDecay(0.1, 0), "StepDecay: .*every > 0, got 0"),
    (lambda: StepDecay(0.1, 5, 0.0), "StepDecay: .*factor > 0, got 0"),
    (lambda: ExponentialDecay(0.1, -5), "ExponentialDecay: .*every > 0, got -5"),
    (lambda: ExponentialDecay(math.inf, 5), "ExponentialDecay: .*rate > 0, got inf"),
    (lambda: Cosine(0.1, 0), "Cosine: .*steps > 0, got 0"),
    (lambda: Cosine(0.1, 10, 0.2), "Cosine: .*0 <= final <= rate, got 0.2"),
    (lambda: Cosine(0.1, 10, -0.1), "Cosine: .*0 <= final <= rate, got -0.1"),
    (lambda: Cosine(0.1, 10, math.nan), "Cosine: .*0 <= final <= rate, got nan"),
    (lambda: WarmUp(0.1, 0), "WarmUp: .*steps > 0, got 0"),
    (lambda: WarmUp(-0.1, 5), "learning_rate > 0, got -0.1"),
    (lambda: WarmUp("fast", 5), "learning_rate > 0, a number, got 'fast'"),
    (lambda: StepDecay("fast", 5), "StepDecay: .*rate.*'?fast'?"),
    (lambda: Cosine(0.1, None), "Cosine: .*steps.*None"),
    (lambda: schedule_from({"name": "Cosinus"}), "'Cosinus'; did you mean 'Cosine'"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_a_bad_argument_is_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
