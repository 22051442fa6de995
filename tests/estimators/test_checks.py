"""scikit-learn's own checks of an estimator, all of them, none expected to fail."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.cases import in_turns
from xpnet.sklearn import MLPClassifier, MLPRegressor

ROOT = Path(__file__).resolve().parents[2]
# What a check may skip: the one needs an environment variable, the other a method that
# scikit-learn's own MLP has not either.
SKIPPED = {
    "check_array_api_input",
    "check_classifiers_multilabel_output_format_decision_function",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_scikit_learn_accepts_the_estimators(estimator, check):
    try:
        check(estimator)
    except SkipTest:
        assert check.func.__name__ in SKIPPED
        raise


@pytest.mark.slow
def test_what_needs_the_array_api_passes_with_it():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        "from xpnet.sklearn import MLPClassifier, MLPRegressor\n"
        "for kind in (MLPClassifier, MLPRegressor):\n"
        "    for estimator, check in estimator_checks_generator(kind()):\n"
        "        if check.func.__name__ == 'check_array_api_input':\n"
        "            check(estimator)\n"
        "            print('passed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["passed"] * 2


# In turns of a classifier and a regressor.
KINDS = [MLPClassifier, MLPRegressor]
OPTIONS = {
    "batch_norm": {"batch_norm": True},
    "dropout": {"dropout": 0.3},
    "class weights": {"class_weight": "balanced"},
    "huber": {"loss": "huber"},
    "one at a time": {"batch_size": 1},
    "float32": {"dtype": "float32"},
}
CHECKS = {  # those that options could change; the others are too long
    *("check_fit2d_1sample", "check_fit2d_1feature", "check_classifiers_one_label"),
    *("check_estimators_nan_inf", "check_estimators_dtypes", "check_dict_unchanged"),
    *("check_fit_check_is_fitted", "check_estimators_pickle", "check_n_features_in"),
    *("check_estimators_empty_data_messages", "check_estimator_sparse_array"),
    "check_sample_weights_not_an_array",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("option", "kind"), in_turns(OPTIONS, KINDS))
def test_scikit_learn_accepts_the_options_of_our_own(kind, option):
    names = [name for name in sorted(CHECKS) if hasattr(estimator_checks, name)]
    assert len(names) > 9
    for name in names:
        if kind is MLPClassifier or "classif" not in name:
            estimator = kind(max_iter=5, device="cpu", **OPTIONS[option])
            getattr(estimator_checks, name)(kind.__name__, estimator)
