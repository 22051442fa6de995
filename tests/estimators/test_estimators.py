"""What scikit-learn's MLP has not, and what everybody does with an estimator."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import xpnet as xn
from tests.cases import in_turns
from tests.estimators.examples import (
    CLASSIFIER,
    REGRESSOR,
    TASKS,
    binary,
    both,
    multiclass,
    multilabel,
    numbers,
    quietly,
)
from tests.standin import standin_backend
from xpnet.estimators.rules import PlainAdam
from xpnet.sklearn import GridSearch
from xpnet.training.data import Orders

OPTIONS = {"random_state": 0, "max_iter": 8, "device": "cpu"}


def make(kind, **options):
    return both(kind)[1](**{**OPTIONS, **options})


def fitted(kind, x, y, *more, **options):
    return quietly(make(kind, **options).fit, x, y, *more)


def classifier(**options):
    return fitted(CLASSIFIER, *multiclass(), **options)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "poisson"])
def test_a_pickle_predicts_and_goes_on_as_the_original(task):
    kind, data, own = TASKS[task]
    x, y = data()
    first = fitted(kind, x, y, dropout=0.2, batch_norm=True, batch_size=16, **own)
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.predict(x), first.predict(x))
    other = pickle.loads(pickle.dumps(again)).partial_fit(x, y)
    first.partial_fit(x, y)
    np.testing.assert_array_equal(other.predict(x), first.predict(x))


@pytest.mark.slow
def test_an_estimator_works_in_a_pipeline_a_search_and_two_processes():
    x, y = multiclass(60)
    pipe = make_pipeline(StandardScaler(), make(CLASSIFIER, learning_rate_init=0.01))
    grid = {"mlpclassifier__alpha": [0.0, 0.1]}
    one, two = (
        quietly(GridSearchCV(pipe, grid, cv=2, n_jobs=jobs).fit, x, y).cv_results_
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one["mean_test_score"], two["mean_test_score"])


def test_labels_may_be_text_and_several_a_sample():
    x, y = multiclass()
    names = np.array(["ash", "birch", "cedar"])
    options = {"max_iter": 100, "learning_rate_init": 0.01}
    model = fitted(CLASSIFIER, x, names[y], **options)
    assert list(model.classes_) == ["ash", "birch", "cedar"]
    assert model.score(x, names[y]) > 0.8
    log = model.predict_log_proba(x)
    np.testing.assert_allclose(np.exp(log).sum(axis=1), 1.0)
    x, y = multilabel()
    model = fitted(CLASSIFIER, x, y, **options)
    assert model.predict(x).shape == y.shape
    assert (model.predict(x) == y).mean() > 0.9


@pytest.mark.parametrize("solver", [*xn.optim.OPTIMIZERS, xn.AdamW(0.01, clip_norm=1)])
def test_every_update_rule_is_a_solver(solver):
    model = classifier(solver=solver, alpha=0.5)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    plain = classifier(solver=solver, alpha=0.0)
    assert not np.allclose(plain.coefs_[0], model.coefs_[0], atol=1e-7)


def test_alpha_is_the_l2_of_an_optimizer_where_batches_are_equal():

    x, y = multiclass(64)
    one = fitted(CLASSIFIER, x, y, batch_size=16, alpha=0.8)
    two = fitted(CLASSIFIER, x, y, batch_size=16, alpha=0.0, solver=PlainAdam(l2=0.05))
    np.testing.assert_allclose(one.coefs_[0], two.coefs_[0], rtol=1e-9)


def test_alpha_follows_the_weights_of_shuffled_batches():
    x, y = numbers(70)
    w = np.linspace(0.0, 3.0, 70)
    options = {"solver": "sgd", "momentum": 0.0, "batch_size": 32, "max_iter": 2}
    model = fitted(REGRESSOR, x, y, w, alpha=2.0, **options)
    trainer = model._network.trainer
    again = make(REGRESSOR, alpha=0.0, **options).fit
    (alpha,) = trainer.optimizer.transforms

    orders = Orders(trainer.seed, 32)
    for epoch in range(2):
        rows = orders.of(epoch, 70)
        sums = [w[rows[i : i + 32]].sum() for i in (0, 32, 64)]
        np.testing.assert_allclose(alpha.shares.of(epoch), 1.0 / np.array(sums))
        t = 3 * epoch + 2
        assert alpha.scalars(0.1, t)["share"] == pytest.approx(2.0 / sums[1])
    assert not np.allclose(quietly(again, x, y, w).coefs_[0], model.coefs_[0])


def test_each_hidden_layer_may_have_its_own_activation_dropout_and_norm():
    model = classifier(
        hidden_layer_sizes=[7, 6],
        activation=["tanh", lambda z: z / (1 + abs(z))],
        dropout=[0.0, 0.3],
        batch_norm=[True, False],
    )
    kinds = [type(layer).__name__ for layer in model._network.trainer.model.layers]
    assert kinds == ["Dense", "BatchNorm", "Activation", "Dense", "Dropout", "Dense"]
    assert [w.shape for w in model.coefs_] == [(4, 7), (7, 6), (6, 3)]
    assert model.n_layers_ == 4


def test_batch_norm_never_gets_a_batch_of_one():
    assert fitted(CLASSIFIER, *binary(201), batch_norm=True).n_iter_ == 8


def test_class_weight_is_a_weight_of_samples():
    x, y = multiclass()
    w = np.array([1.0, 5.0, 0.5])[y]
    one = fitted(CLASSIFIER, x, y, class_weight={1: 5.0, 2: 0.5})
    np.testing.assert_array_equal(one.coefs_[0], fitted(CLASSIFIER, x, y, w).coefs_[0])
    rare = fitted(CLASSIFIER, x, y, class_weight="balanced")
    assert not np.allclose(rare.coefs_[0], fitted(CLASSIFIER, x, y).coefs_[0])


def test_other_losses_and_label_smoothing_may_be_given():
    for loss in ("mean_absolute_error", "huber", xn.Huber(0.5)):
        model = fitted(REGRESSOR, *numbers(), loss=loss, max_iter=40)
        assert model.loss_curve_[-1] < model.loss_curve_[0]
    smooth = xn.SoftmaxCrossEntropy(label_smoothing=0.2)
    x, y = binary()
    options = {"max_iter": 300, "learning_rate_init": 0.01}
    model = fitted(CLASSIFIER, x, y, loss=smooth, **options)
    plain = fitted(CLASSIFIER, x, y, **options)
    assert (model.n_outputs_, plain.n_outputs_) == (2, 1)
    sure = [m.predict_proba(x).max(axis=1).mean() for m in (model, plain)]
    assert sure[0] < 0.93 < 0.97 < sure[1]
    assert model.score(x, y) > 0.9


def test_validation_gives_curves_and_callbacks_see_them():
    x, y = multiclass(90)
    model = make(CLASSIFIER, callbacks=[xn.ReduceOnPlateau("val_loss", patience=1)])
    quietly(model.fit, x[:60], y[:60], None, (x[60:], y[60:]))
    assert len(model.history_["val_loss"]) == 8
    assert model.history_["val_accuracy"][-1] == model.score(x[60:], y[60:])
    early = make(CLASSIFIER, early_stopping=True)
    quietly(early.fit, x[:60], y[:60], None, (x[60:], y[60:]))
    assert early.validation_scores_ == early.history_["val_accuracy"]
    assert max(early.validation_scores_) == early.score(x[60:], y[60:])


SPARSE = ["csr_array", "csc_matrix", "bsr_array", "coo_matrix", "dia_array"]
SPARSE += ["lil_matrix", "dok_array"]


def wide(matrix):
    """The same matrix, whose indices have 64 bits."""
    for name in ("indices", "indptr"):
        if hasattr(matrix, name):
            setattr(matrix, name, getattr(matrix, name).astype(np.int64))
    if hasattr(matrix, "coords"):
        matrix.coords = tuple(c.astype(np.int64) for c in matrix.coords)
    return matrix


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_samples_are_the_same_samples(kind):
    x, y = multiclass()
    x[np.abs(x) < 0.3] = 0.0
    dense = fitted(CLASSIFIER, x, y, max_iter=2).predict_proba(x)
    for samples in (getattr(sparse, kind)(x), wide(getattr(sparse, kind)(x))):
        model = fitted(CLASSIFIER, samples, y, max_iter=2)
        np.testing.assert_array_equal(model.predict_proba(samples), dense)
    search = GridSearch(make(CLASSIFIER, max_iter=2), {"alpha": [0.1, 0.2]}, cv=2)
    assert quietly(search.fit, samples, y).stacked_ == 4


@pytest.mark.parametrize(
    ("options", "kind"),
    in_turns(
        [
            {},
            {"early_stopping": True},
            {"class_weight": "balanced"},
            {"solver": "lbfgs"},
        ],
        ["csr_array", "coo_matrix", "dia_array"],
    ),
)
def test_sparse_labels_are_predicted_as_scikit_learn_predicts_them(kind, options):
    x, y = multilabel()
    labels = getattr(sparse, kind)(y)
    theirs = quietly(both(CLASSIFIER)[0](max_iter=2).fit, x, labels).predict(x)
    model = fitted(CLASSIFIER, x, labels, **options)
    found = model.predict(x)
    assert type(found) is type(theirs)
    assert (found.shape, found.dtype) == (theirs.shape, theirs.dtype)
    dense = fitted(CLASSIFIER, x, y, **options)
    np.testing.assert_array_equal(found.toarray(), dense.predict(x))
    assert model.score(x, labels) == dense.score(x, y)


def test_ending_too_early_is_told():

    x, y = numbers()
    for solver in ("adam", "lbfgs"):
        model = make(REGRESSOR, max_iter=2, solver=solver)
        with pytest.warns(ConvergenceWarning, match="max_iter=2 reached"):
            model.fit(x, y)
        assert model.n_iter_ == 2
    with pytest.warns(ConvergenceWarning, match="max_fun=3 reached"):
        make(REGRESSOR, solver="lbfgs", max_fun=3, max_iter=50).fit(x, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_device_gives_what_the_cpu_gives(standin, solver):
    x, y = multiclass(90)
    options = {"batch_norm": True, "alpha": 0.5, "dtype": "float64", "solver": solver}
    options |= {"warm_start": True, "early_stopping": True}
    models = []
    for device in ("cpu", standin_backend()):
        model = fitted(CLASSIFIER, x, y, device=device, **options)
        models.append(quietly(model.fit, x, y))
    on_cpu, on_device = models
    np.testing.assert_allclose(on_device.predict_proba(x), on_cpu.predict_proba(x))
    for a, b in zip(on_cpu.coefs_, on_device.coefs_, strict=True):
        assert type(b) is np.ndarray
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-9)
    if solver == "adam":
        np.testing.assert_allclose(on_device.loss_curve_, on_cpu.loss_curve_)
        on_device.set_params(early_stopping=False).partial_fit(x, y)


def test_lbfgs_has_no_partial_fit():
    assert not hasattr(make(CLASSIFIER, solver="lbfgs"), "partial_fit")
    assert hasattr(make(CLASSIFIER, solver="adam"), "partial_fit")


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(
    ("task", "rate"), [("numbers", 1e9), ("multiclass", 1.0), ("multiclass", 1e300)]
)
def test_early_stopping_keeps_the_best_weights_of_a_diverging_training(task, rate):
    """Those of scikit-learn; alone and within a stack; and it is told."""
    kind, data, _ = TASKS[task]
    x, y = data()
    options = {"solver": "sgd", "early_stopping": True, "max_iter": 30}
    options |= {"random_state": 0, "learning_rate_init": rate}
    theirs, ours = (both(kind)[i](**options) for i in (0, 1))
    quietly(theirs.fit, x, y)
    ours.set_params(device="cpu")
    if rate > 1.0:
        with pytest.warns(ConvergenceWarning, match="diverged.*best validation score"):
            ours.fit(x, y)
    else:
        quietly(ours.fit, x, y)
    for mine, their in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, their, rtol=1e-9)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    if rate == 1e300:  # the best are beyond all numbers too
        with pytest.raises(ValueError, match="predict: expected outputs within"):
            ours.score(x, y)
        return
    rows = np.arange(len(x))
    search = GridSearch(ours, {"alpha": [1e-4, 1e-3]}, cv=[(rows, rows)], refit=False)
    quietly(search.fit, x, y)
    assert search.stacked_ == 2
    score = search.cv_results_["split0_test_score"][0]
    assert score == pytest.approx(ours.score(x, y))


BAD = {
    "solver": [("adma", "did you mean 'adam'"), (3, "solver: expected a name")],
    "activation": [
        ("rleu", "did you mean 'relu'"),
        (["relu", "relu"], "activation: expected one value or 1"),
    ],
    "hidden_layer_sizes": [((0,), "hidden_layer_sizes: expected width 0 >= 1")],
    "alpha": [(-1.0, "alpha >= 0")],
    "learning_rate": [("constnat", "did you mean 'constant'")],
    "learning_rate_init": [(0.0, "learning_rate_init > 0")],
    "max_iter": [(0, "max_iter >= 1")],
    "validation_fraction": [(1.0, "validation_fraction < 1")],
    "batch_size": [(0, "batch_size")],
    "loss": [
        ("log_los", "did you mean 'log_loss'"),
        ("mean_squared_error", "unknown loss"),
        (xn.BinaryCrossEntropy(), "does not fit a multiclass y"),
    ],
    "dropout": [(1.5, "rate < 1")],
    "dtype": [("float16", "expected float32 or float64")],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_are_named(name):
    for value, message in BAD[name]:
        with pytest.raises(ValueError, match=message):
            make(CLASSIFIER, **{name: value}).fit(*multiclass())


def test_unfit_calls_are_named():
    x, y = multiclass()
    classes, warm = [0, 1, 2], classifier(warm_start=True)
    wild = {"solver": "sgd", "learning_rate_init": 1e9, "max_iter": 60}
    narrow = classifier(warm_start=True).set_params(hidden_layer_sizes=(5,))
    for function, arguments, message in (
        (make(CLASSIFIER, early_stopping=True).partial_fit, (x, y, None, classes),
         "does not support early_stopping"),
        (make(CLASSIFIER, class_weight="balanced").partial_fit, (x, y, None, classes),
         "'balanced' needs all samples at once"),
        (classifier().partial_fit, (x, y + 1), "classes not in"),
        (warm.fit, (x, y + 1), "same classes"),
        (narrow.fit, (x, y), "the same layers"),
        (make(CLASSIFIER, batch_norm=True).fit, (x[:1], y[:1]), "batch_norm: .*=1"),
        (make(REGRESSOR, loss="poisson").fit, (x, -1.0 - y), "y: expected numbers >= "),
        (make(REGRESSOR, **wild).fit, numbers(),
         "non-finite parameter weights: training div"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            function(*arguments)
    with pytest.warns(UserWarning, match="is more than the 70 samples"):
        quietly(make(CLASSIFIER, batch_size=100).fit, x, y)
