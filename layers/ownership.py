"""A layer as part of a model: taken into one, copied, bound to its arrays, let go."""

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np

from xpnet.common import parameters
from xpnet.layers.layer import Layer
from xpnet.layers.parameters import fitting
from xpnet.trace import Noise, Traced


def without_home(layer: Layer) -> Layer:
    """The same layer as an object that knows of no model's arrays."""
    fresh = type(layer).__new__(type(layer))
    vars(fresh).update({k: v for k, v in vars(layer).items() if k != "_home"})
    return fresh


def bare(layer: Layer) -> Layer:
    """A copy of `layer` as its constructor left it, as far as one can tell."""
    kind: Any = type(layer)
    given = {name for name, _ in parameters(kind)}
    bound = {p.name for p in layer.declared} | {f"d{p.name}" for p in layer.declared}
    bound |= {"_home", "_taken", "_start"}
    fresh = type(layer).__new__(type(layer))
    found = vars(fresh)
    found.update(vars(layer))
    for name, value in vars(layer).items():
        left = hasattr(value, "strides") and name not in given  # by a step
        if name in bound or isinstance(value, Noise) or left:
            del found[name]
        elif isinstance(value, Layer):
            found[name] = bare(value)
        elif isinstance(value, list | dict | set):
            found[name] = copy.copy(value)
    found.update(vars(layer).get("_start", {}))
    return fresh


def taken(layer: Layer) -> Layer:
    """The layer for a model: a copy with its weights if another model has it."""
    if "_taken" in vars(layer):
        home = vars(layer).get("_home")
        values = {} if home is None else home.values()
        with nullcontext() if home is None else home.recording:
            layer = bare(layer)
        vars(layer).update(values)
    vars(layer)["_taken"] = True
    return layer


def keep_start(layer: Layer) -> None:
    """Arrays that were set as parameters before `build` are what these start from."""
    start = vars(layer)["_start"] = {}
    for p in layer.declared:
        value = vars(layer).get(p.name)
        if isinstance(value, list) or getattr(value, "shape", None):
            start[p.name] = fitting(p.name, value, p.shape, np.float64)


def unbind(layer: Layer) -> None:
    """Put the values in the place of the model's arrays that it starts from."""
    if vars(layer).pop("_home", None) is not None:
        for p in layer.declared:
            vars(layer).pop(p.name, None)
            vars(layer).pop(f"d{p.name}", None)
    vars(layer).update(vars(layer).get("_start", {}))


def forget(layer: Layer) -> None:
    """Drop what a recorded pass left in `layer` (its x, z, a): not arrays but nodes."""
    inner = [v for v in vars(layer).values() if isinstance(v, Layer)]
    for part in (layer, *inner):
        for name in [k for k, v in vars(part).items() if isinstance(v, Traced)]:
            delattr(part, name)
