"""Which networks can be stacked, and the one model, rule and loss of a stack.

Networks of one shape compute the same equations on arrays with one axis more. What may
differ between them are numbers: of the update rule, of Dropout and the other layers, of
the loss. Where they do, the stack's copy of the layer (rule, loss) holds a
`PerNetwork`.
"""

import copy
from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter, is_
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

import numpy as np

from xpnet.common import parameters
from xpnet.layers import ActivationFunction, Layer, Loss, Sequential
from xpnet.optim import Optimizer, Transform
from xpnet.trace import Noise, PerNetwork

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

T = TypeVar("T")
UNLIMITED = (
    "clip_value",
    "clip_norm",
    "max_norm",
)  # None is a limit that is never reached
OWN = ("learning_rate", "schedule", "slots")  # of each network's rule, kept beside it
OF_TRAINER = attrgetter(
    "model",
    "model.buffers",
    "model.sample_shape",
    "optimizer",
    "loss_function",
    "seed",
    "backend",
    "dtype",
    "jit",
    "steps_per_graph",
    "average",
)  # what settings are read from, besides the layers, the rule and the loss
PLAIN = {bool, int, str, type(None)}
UNCHANGING = (FunctionType, BuiltinFunctionType, np.ufunc, ActivationFunction, type)
BOUND = {"_parameters", "_home", "_taken", "_start"}  # of a layer, by its model
COLUMNS, MATRICES = 2, 3  # axes of what the numbers of a rule, of a layer meet


def stack_key(trainer: "Trainer") -> tuple[Any, ...]:
    """Equal for two trainers if, and only if, one stack can hold both.

    A function of your own (an activation, an initialiser) counts as the same if it is
    the same object.
    """
    model = trainer.model
    parts: list[tuple[str, Any]] = [
        ("dtype", trainer.dtype.name),
        ("device", trainer.backend.device),
        ("samples", model.sample_shape),
        ("layers", len(model.layers)),
    ]
    for i, layer in enumerate(model.layers):
        parts += _fixed(f"layer {i}", layer)
    parts += _fixed("optimizer", trainer.optimizer)
    noisy = [one for one in trainer.optimizer.chain if one.uses_noise]
    parts.append(("gradient noise", len(noisy)))
    parts.append(("average", trainer.average is not None))
    parts += _fixed("loss", trainer.loss_function)
    parts += [("metrics", tuple(trainer.metrics.items()))]
    return tuple(parts)


def check_stackable(trainers: Sequence["Trainer"]) -> None:
    """Raises ValueError naming the first setting that keeps two trainers apart."""
    first = stack_key(trainers[0])
    for i, trainer in enumerate(trainers[1:], 1):
        for a, b in zip(first, stack_key(trainer), strict=False):
            if a != b:
                what = a[0] if a[0] == b[0] else f"{a[0]} and {b[0]}"
                raise ValueError(
                    f"a stack holds networks of one shape and kind: {what}: networks 0 "
                    f"and {i} have {a[1]!r} and {b[1]!r}; train them in two stacks"
                )


def _fixed(where: str, thing: Any) -> list[tuple[str, Any]]:
    """(name, value) of what must be the same in every network of a stack."""
    rows: list[tuple[str, Any]] = [(where, type(thing).__name__)]
    for name, value in thing.config().items():
        if name == "transforms":
            for i, transform in enumerate(value):
                rows += _fixed(f"{where}: transforms[{i}]", transform)
        elif name not in OWN and not _may_differ(name, value):
            rows.append((f"{where}: {name}", _Same(value)))
    return rows


def _may_differ(name: str, value: Any) -> bool:
    return isinstance(value, float) or (value is None and name in UNLIMITED)


