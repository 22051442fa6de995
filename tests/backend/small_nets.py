"""Small trainings, and functions at the edges of arithmetic."""

import numpy as np

import xpnet as xn

SAMPLES, FEATURES, CLASSES = 37, 5, 3

MODELS = {
    "relu": lambda: [xn.Dense(6, "relu"), xn.Dense(CLASSES)],
    "smooth": lambda: [xn.Dense(6, "silu"), xn.Dense(4, "gelu"), xn.Dense(CLASSES)],
    "noise": lambda: [xn.Dropout(0.3), xn.GaussianNoise(0.2), xn.Dense(CLASSES)],
    "norms": lambda: [
        xn.Dense(6, "leaky_relu"),
        xn.BatchNorm(),
        xn.Dense(4, "elu"),
        xn.LayerNorm(),
        xn.Dense(CLASSES),
    ],
    "own": lambda: [
        xn.Dense(6, lambda z: np.where(z > 0.0, z, z / (1.0 + abs(z)))),
        xn.Dense(CLASSES),
    ],
}
RULES = {
    "relu": lambda: xn.SGD(0.1, momentum=0.9, nesterov=True, l1=1e-3, clip_norm=0.5),
    "smooth": lambda: xn.Adam(0.01, l2=1e-3, clip_value=0.1),
    "noise": lambda: xn.AdamW(0.01),
    "norms": lambda: xn.SGD(0.1),
    "own": lambda: xn.Adam(0.01),
}


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, SAMPLES)


def trainer(name, **options):
    model = xn.Sequential(MODELS[name]())
    loss = xn.SoftmaxCrossEntropy(label_smoothing=0.1)
    return xn.Trainer(model, loss, RULES[name](), device="cpu", **options)


def everything(t):
    buffers = t.model.buffers
    return [buffers.params, buffers.grads, buffers.state, *t.rule.slots]


def same(a, b):
    return all(map(np.array_equal, everything(a), everything(b)))


# What NaN, infinity and the sign of 0 tell apart.
AT_THE_EDGES = (
    lambda z: np.maximum(z, 0.0) + np.minimum(z, 1.0),
    lambda z: np.maximum(z, z[::-1]) * 1.0,
    lambda z: np.sign(z) * 2.0,
    lambda z: np.sqrt(abs(z)) - 1.0,
    lambda z: z - z.max(axis=-1, keepdims=True),
    lambda z: np.where(z > 0.0, z, -z) * 0.5,
)
