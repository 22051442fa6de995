"""Neural networks by matrix-form backpropagation on NumPy or CuPy.

    import xpnet as xn
    x, y = xn.datasets.digits()
    model = xn.Sequential([xn.Dense(128, activation="relu"), xn.Dense(10)])
    trainer = xn.Trainer(model, loss="softmax_cross_entropy")
    trainer.fit(x, y, epochs=20)

Names are imported when they are first used, so that the command line starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpnet.backend import (
        Backend,
        DeviceError,
        get_backend,
    )
    from xpnet.data import (
        Dataset,
        MinMaxScaler,
        Standardizer,
        datasets,
        load_csv,
        load_data,
        load_idx,
        load_mnist,
        load_npz,
        split,
        split_indices,
    )
    from xpnet.diagnosis import (
        check_gradients,
    )
    from xpnet.layers import (
        Activation,
        ActivationFunction,
        BatchNorm,
        BinaryCrossEntropy,
        Dense,
        Dropout,
        Flatten,
        GaussianNoise,
        Huber,
        Layer,
        LayerNorm,
        Loss,
        MeanAbsoluteError,
        MeanSquaredError,
        Sequential,
        SoftmaxCrossEntropy,
    )
    from xpnet.optim import (
        LBFGS,
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        AMSGrad,
        Constant,
        Cosine,
        ExponentialDecay,
        Lion,
        Nadam,
        Optimizer,
        RAdam,
        RMSprop,
        StepDecay,
        WarmUp,
        WeightAverage,
    )
    from xpnet.selection import (
        Ensemble,
        LearningCurve,
        LogUniform,
        Reliability,
        Temperature,
        Uniform,
        cross_validate,
        expected_calibration_error,
        grid_search,
        halving_search,
        k_folds,
        learning_curve,
        random_search,
        reliability,
    )
    from xpnet.stack import (
        Stack,
    )
    from xpnet.trace import (
        TraceError,
        derivative,
    )
    from xpnet.training import (
        Callback,
        Checkpoint,
        DivergenceError,
        EarlyStopping,
        History,
        Metric,
        ReduceOnPlateau,
        Trainer,
        confusion_matrix,
        minimize,
    )

__version__ = "0.1.0"

_ROOMS = {
    "backend": """
        Backend DeviceError get_backend
    """,
    "data": """
        Dataset MinMaxScaler Standardizer datasets load_csv load_data load_idx
        load_mnist load_npz split split_indices
    """,
    "layers": """
        Activation ActivationFunction BatchNorm BinaryCrossEntropy Dense Dropout Flatten
        GaussianNoise Huber Layer LayerNorm Loss MeanAbsoluteError MeanSquaredError
        Sequential SoftmaxCrossEntropy
    """,
    "optim": """
        SGD Adadelta Adagrad Adam AdamW Adamax AMSGrad Constant Cosine ExponentialDecay
        LBFGS Lion Nadam Optimizer RAdam
        RMSprop StepDecay WarmUp WeightAverage
    """,
    "selection": """
        Ensemble LearningCurve LogUniform Reliability Temperature Uniform cross_validate
        expected_calibration_error grid_search halving_search k_folds learning_curve
        random_search reliability
    """,
    "training": """
        Callback Checkpoint DivergenceError EarlyStopping History Metric
        ReduceOnPlateau Trainer confusion_matrix minimize
    """,
    "stack": "Stack",
    "diagnosis": "check_gradients",
    "trace": "TraceError derivative",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [
    "LBFGS",
    "SGD",
    "AMSGrad",
    "Activation",
    "ActivationFunction",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Backend",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Callback",
    "Checkpoint",
    "Constant",
    "Cosine",
    "Dataset",
    "Dense",
    "DeviceError",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "Ensemble",
    "ExponentialDecay",
    "Flatten",
    "GaussianNoise",
    "History",
    "Huber",
    "Layer",
    "LayerNorm",
    "LearningCurve",
    "Lion",
    "LogUniform",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "MinMaxScaler",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "Reliability",
    "Sequential",
    "SoftmaxCrossEntropy",
    "Stack",
    "Standardizer",
    "StepDecay",
    "Temperature",
    "TraceError",
    "Trainer",
    "Uniform",
    "WarmUp",
    "WeightAverage",
    "__version__",
    "check_gradients",
    "confusion_matrix",
    "cross_validate",
    "datasets",
    "derivative",
    "expected_calibration_error",
    "get_backend",
    "grid_search",
    "halving_search",
    "k_folds",
    "learning_curve",
    "load_csv",
    "load_data",
    "load_idx",
    "load_mnist",
    "load_npz",
    "minimize",
    "random_search",
    "reliability",
    "split",
    "split_indices",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        if name in _ROOMS:
            return import_module(f"xpnet.{name}")
        raise AttributeError(f"module 'xpnet' has no attribute {name!r}")
    value = getattr(import_module(f"xpnet.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
