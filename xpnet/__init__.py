"""Neural networks by matrix-form backpropagation on NumPy or CuPy.

    import xpnet as xn
    x, y = xn.datasets.digits()
    model = xn.Sequential([xn.Dense(128, activation="relu"), xn.Dense(10)])
    trainer = xn.Trainer(model, loss="softmax_cross_entropy")
    trainer.fit(x, y, epochs=20)

A name is imported when it is first used, so that the command line starts at once. The
list of names is `__init__.pyi`, which type checkers read too.
"""

from importlib import import_module
from typing import Any

from xpnet.execution.observer import OBSERVERS
from xpnet.names import names_of

__version__ = "0.1.0"


def _doctor(*arguments: Any) -> Any:
    """What `fit(diagnose=True)` looks through; imported when it is asked for."""
    return import_module("xpnet.diagnosis.doctor").Doctor(*arguments)


OBSERVERS["doctor"] = _doctor


_MODULE = names_of("__init__.pyi")
_PACKAGES = {name for name, module in _MODULE.items() if module == "xpnet"}
__all__ = sorted({*_MODULE, "__version__"} - _PACKAGES)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"xpnet.{name}")
    if name not in _MODULE:
        raise AttributeError(f"module 'xpnet' has no attribute {name!r}")
    value = getattr(import_module(_MODULE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES})
