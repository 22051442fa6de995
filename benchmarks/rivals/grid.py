"""The grid as estimators are searched: a classifier, and what searches it."""

from typing import Any

from xpnet.benchmarks.study import Digits, Study


def searched(
    classifier: Any, search: Any, study: Study, data: Digits, seed: int, **options: Any
) -> list[float]:
    """Mean validation accuracy of each setting.

    scikit-learn's alpha is divided by the number of samples of a batch.

    Args:
        classifier, search: classes with the arguments of scikit-learn's MLPClassifier
            and GridSearchCV.
        options: of the search.
    """
    net = classifier(
        (study.hidden,),
        batch_size=study.batch,
        max_iter=study.epochs,
        tol=0.0,
        n_iter_no_change=study.epochs + 1,
        random_state=seed,
    )
    grid = {
        "learning_rate_init": list(study.rates),
        "alpha": [l2 * study.batch for l2 in study.penalties],
    }
    found = search(net, grid, cv=data.folds, refit=False, **options)
    found.fit(data.x, data.y)
    means = {
        (settings["learning_rate_init"], settings["alpha"]): mean
        for settings, mean in zip(
            found.cv_results_["params"],
            found.cv_results_["mean_test_score"].tolist(),
            strict=True,
        )
    }
    return [
        means[settings["learning_rate"], settings["l2"] * study.batch]
        for settings in study.settings
    ]
