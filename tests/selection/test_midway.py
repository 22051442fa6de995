"""A search that is killed amid a stack goes on there."""

import errno

import pytest

import xpnet as xn
from tests.selection.examples import data
from tests.selection.test_store import maker, search
from xpnet.selection import store


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


def killed_amid(file, monkeypatch, stack, saves, **options):
    """A search that ends in the given stack, after so many saves of networks."""
    monkeypatch.setattr(store, "WORK", 1.0)  # every epoch is saved
    epochs, seen = [], []
    fit = xn.Stack.fit

    def counted(self, x, y, count, *more, **named):
        found = fit(self, x, y, count, *more, **named)
        epochs.append((self[-1].epochs_done, len(self)))
        seen[:] = [] if self[-1].epochs_done == 1 else seen
        seen.append(None)
        begun = sum(done == 1 for done, _ in epochs)
        if begun == stack and len(seen) > saves:
            raise Killed
        return found

    monkeypatch.setattr(xn.Stack, "fit", counted)
    try:
        return search(file, **options), epochs
    except Killed:
        return None, epochs
    finally:
        monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "saves"), [(1, 0), (1, 2), (2, 1)])
def test_a_search_goes_on_amid_a_stack(stack, saves, tmp_path, monkeypatch):
    make = maker(
        rule=lambda rate: xn.Adam(xn.Cosine(rate, 9)),
        layers=lambda: [xn.Dropout(0.2), xn.BatchNorm()],
        average=xn.WeightAverage(decay=0.9),
    )
    options = {"at_once": 3, "scale": "standard", "make": make}
    file = tmp_path / "f"
    wanted = search(None, **options)
    assert killed_amid(file, monkeypatch, stack, saves, **options)[0] is None
    assert (tmp_path / ".f.stack").exists() == bool(stack > 1 or saves)
    found, epochs = killed_amid(file, monkeypatch, None, 0, **options)
    assert found == wanted
    left = 3 * (2 - stack) + (3 - saves)
    assert [done for done, _ in epochs] == [3 - i % 3 for i in range(left)][::-1]
    assert list(tmp_path.iterdir()) == [file]


def test_networks_that_diverge_are_done_before_the_others(tmp_path, monkeypatch):
    """Their lines are written at once, and the others go on without them."""

    def explosive(learning_rate, seed=0):
        layers = [xn.Dense(4), xn.Dense(2)]
        rate = 1e6 if learning_rate == 0.1 else 1e-7
        return xn.Trainer(
            xn.Sequential(layers), "mean_squared_error", xn.SGD(rate), "cpu", seed=seed
        )

    options = {"make": explosive, "xy": data(regression=True), "epochs": 9}
    wanted = search(None, **options)
    file = tmp_path / "f"
    assert killed_amid(file, monkeypatch, 1, 4, **options)[0] is None
    assert file.read_text().count("training diverged") == 3
    found, epochs = killed_amid(file, monkeypatch, None, 0, **options)
    assert epochs == [(5 + i, 3) for i in range(5)]
    assert found == wanted
    assert found[0] == [None] * 3
    assert None not in found[1]


@pytest.mark.parametrize("harm", [b"", b"x" * 100, None, "other networks"])
def test_a_stack_that_does_not_fit_begins_anew(harm, tmp_path, monkeypatch):
    file, beside = tmp_path / "f", tmp_path / ".f.stack"
    killed_amid(file, monkeypatch, 1, 2)
    if harm == "other networks":
        make = maker("relu")
        found, epochs = killed_amid(file, monkeypatch, None, 0, make=make)
        assert (found, epochs[0]) == (search(None, make), (1, 6))
        return
    content = beside.read_bytes()
    beside.write_bytes(content[:-1] + b"?" if harm is None else harm)
    found, epochs = killed_amid(file, monkeypatch, None, 0)
    assert (found, epochs[0]) == (search(None), (1, 6))
    beside.write_bytes(content)  # of networks that are done by now
    assert search(file) == found
    assert list(tmp_path.iterdir()) == [file]


def test_a_stack_that_finds_no_room_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "WORK", 1.0)
    write_whole = store.write_whole

    def full(path, data):
        if path.suffix == ".stack":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(path, data)

    monkeypatch.setattr(store, "write_whole", full)
    with pytest.warns(UserWarning, match=r"cannot be written \(No space left"):
        assert search(tmp_path / "f") == search(None)
