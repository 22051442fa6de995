"""Every way in for samples, targets and weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import xpnet as xn
from tests.cases import FEATURES, OUTPUTS, data
from tests.training.examples import trainer

X, Y = data()
VALUES = data("values")[1]
PLAIN = {"classes": Y, "values": VALUES, "binary": (VALUES > 0.0).astype(float)}
QUIET: dict[str, Any] = {"epochs": 1, "batch_size": 5, "verbose": False}

Entrance = Callable[[Any, Any, Any], Any]


def entrances(loss: str = "softmax_cross_entropy") -> dict[str, Entrance]:
    """{name: f(x, y, sample_weight)}, each on networks of its own, the same each time.

    What they give says what was learnt or scored: dictionaries and arrays.
    """

    def one(outputs: int = OUTPUTS, seed: int = 0) -> xn.Trainer:
        made = trainer(loss=loss, outputs=outputs, seed=seed)
        made.build(FEATURES)
        return made

    def learnt(train: Callable[..., Any]) -> Entrance:
        def enter(x: Any, y: Any, w: Any) -> Any:
            t = one()
            train(t, x, y, w)
            return t.parameters()

        return enter

    def stacked(x: Any, y: Any, w: Any) -> Any:
        stack = xn.Stack([one(), one(seed=1)])
        stack.fit(x, y, 1, 5, sample_weight=w, verbose=False)
        return [t.snapshot()[0] for t in stack.trainers]

    def ensemble(**scalers: Any) -> xn.Ensemble:
        return xn.Ensemble([one(), one(seed=1)], **scalers)

    def found(search: Callable[..., Any], **options: Any) -> Entrance:
        def enter(x: Any, y: Any, w: Any) -> Any:
            results = search(one, x, y, folds=3, sample_weight=w, **QUIET, **options)
            return [results.best.scores, getattr(results, "test", None)]

        return enter

    def curve(x: Any, y: Any, w: Any) -> Any:
        sizes = (0.5, 1.0)
        found = xn.learning_curve(one, x, y, sizes, folds=3, sample_weight=w, **QUIET)
        return found.test

    plain = PLAIN[trainer(loss=loss).loss_function.targets]
    kept = X.copy()
    return {
        "fit": learnt(lambda t, x, y, w: t.fit(x, y, 1, 5, sample_weight=w)),
        "step": learnt(lambda t, x, y, w: t.step(x, y, w)),
        "validation": learnt(lambda t, x, y, w: t.fit(kept, plain, 1, 5, (x, y, w))),
        "evaluate": lambda x, y, w: one().evaluate(x, y, w),
        "minimize": learnt(
            lambda t, x, y, w: xn.minimize(
                t, x, y, steps=2, sample_weight=w, verbose=False
            )
        ),
        "Stack.fit": stacked,
        "Stack.evaluate": lambda x, y, w: xn.Stack([one()]).evaluate(
            x, y, sample_weight=w
        ),
        "Ensemble.evaluate": lambda x, y, w: ensemble().evaluate(x, y, w),
        "Ensemble.score": lambda x, y, w: ensemble().score(x, y, [0, 5, 7], w),
        "check_gradients": lambda x, y, w: xn.check_gradients(
            one().model, loss, x, y, sample_weight=w, directions=1
        ),
        "cross_validate": found(xn.cross_validate),
        "grid_search": found(partial(xn.grid_search, space={}), test=0.3),
        "halving_search": found(
            partial(xn.halving_search, space={"seed": [0, 1]}, trials=2), test=0.3
        ),
        "learning_curve": curve,
    }


def readers() -> dict[str, Callable[[Any], Any]]:
    """{name: f(x)} that take samples alone."""
    t = trainer()
    t.build(FEATURES)
    scaler = xn.Standardizer.fit(X)
    return {
        "predict": t.predict,
        "predict_classes": t.predict_classes,
        "Stack.predict": xn.Stack([t]).predict,
        "Ensemble.predict": xn.Ensemble([t]).predict,
        "Ensemble.uncertainty": lambda x: xn.Ensemble([t]).uncertainty(x).total,
        "Ensemble with a scaler": xn.Ensemble([t], scaler=scaler).predict,
    }