class _Same:
    """A setting: equal to another if it is of the same type and value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or type(self.value) is not type(other.value):
            return False
        if isinstance(self.value, np.ndarray):
            return np.array_equal(self.value, other.value)
        return self.value is other.value or bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(repr(type(self.value)))

    def __repr__(self) -> str:
        return repr(self.value)


class RecordedSettings:
    """What a recorded step has taken from `trainer`, but for its arrays and rates.

    Every setting is an object that does not change. So while each attribute is the
    object that it was, they need not be read again.

    Attributes:
        settings: equal for two networks of equal `stack_key` if one may take the
            other's place in a program. The first entry is the seed, where steps draw
            from it. None where something may change unseen: an object of your own in a
            layer, a rule or a loss.
        things: the attributes of each layer, of the rule and of the loss.
        objects: all that the settings depend on: of the trainer, then names and values
            of the attributes.
    """

    def __init__(self, trainer: "Trainer") -> None:
        self.things: list[dict[str, Any]] = []
        self.objects = [*OF_TRAINER(trainer)]
        model, rule, backend = trainer.model, trainer.optimizer, trainer.backend
        drawn: list[Any] = [*rule.chain, *model.layers]
        noisy = any(one.uses_noise for one in drawn)
        found: list[Any] = [trainer.seed if noisy else None, model.sample_shape]
        found += [backend, trainer.dtype, trainer.jit]
        found += [trainer.takes_graphs, type(trainer.average)]
        parts = (*model.layers, rule, trainer.loss_function)
        known = all(_settings(thing, found, self._note) for thing in parts)
        self.settings = tuple(found) if known else None

    def _note(self, thing: Any) -> None:
        self.things.append(vars(thing))
        self.objects += [*vars(thing), *vars(thing).values()]


def settings_of(
    trainers: Sequence["Trainer"], known: dict[Any, RecordedSettings], sample: Any
) -> list[tuple[Any, ...] | None]:
    """The settings of each of these trainers.

    Args:
        trainers: in which something may have been assigned since the last call.
        known: what earlier calls have found, by weak reference to the trainer.
        sample: the shape of a sample; trainers that are not known are built for it.
    """
    found = []
    for trainer in trainers:
        one = known.get(ref(trainer))
        if one is not None:
            now = [*OF_TRAINER(trainer)]
            for thing in one.things:
                now += thing
                now += thing.values()
            same = len(now) == len(one.objects) and all(map(is_, now, one.objects))
            one = one if same and one.settings is not None else None
        if one is None:
            trainer.build(sample)
            one = known[ref(trainer, known.pop)] = RecordedSettings(trainer)
        found.append(one.settings)
    return found


def _settings(thing: Any, found: list[Any], note: Callable[[Any], None]) -> bool:
    """Append the settings of a layer, rule or loss; False where one is unknown."""
    made: Any = type(thing)
    note(thing)
    found.append(made)
    given, own, bound = _arguments(made), vars(thing), set()
    for parameter in own.get("_parameters", ()):
        bound.add(parameter.name)
    for name, value in own.items():
        kind = type(value)
        if name in OWN or name in BOUND:
            continue
        if kind in PLAIN:
            if value is not None or name in given:  # else a step may have left it
                found.append((name, kind, value))
        elif kind is float:
            found.append((name, kind, repr(value)))  # which tells 0.0 from -0.0
        elif isinstance(value, Layer | Transform):
            if not _settings(value, found, note):
                return False
        elif name == "transforms":
            if kind is not tuple or not all(_settings(t, found, note) for t in value):
                return False  # a list may change unseen
        elif isinstance(value, UNCHANGING) or (
            kind is tuple and {type(one) for one in value} <= PLAIN
        ):
            found.append((name, kind, value))
        elif hasattr(value, "strides"):
            written = name in bound or (name[:1] == "d" and name[1:] in bound)
            if name in given and not written:
                return False
        elif kind is not Noise:
            return False
    return True


@cache
def _arguments(kind: Any) -> frozenset[str]:
    """The names of a constructor's arguments."""
    return frozenset(name for name, _ in parameters(kind))


def stacked_model(trainers: Sequence["Trainer"]) -> Sequential:
    """A built model of the trainers' layers, without arrays."""
    bare = trainers[0].model.copy()
    asarray = trainers[0].backend.asarray
    for i, layer in enumerate(bare.layers):
        peers = [trainer.model.layers[i] for trainer in trainers]
        _merge(layer, peers, MATRICES, asarray)
    return bare


def stacked_optimizer(trainers: Sequence["Trainer"]) -> Optimizer:
    """The trainers' rule; it keeps what any of them keeps."""
    rules = [trainer.optimizer for trainer in trainers]
    merged = copy.copy(max(rules, key=lambda rule: len(rule.slots)))
    return _merge(merged, rules, COLUMNS, trainers[0].backend.asarray)


def stacked_loss(trainers: Sequence["Trainer"]) -> Loss:
    """The trainers' loss."""
    losses = [trainer.loss_function for trainer in trainers]
    merged = copy.copy(losses[0])
    return _merge(merged, losses, MATRICES, trainers[0].backend.asarray)


def _merge(into: T, peers: Sequence[Any], axes: int, asarray: Any) -> T:
    """Let `into` have, where its peers' numbers differ, those of all."""
    for name, value in list(vars(into).items()):
        values = [vars(peer).get(name) for peer in peers]
        if isinstance(value, Layer):
            _merge(value, values, axes, asarray)
        elif name == "transforms":
            merged = [
                _merge(copy.copy(own[0]), own, axes, asarray)
                for own in zip(*values, strict=True)
            ]
            setattr(into, name, tuple(merged))
        elif name in OWN or name.startswith("_") or not _numbers(name, values):
            continue
        elif any(other != values[0] for other in values):
            limits = [float("inf") if v is None else v for v in values]
            setattr(into, name, PerNetwork.of(limits, axes, asarray))
    return into


def _numbers(name: str, values: Sequence[Any]) -> bool:
    return all(_may_differ(name, value) for value in values)
