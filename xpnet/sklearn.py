"""scikit-learn estimators: `from xpnet.sklearn import MLPClassifier, MLPRegressor`."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("xpnet.sklearn needs scikit-learn: pip install 'xpnet[sklearn]'")

from xpnet.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
