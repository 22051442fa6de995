"""History: curves, the table, the picture."""

import sys

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES, data
from tests.training.examples import trainer

PNG = b"\x89PNG\r\n\x1a\n"


def fitted(epochs=3, **options):
    x, y = data()
    return trainer().fit(x, y, epochs, 5, **options)


def table(values, name="val_loss"):
    """A history with these values of its monitored curve."""
    history = xn.History(name)
    for value in values:
        row = {"loss": 1.0, "learning_rate": 0.1, "samples_per_second": 1.0}
        history.rows.append(row if value is None else {name: value, **row})
    return history


def test_a_curve_has_a_value_an_epoch():
    x, y = data()
    history = fitted(3, validation=(x, y))
    names = ["loss", "val_loss", "val_accuracy", "learning_rate"]
    assert history.names == [*names, "seconds", "samples_per_second"]
    assert len(history) == 3
    for name in history.names:
        assert history[name] == [row[name] for row in history]
        assert all(isinstance(value, float) for value in history[name])
    speed = np.array(history["samples_per_second"]) * history["seconds"]
    assert speed == pytest.approx(SAMPLES)


def test_the_learning_rate_curve_holds_the_last_of_each_epoch():
    x, y = data()
    schedule = xn.Cosine(0.1, 15)
    history = trainer(optimizer=xn.SGD(schedule)).fit(x, y, 3, 5)
    assert history["learning_rate"] == [schedule(4), schedule(9), schedule(14)]


def test_a_misspelt_curve_is_told_the_nearest_one():
    with pytest.raises(KeyError, match=r"no curve 'val_los'; did you mean 'loss'"):
        fitted(1)["val_los"]


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("val_loss", [3.0, 1.0, 2.0], 2),
        ("val_loss", [1.0, 1.0, 2.0], 1),
        ("val_accuracy", [0.3, 0.9, 0.9, 0.1], 2),
        ("val_r2", [-1.0, -3.0], 1),
        ("val_loss", [2.0, None, 3.0], 1),
        ("val_loss", [None, None], None),
        ("val_loss", [], None),
        ("val_loss", [float("nan"), 2.0, 1.0], 3),
        ("val_loss", [2.0, float("nan"), 3.0], 1),
    ],
)
def test_the_best_epoch_has_the_best_value(name, values, best):
    assert table(values, name).best_epoch == best


@pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 1)])
def test_a_curve_of_ones_own_says_which_end_is_good(higher, best):
    history = table([0.1, 0.9, 0.5], "val_auc")
    with pytest.raises(ValueError, match=r"whether a higher 'val_auc' is better"):
        _ = history.best_epoch
    history.higher_is_better["val_auc"] = higher
    assert history.best_epoch == best
    assert xn.History("val_auc", {"val_auc": higher}).best_epoch is None


@pytest.mark.parametrize("monitor", ["val_acc", "seconds", "val_los"])
def test_a_monitor_without_a_direction_is_never_guessed(monitor):
    history = fitted(2, validation=data())
    history.monitor = monitor
    with pytest.raises(ValueError, match=f"history.monitor: .*{monitor}"):
        _ = history.best_epoch


def test_the_table_marks_the_best_epoch():
    lines = str(table([3.0, 1.0, 2.0])).splitlines()
    assert lines[0].split() == [
        "epoch",
        "val_loss",
        "loss",
        "rate",
        "samples/s",
        "best",
    ]
    assert [line.endswith("*") for line in lines] == [False, False, True, False]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["1", "3"],
        ["2", "1"],
        ["3", "2"],
    ]
    assert lines[2].index("*") > lines[0].index("best") - 2
    assert str(xn.History()) == "no epochs yet"


def test_what_is_printed_while_training_is_the_table(capsys):
    x, y = data()
    history = fitted(3, validation=(x, y), verbose=True)
    printed = capsys.readouterr().out.splitlines()
    lines = str(history).splitlines()
    assert printed[0] == lines[0]
    for shown, line in zip(printed[1:], lines[1:], strict=True):
        assert shown.removesuffix("*").split() == line.removesuffix("*").split()


@pytest.mark.parametrize("verbose", [None, False])
def test_nothing_is_printed_where_there_is_no_terminal(verbose, capsys):
    fitted(2, verbose=verbose)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_plot_is_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    x, y = data()
    path = tmp_path / "curves.png"
    history = fitted(4, validation=(x, y))
    figure = history.plot(path)
    assert path.read_bytes().startswith(PNG)
    loss, accuracy = figure.axes
    training, validation = loss.lines[:2]
    assert list(training.get_ydata()) == history["loss"]
    assert list(validation.get_ydata()) == history["val_loss"]
    assert list(training.get_xdata()) == [1, 2, 3, 4]
    assert list(accuracy.lines[0].get_ydata()) == history["val_accuracy"]
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    assert fitted(2).plot(None).axes[0].get_ylabel() == "loss (mean over samples)"


@pytest.mark.slow
def test_a_run_that_was_interrupted_can_be_plotted(tmp_path):
    pytest.importorskip("matplotlib")
    history = table([3.0, 1.0, None])  # the last epoch has no validation loss
    history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


def test_a_plot_without_matplotlib_tells_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match="pip install 'matplotlib"):
        fitted(1).plot()
