"""scikit-learn's MLPClassifier, MLPRegressor and GridSearchCV, on xpnet's training."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("xpnet.sklearn needs scikit-learn: pip install 'xpnet[sklearn]'")

from xpnet.estimators import GridSearch, MLPClassifier, MLPRegressor

__all__ = ["GridSearch", "MLPClassifier", "MLPRegressor"]
