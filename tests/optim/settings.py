"""The update rules whose trajectories are compared with another framework's."""

from typing import Any

import numpy as np

from xpnet.optim import OPTIMIZERS, Cosine, ExponentialDecay, Optimizer, StepDecay

STEPS = 100
KEPT = [1, 2, 3, 10, 30, 60, 100]  # the steps whose parameters are stored
WEIGHTS = 8  # of the 12 elements of the flat problem; the others are biases

EVERYTHING = {
    "learning_rate": 0.03,
    "momentum": 0.8,
    "l1": 0.02,
    "l2": 0.05,
    "weight_decay": 0.1,
    "clip_value": 0.6,
    "clip_norm": 1.1,
}
# name -> (row of OPTIMIZERS, arguments).
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("sgd", {"learning_rate": 0.05}),
    "momentum": ("sgd", {"learning_rate": 0.02, "momentum": 0.9}),
    "nesterov": ("sgd", {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True}),
    "adam": ("adam", {"learning_rate": 0.05}),
    "adam with other betas": (
        "adam",
        {"learning_rate": 0.01, "beta1": 0.5, "beta2": 0.9, "eps": 1e-2},
    ),
    "adamw": ("adamw", {"learning_rate": 0.05}),
    "adamw with more decay": ("adamw", {"learning_rate": 0.02, "weight_decay": 0.5}),
    "sgd l2": ("sgd", {"learning_rate": 0.05, "l2": 0.3}),
    "momentum l2": ("sgd", {"learning_rate": 0.02, "momentum": 0.9, "l2": 0.3}),
    "adam l2": ("adam", {"learning_rate": 0.05, "l2": 0.3}),
    "sgd l1": ("sgd", {"learning_rate": 0.05, "l1": 0.2}),
    "adam l1": ("adam", {"learning_rate": 0.05, "l1": 0.2}),
    "sgd decay": ("sgd", {"learning_rate": 0.05, "weight_decay": 0.4}),
    "clip value": ("sgd", {"learning_rate": 0.05, "clip_value": 0.3}),
    "clip norm": ("sgd", {"learning_rate": 0.05, "clip_norm": 0.5}),
    "adam clip norm": ("adam", {"learning_rate": 0.05, "clip_norm": 0.5}),
    "everything": ("sgd", EVERYTHING),
    "step decay": ("sgd", {"learning_rate": StepDecay(0.1, 30, 0.5)}),
    "exponential": ("adam", {"learning_rate": ExponentialDecay(0.1, 20, 0.7)}),
    "cosine": ("sgd", {"learning_rate": Cosine(0.1, 120, 0.01), "momentum": 0.5}),
    # Without arguments: the defaults are PyTorch's.
    "adagrad": ("adagrad", {}),
    "adagrad from 0.1": (
        "adagrad",
        {"learning_rate": 0.3, "initial_accumulator_value": 0.1, "eps": 1e-3},
    ),
    "adadelta": ("adadelta", {}),
    "adadelta with more": ("adadelta", {"learning_rate": 5.0, "rho": 0.8, "eps": 1e-3}),
    "rmsprop": ("rmsprop", {}),
    "rmsprop centered": (
        "rmsprop",
        {"learning_rate": 0.02, "rho": 0.9, "centered": True, "eps": 0.1},
    ),
    "rmsprop momentum": ("rmsprop", {"rho": 0.95, "momentum": 0.9}),
    "rmsprop with all": (
        "rmsprop",
        {**EVERYTHING, "learning_rate": 0.005, "rho": 0.9, "centered": True},
    ),
    "amsgrad": ("amsgrad", {}),
    "amsgrad with other betas": (
        "amsgrad",
        {"learning_rate": 0.05, "beta1": 0.5, "beta2": 0.9, "eps": 1e-2, "l2": 0.1},
    ),
    "adamax": ("adamax", {}),
    "adamax with other betas": (
        "adamax",
        {"learning_rate": 0.02, "beta1": 0.5, "beta2": 0.99, "eps": 1e-2, "l2": 0.3},
    ),
    "nadam": ("nadam", {}),
    "nadam with more decay": (
        "nadam",
        {"learning_rate": 0.02, "beta1": 0.8, "momentum_decay": 0.5, "eps": 1e-3},
    ),
    "nadam by steps": ("nadam", {"learning_rate": StepDecay(0.05, 30), "l2": 0.1}),
    "radam": ("radam", {}),
    "radam with short memory": (
        "radam",
        {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "eps": 1e-2, "l2": 0.1},
    ),
    "radam never rectified": ("radam", {"learning_rate": 0.05, "beta2": 0.5}),
    "lion": ("lion", {"learning_rate": 0.01}),
    "lion with decay": (
        "lion",
        {"learning_rate": 0.02, "beta1": 0.7, "beta2": 0.9, "weight_decay": 0.4},
    ),
}


def optimizer(name: str) -> Optimizer:
    """The setting's update rule."""
    row, arguments = SETTINGS[name]
    return OPTIMIZERS[row](**arguments)


def flat_problem() -> tuple[np.ndarray, np.ndarray]:
    """(start, A) of the objective ½ pᵀ A p + Σ p⁴/4 - Σ p over weights and biases."""
    draw = np.random.Generator(np.random.Philox(31))
    start, b = draw.standard_normal(12), draw.standard_normal((12, 12))
    return start, b @ b.T / 12 + 0.1 * np.eye(12)


SHAPES = {"0.W": (4, 5), "0.b": (5,), "1.W": (5, 3), "1.b": (3,)}


def network_problem() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(parameters, x, y) of a network Dense(5, tanh), Dense(3), mean squared error."""
    draw = np.random.Generator(np.random.Philox(32))
    start = {name: draw.standard_normal(shape) for name, shape in SHAPES.items()}
    return start, draw.standard_normal((20, 4)), draw.standard_normal((20, 3))
