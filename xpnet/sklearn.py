"""scikit-learn's MLPClassifier, MLPRegressor and GridSearchCV, on xpnet's training."""

from importlib.util import find_spec

from xpnet.common.install import install

if find_spec("sklearn") is None:
    raise ImportError(f"xpnet.sklearn needs scikit-learn: {install('sklearn')}")

from xpnet.estimators import GridSearch, MLPClassifier, MLPRegressor

__all__ = ["GridSearch", "MLPClassifier", "MLPRegressor"]
