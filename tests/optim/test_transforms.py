"""The chain that a gradient passes: in which order, of whose own, and in files."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import Towards, data
from xpnet.optim import TRANSFORMS
from xpnet.stack.compatibility import RecordedSettings

# Each argument of a rule, and the transform that says the same.
ARGUMENTS = {
    "clip_value": ({"clip_value": 0.05}, xn.ClipValue(0.05)),
    "clip_norm": ({"clip_norm": 0.1}, xn.ClipNorm(0.1)),
    "gradient_noise": (
        {"gradient_noise": 0.1, "noise_decay": 0.3},
        xn.GradientNoise(0.1, 0.3),
    ),
    "l2": ({"l2": 0.3}, xn.L2(0.3)),
    "l1": ({"l1": 0.3}, xn.L1(0.3)),
    "weight_decay": ({"weight_decay": 0.3}, xn.WeightDecay(0.3)),
}


def trainer_of(rule, **options):
    layers = [xn.Dense(6, "tanh"), xn.LayerNorm(), xn.Dense(3)]
    options = {"device": "cpu", "dtype": "float64", "jit": False, **options}
    return xn.Trainer(xn.Sequential(layers), "mean_squared_error", rule, **options)


def trained(rule, epochs=2, **options):
    trainer = trainer_of(rule, **options)
    trainer.fit(*data("values"), epochs, 8, verbose=False)
    return trainer


def params(trainer):
    return trainer.model.buffers.params


def gradient_and_step(rule):
    """(the gradient, how far a step of this rule goes), by parameter."""
    trainer = trainer_of(rule)
    trainer.build(5)
    before = {name: p.copy() for name, p in trainer.parameters().items()}
    trainer.step(*data("values"))
    moved = {name: p - before[name] for name, p in trainer.parameters().items()}
    return {name: g.copy() for name, g in trainer.gradients().items()}, moved


def test_every_transform_of_the_table_is_an_argument_here_and_public():
    assert [*ARGUMENTS] == [*TRANSFORMS]
    for kind in TRANSFORMS.values():
        assert getattr(xn, kind.__name__) is kind


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_and_its_transform_are_the_same_to_the_bit(argument):
    options, transform = ARGUMENTS[argument]
    a = trained(xn.Adam(0.01, **options))
    b = trained(xn.Adam(0.01, transforms=[transform]))
    assert np.array_equal(params(a), params(b))
    assert not np.array_equal(params(a), params(trained(xn.Adam(0.01))))


def test_the_arguments_come_first_and_weights_after_all_parameters():
    f = np.tanh
    rule = xn.SGD(
        0.1, weight_decay=1.0, l1=1.0, l2=1.0, gradient_noise=1.0, clip_norm=1.0,
        clip_value=1.0, transforms=[f, xn.ClipNorm(2.0), xn.L2(2.0)],
    )  # fmt: skip
    names = [type(one).__name__ for one in rule.chain]
    assert names == [
        "ClipValue", "ClipNorm", "GradientNoise", "FunctionTransform", "ClipNorm",
        "L2", "L1", "WeightDecay", "L2",
    ]  # fmt: skip
    assert rule.chain[3].function is f


def test_a_rule_without_any_has_an_empty_chain():
    assert xn.SGD(0.1).chain == ()


def test_the_order_of_the_list_counts():
    norm, double = xn.ClipNorm(0.1), lambda g: 2.0 * g
    first = gradient_and_step(xn.SGD(1.0, transforms=[norm, double]))[1]
    last = gradient_and_step(xn.SGD(1.0, transforms=[double, norm]))[1]
    for name, step in first.items():
        np.testing.assert_allclose(step, 2.0 * last[name], rtol=1e-12)


@pytest.mark.parametrize("eager", [False, True])
def test_a_function_of_ones_own_sees_the_whole_gradient(eager):
    g, moved = gradient_and_step(xn.SGD(1.0, transforms=[lambda g: g * g]))
    for name, step in moved.items():
        np.testing.assert_allclose(step, -(g[name] ** 2), atol=1e-15)


class Shift(xn.Transform):
    def apply(self, p, g, rate):
        return g + 1.0


class ShiftWeights(Shift):
    of_weights = True


def test_a_transform_of_weights_leaves_biases_and_gains():
    g, moved = gradient_and_step(xn.SGD(1.0, transforms=[ShiftWeights()]))
    for name, step in moved.items():
        shift = 1.0 if name.endswith(".W") else 0.0
        np.testing.assert_allclose(step, -(g[name] + shift), atol=1e-15)


@pytest.mark.parametrize("kind", [Shift, ShiftWeights])
def test_what_lies_between_the_parameters_stays_zero(kind):
    trainer = trained(xn.SGD(0.1, transforms=[kind()]))
    layout = trainer.model.layout
    used = np.zeros(layout.size, bool)
    for slot in layout.trained:
        used[slot.start : slot.start + slot.size] = True
    assert not used.all()
    assert not params(trainer)[~used].any()


def test_numbers_of_a_step_come_with_the_step():
    """Two networks, one of which is trained in one step after the other."""
    rule = xn.SGD(0.1, transforms=[Towards(1.0, 0.5)])
    alone = trainer_of(rule)
    x, y = (values[:8] for values in data("values"))
    for _ in range(3):
        alone.step(x, y)
    whole = trainer_of(xn.SGD(0.1, transforms=[Towards(1.0, 0.5)]))
    whole.fit(x, y, 3, None, shuffle=False, verbose=False)
    assert np.array_equal(params(alone), params(whole))
    fixed = trainer_of(xn.SGD(0.1, transforms=[Towards(0.0, 0.5)]))
    fixed.fit(x, y, 3, None, shuffle=False, verbose=False)
    assert not np.array_equal(params(fixed), params(whole))


def test_two_noises_are_drawn_apart():
    both = {"gradient_noise": 1.0, "noise_decay": 0.0}
    plain, _ = gradient_and_step(xn.SGD(1.0))
    _, one = gradient_and_step(xn.SGD(1.0, **both))
    twice = xn.SGD(1.0, **both, transforms=[xn.GradientNoise(1.0, 0.0)])
    _, two = gradient_and_step(twice)
    first, second = one["0.W"] + plain["0.W"], two["0.W"] - one["0.W"]
    assert abs(first).max() > 0.1
    assert abs(first - second).max() > 0.1


class Reported(xn.Transform):
    of_weights = True

    def penalty(self, weights):
        return 0.0 * weights[..., :1].reshape((1, 1)) + 7.0


def test_a_penalty_may_join_the_reported_loss():
    x, y = data("values")
    losses = []
    for transforms in ([], [Reported()], [Reported(), Reported()]):
        trainer = trainer_of(xn.SGD(0.1, transforms=transforms))
        trainer.step(x, y)
        losses.append(trainer.loss)
    assert losses[1] == pytest.approx(losses[0] + 7.0, rel=1e-12)
    assert losses[2] == pytest.approx(losses[0] + 14.0, rel=1e-12)


# What is refused.


@pytest.mark.parametrize(
    ("transforms", "error", "message"),
    [
        (xn.L2(0.1), TypeError, "^SGD: transforms: expected a list of .*got L2"),
        ([3], TypeError, "^SGD: transforms: expected .*got 3 among them"),
        ([xn.L2], TypeError, "call the class"),
        ([xn.L2(0.1), xn.ClipNorm(1.0)], ValueError, "of all parameters before"),
        ([xn.L2(0.1), np.tanh], ValueError, "of all parameters before"),
    ],
)
def test_a_list_of_something_else_is_refused(transforms, error, message):
    with pytest.raises(error, match=message):
        xn.SGD(0.1, transforms=transforms)


@pytest.mark.parametrize("kind", TRANSFORMS.values())
def test_a_bad_number_is_named(kind):
    for name in kind.arguments():
        good = dict.fromkeys(kind.arguments(), 1.0)
        for value in (-1.0, np.nan, np.inf):
            with pytest.raises(
                ValueError, match=f"^{kind.__name__}: expected {name} >"
            ):
                kind(**good | {name: value})
        with pytest.raises(TypeError, match=name):
            kind(**good | {name: "much"})


@pytest.mark.parametrize("result", [lambda g: g[..., :1], lambda g: None])
def test_a_result_of_another_shape_is_refused(result):
    trainer = trainer_of(xn.SGD(0.1, transforms=[result]))
    with pytest.raises(ValueError, match=r"Function.*expected a gradient of shape \("):
        trainer.step(*data("values"))


# Stacks and files.


def test_a_stack_holds_networks_of_the_same_transforms_only():
    a, b = xn.SGD(0.1, transforms=[xn.L2(0.1)]), xn.SGD(0.1, transforms=[xn.L1(0.1)])
    with pytest.raises(ValueError, match=r"transforms\[0\].*'L2' and 'L1'"):
        xn.Stack([trainer_of(a), trainer_of(b)])
    with pytest.raises(ValueError, match="a stack holds networks of one shape"):
        xn.Stack([trainer_of(a), trainer_of(xn.SGD(0.1))])
    f, g = (xn.SGD(0.1, transforms=[lambda g: 2.0 * g]) for _ in range(2))
    with pytest.raises(ValueError, match=r"transforms\[0\]: function"):
        xn.Stack([trainer_of(f), trainer_of(g)])


def test_numbers_that_differ_in_a_stack_are_each_networks_own():
    def rules(i):
        towards = Towards(0.5 * i, 0.1 + 0.2 * i)
        own = [np.tanh, xn.ClipNorm([0.2, 5.0, 0.7][i]), xn.L2(0.1 * i), towards]
        return xn.Adam(0.01, transforms=own)

    alone = [trained(rules(i)) for i in range(3)]
    stack = xn.Stack([trainer_of(rules(i)) for i in range(3)])
    stack.fit(*data("values"), 2, 8, verbose=False)
    for one, other in zip(alone, stack.trainers, strict=True):
        np.testing.assert_allclose(params(one), params(other), rtol=1e-9, atol=1e-12)


def pair():
    rules = [xn.SGD(0.1, transforms=[np.tanh, xn.L2(0.1 * i)]) for i in range(2)]
    stack = xn.Stack([trainer_of(rule) for rule in rules])
    stack.fit(*data("values"), 1, 8, verbose=False)
    return stack


def test_a_kept_program_does_not_keep_a_number_that_has_changed():
    kept, remade, unchanged = pair(), pair(), pair()
    assert RecordedSettings(kept[0]).settings is not None
    for stack in (kept, remade):
        stack[0].optimizer.transforms[1].l2 = 0.5
    remade = xn.Stack(remade.trainers)
    for stack in (kept, remade, unchanged):
        stack.fit(*data("values"), 1, 8, verbose=False)
    assert np.array_equal(params(kept[0]), params(remade[0]))
    assert not np.array_equal(params(kept[0]), params(unchanged[0]))


def test_a_chain_that_is_replaced_after_its_trainer_is_built_is_refused():
    stack = pair()
    for trainer in stack.trainers:
        trainer.optimizer.transforms = (xn.GradientNoise(0.1),)
    with pytest.raises(ValueError, match="expected the transforms with numbers or"):
        stack.fit(*data("values"), 1, 8, verbose=False)


def test_a_file_holds_those_of_xpnet(tmp_path):
    transforms = [xn.ClipNorm(0.5), xn.GradientNoise(0.1, 0.2), xn.L2(0.1)]
    trainer = trained(xn.Adam(0.01, transforms=transforms))
    trainer.save(tmp_path / "model")
    again = xn.Trainer.load(tmp_path / "model", "cpu")
    assert repr(again.optimizer.chain) == repr(trainer.optimizer.chain)
    for one in (trainer, again):
        one.fit(*data("values"), 1, 8, verbose=False)
    assert np.array_equal(params(trainer), params(again))


def test_a_file_without_any_does_not_name_them(tmp_path):
    trained(xn.Adam(0.01, l2=0.1)).save(tmp_path / "model")
    assert "transforms" not in (tmp_path / "model" / "model.json").read_text()


@pytest.mark.parametrize("own", [np.tanh, Towards(0.1, 0.1)])
def test_one_of_ones_own_is_not_saved(tmp_path, own):
    trainer = trained(xn.SGD(0.1, transforms=[own]))
    with pytest.raises(ValueError, match=r"save: transform .* is your own, and a file"):
        trainer.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
