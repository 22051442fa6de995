"""Checkpoints: a training that was stopped ends as one that never was."""

import json
import os
import signal
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest

import xpnet as xn
from tests.cases import RULES, SAMPLES, TARGETS, data
from tests.training.examples import trainer
from tests.training.test_callbacks import Do
from tests.ways import curves, same
from xpnet.training.description import counters
from xpnet.training.resume import Writer
from xpnet.training.runs import read_run
from xpnet.training.tensors import arrays

STEPS = 5  # of an epoch: 23 samples, 5 a batch
EPOCHS = 4


class Stop(BaseException):
    """What a test stops a training with: nothing in the library catches it."""


class StopAt(xn.Checkpoint):
    """Stops the training, as a kill would, once step `step` has been kept."""

    def __init__(self, directory, step, **options):
        super().__init__(directory, **options)
        self.stop_at = step

    def is_due(self, trainer, batch, seconds):
        if trainer.steps_done > self.stop_at:
            raise Stop
        return super().is_due(trainer, batch, seconds)


def state(t):
    """Everything that training changes."""
    named = [a for part in arrays(t).values() for a in part.values()]
    return named, counters(t)


def alike(a, b):
    return same(state(a)[0], state(b)[0]) and state(a)[1] == state(b)[1]


class Counting(xn.Callback):
    """A callback of one's own: what it counts, sums and keeps comes back by itself."""

    def __init__(self):
        self.seen, self.total, self.rows, self.where = 0, 0.0, [], {}
        self.last = None

    def on_epoch_end(self, trainer, row):
        self.seen += 1
        self.total += row["loss"]
        self.rows.append((trainer.epochs_done, row["loss"]))
        self.where[str(self.seen)] = [trainer.steps_done, None, True]
        self.last = np.array(trainer.parameters()["0.b"])


class Drawing(xn.Callback):
    """A callback whose state is none of plain values."""

    def __init__(self):
        self.draw = np.random.default_rng(5)

    def on_epoch_end(self, trainer, row):
        trainer.learning_rate *= float(self.draw.uniform(0.5, 1.0))

    def state(self, trainer):
        return {"draw": json.dumps(self.draw.bit_generator.state)}

    def load_state(self, trainer, state):
        self.draw.bit_generator.state = json.loads(state["draw"])


def made(case):
    """(trainer, x, y, options of fit) of a case, anew each time."""
    hidden, rule, options, more = CASES[case]
    t = trainer(hidden, optimizer=RULES[rule](1), seed=3, **options)
    x, y = data(TARGETS["softmax_cross_entropy"])
    return t, x, y, {"epochs": EPOCHS, "batch_size": 5, "verbose": False, **more()}


def held():
    return {"validation": data(seed=1)}


def watched():
    callbacks = [xn.ReduceOnPlateau(patience=1), xn.EarlyStopping(patience=2)]
    return {**held(), "callbacks": callbacks}


CASES = {
    "rule adam": ("dense", "adam", {}, dict),
    "layers": ("all", "sgd with all", {}, held),
    "eager": ("dropout", "adam", {"eager": True}, held),
    "jit": ("dropout", "adam", {"jit": True}, dict),
    "averages": ("batch norm", "adam", {"average": xn.WeightAverage(0.9)}, held),
    "early stopping": ("batch norm", "nesterov", {}, watched),
    "weights": (
        "noise",
        "sgd",
        {},
        lambda: {"sample_weight": np.arange(SAMPLES) % 3 + 0.5},
    ),
    "one batch": ("dropout", "adam", {}, lambda: {"batch_size": None}),
    "no shuffle": ("dense", "adam", {}, lambda: {"shuffle": False}),
    "gradient noise": ("dense", "noisy", {}, dict),
    "callbacks of one's own": (
        "dense",
        "adam",
        {},
        lambda: {"callbacks": [Counting(), Drawing()]},
    ),
    "metrics": (
        "dense",
        "adam",
        {"dtype": "float64", "metrics": ["accuracy", "top_3"]},
        held,
    ),
    "diagnosed": ("dense", "adam", {}, lambda: {"diagnose": True}),
}


def run(case, folder, checkpoint=None):
    """The trainer and its callbacks after one go at a case."""
    t, x, y, options = made(case)
    callbacks = options.pop("callbacks", [])
    if checkpoint is not None:
        options |= {"callbacks": [checkpoint, *callbacks], "resume": folder}
    else:
        options["callbacks"] = callbacks
    t.fit(x, y, **options)
    return t, callbacks


def told(t, callbacks):
    """What the callbacks hold."""
    return [
        json.dumps(c.state(t), sort_keys=True, default=lambda a: np.asarray(a).tolist())
        for c in callbacks
    ]


def ways(case):
    """(step to stop after, how often to keep)."""
    steps = {"every": 1, "unit": "steps"}
    if case == "one batch":
        return [(1, steps), (2, {"every": 1})]
    some = [(STEPS - 1, steps), (2 * STEPS + 3, {"every": 3, "unit": "steps"})]
    if case not in ("rule adam", "early stopping"):
        return some
    more = [(2 * STEPS, {"every": 1}), (3, {"every": 1e-6, "unit": "seconds"})]
    return [(1, steps), (STEPS, steps), *some, *more]


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_was_stopped_ends_as_one_that_was_not(case, tmp_path):
    straight, callbacks = run(case, tmp_path)
    for i, (at, options) in enumerate(ways(case)):
        folder = tmp_path / str(i)
        with pytest.raises(Stop):
            run(case, folder, StopAt(folder, at, **options))
        if options == {"every": 1, "unit": "steps"}:
            assert read_run(folder).rows[0]["steps_done"] == at
        for _ in ("going on", "finished already"):
            again, others = run(case, folder, xn.Checkpoint(folder, **options))
            assert alike(again, straight)
            assert curves(again.history) == curves(straight.history)
            assert again.history.stopped == again.stop == straight.history.stopped
            assert again.history.monitor == straight.history.monitor
            assert told(again, others) == told(straight, callbacks)


def test_it_goes_on_from_one_stop_after_another(tmp_path):
    straight, _ = run("early stopping", tmp_path)
    for at in range(1, straight.steps_done - 1, 2):
        stop = StopAt(tmp_path / "run", at, every=1, unit="steps")
        with pytest.raises(Stop):
            run("early stopping", tmp_path / "run", stop)
    again, _ = run("early stopping", tmp_path / "run", xn.Checkpoint(tmp_path / "run"))
    assert alike(again, straight)
    assert curves(again.history) == curves(straight.history)


def test_it_goes_on_without_keeping_more(tmp_path):
    straight, _ = run("metrics", tmp_path)
    folder = tmp_path / "run"
    with pytest.raises(Stop):
        run("metrics", folder, StopAt(folder, 7, every=1, unit="steps"))
    before = contents(folder)
    t, x, y, options = made("metrics")
    history = t.fit(x, y, resume=folder, **options)
    assert alike(t, straight)
    assert curves(history) == curves(straight.history)
    assert contents(folder) == before


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def handler(number, action):
    """Within the block the program has this handler."""
    around = signal.signal(number, action)
    try:
        yield
        assert signal.getsignal(number) is action
    finally:
        signal.signal(number, around)


class Raise(xn.Callback):
    """Raises a signal at the end of an epoch."""

    def __init__(self, number, epoch):
        self.number, self.epoch = number, epoch

    def on_epoch_end(self, trainer, row):
        if trainer.epochs_done == self.epoch:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("case", ["early stopping", "rule adam", "eager"])
def test_a_signal_ends_it_after_a_step_and_it_goes_on_within_the_epoch(
    case, name, tmp_path, capfd
):
    number, seen = getattr(signal, name), []
    straight, _ = run(case, tmp_path)
    folder = tmp_path / "run"
    act = signal.default_int_handler
    if name == "SIGTERM":

        def act(number, frame):
            seen.append((number, read_run(folder).rows[0]["steps_done"]))

    for press in (Raise(number, 2), Raise(0, -1)):
        t, x, y, options = made(case)
        callbacks = [*options.pop("callbacks", []), press, xn.Checkpoint(folder)]
        with handler(number, act):
            t.fit(x, y, callbacks=callbacks, resume=folder, **options)
        if press.epoch == 2:
            word = "interrupted" if name == "SIGINT" else "terminated"
            assert t.history.stopped == f"{word} in epoch 3 after batch 1"
            assert f"fit: {word} in epoch 3" in capfd.readouterr().err
            row = read_run(folder).rows[0]
            assert (row["epoch"], row["batch"], row["finished"]) == (2, 1, False)
    assert alike(t, straight)
    assert curves(t.history) == curves(straight.history)
    assert t.history.stopped == straight.history.stopped
    assert seen == ([(number, 2 * STEPS + 1)] if name == "SIGTERM" else [])


def test_sigterm_is_left_alone_where_nothing_is_kept_and_where_it_is_ignored(tmp_path):
    seen = []
    t, x, y, options = made("rule adam")
    with handler(signal.SIGTERM, lambda *arguments: seen.append(1)):
        history = t.fit(x, y, callbacks=Raise(signal.SIGTERM, 2), **options)
    assert (seen, history.stopped) == ([1], "")
    t, x, y, options = made("rule adam")
    callbacks = [xn.Checkpoint(tmp_path / "run"), Raise(signal.SIGTERM, 2)]
    with handler(signal.SIGTERM, signal.SIG_IGN):
        history = t.fit(x, y, callbacks=callbacks, **options)
    assert history.stopped == ""


def other(hidden="dense", rule="adam", **options):
    """What makes the training one of another trainer."""

    def change(given):
        options.setdefault("seed", 3)
        given["t"] = trainer(hidden, optimizer=RULES[rule](1), **options)

    return change


OTHERS = {
    "layers": other("no bias"),
    "optimizer": other(rule="nesterov"),
    "loss": other(loss=xn.SoftmaxCrossEntropy(0.1)),
    "seed": other(seed=4),
    "dtype": other(dtype="float64"),
    "metrics": other(metrics="top_3"),
    "average": other(average=xn.WeightAverage()),
    "x": lambda given: given.update(x=given["x"] + 1e-3),
    "y": lambda given: given.update(y=given["y"][::-1].copy()),
    "sample_weight": lambda given: given.update(sample_weight=np.ones(SAMPLES)),
    "validation x": lambda given: given.update(validation=data(seed=2)),
    "batch_size": lambda given: given.update(batch_size=4),
    "shuffle": lambda given: given.update(shuffle=False),
    "callbacks": lambda given: given.update(more=[xn.EarlyStopping("loss")]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_is_told_with_what_differs(name, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Stop):
        run("rule adam", folder, StopAt(folder, 3, every=1, unit="steps"))
    before = contents(folder)
    t, x, y, options = made("rule adam")
    given = {"t": t, "x": x, "y": y, "more": [], **options}
    OTHERS[name](given)
    t, x, y, more = (given.pop(key) for key in ("t", "x", "y", "more"))
    t.build(x.shape[1:])
    start = state(t)
    callbacks = [xn.Checkpoint(folder), *more]
    with pytest.raises(ValueError, match=rf"resume: .*another training: .*{name}"):
        t.fit(x, y, callbacks=callbacks, resume=folder, **given)
    assert same(state(t)[0], start[0])
    assert contents(folder) == before


def test_more_epochs_may_be_asked_for_until_it_has_finished(tmp_path):
    t, x, y, options = made("rule adam")
    t.fit(x, y, **options | {"epochs": 6})
    folder = tmp_path / "run"
    with pytest.raises(Stop):
        run("rule adam", folder, StopAt(folder, 8, every=1, unit="steps"))
    t2, _, _, _ = made("rule adam")
    options |= {"callbacks": xn.Checkpoint(folder), "resume": folder}
    with pytest.raises(ValueError, match="is in epoch 2, and 1 were asked for"):
        t2.fit(x, y, **options | {"epochs": 1})
    t2.fit(x, y, **options | {"epochs": 6})
    assert alike(t2, t)
    with pytest.raises(ValueError, match="had finished epoch 6, and 7 were asked for"):
        t2.fit(x, y, **options | {"epochs": 7})


def test_a_training_is_not_written_over(tmp_path):
    folder = tmp_path / "run"
    run("rule adam", folder, xn.Checkpoint(folder))
    before = contents(folder)
    t, x, y, options = made("rule adam")
    with pytest.raises(
        ValueError, match=r"holds a training, at step 20; fit\(.*resume="
    ):
        t.fit(x, y, callbacks=xn.Checkpoint(folder), **options)
    with pytest.raises(ValueError, match=r"holds 'checkpoint.json' and no saved model"):
        t.save(folder)
    t.save(tmp_path / "model")
    for given in ({"callbacks": xn.Checkpoint(tmp_path / "model")}, {}):
        with pytest.raises(ValueError, match=r"holds 'model.json' and no checkpoint"):
            t.fit(x, y, resume=tmp_path / "model", **options | given)
    assert contents(folder) == before


@pytest.fixture
def at_once(monkeypatch):
    """Every checkpoint is written before the training goes on."""
    monkeypatch.setattr(Writer, "put", lambda self, job: job())


@pytest.mark.usefixtures("at_once")
def test_old_checkpoints_are_kept_and_taken_where_the_newest_was_damaged(tmp_path):
    straight, _ = run("rule adam", tmp_path)
    folder = tmp_path / "run"
    with pytest.raises(Stop):
        run("rule adam", folder, StopAt(folder, 15, keep=3))
    rows = read_run(folder).rows
    assert [row["steps_done"] for row in rows] == [15, 10, 5]
    assert len(contents(folder)) == 1 + 3 * 3
    for row, harm in zip(rows, ("flip", "remove", "all"), strict=True):
        path = folder / row["files"]["weights"]
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        if harm == "remove":
            path.unlink()
        t, x, y, options = made("rule adam")
        if harm == "all":
            with (
                pytest.warns(RuntimeWarning, match="cannot be read"),
                pytest.raises(ValueError, match="SHA-256"),
            ):
                t.fit(x, y, resume=folder, **options)
        else:
            with pytest.warns(RuntimeWarning, match=r"newest .* cannot be read, the"):
                t.fit(x, y, resume=folder, **options)
            assert alike(t, straight)
            assert curves(t.history) == curves(straight.history)


@pytest.mark.slow
def test_every_flipped_bit_of_the_description_is_told(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Stop):
        run("callbacks of one's own", folder, StopAt(folder, 6))
    path = folder / "checkpoint.json"
    whole = path.read_bytes()
    for at in range(0, len(whole), 17):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"checkpoint\.json"):
            read_run(folder)


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_training_goes_on(
    tmp_path, monkeypatch
):
    straight, _ = run("rule adam", tmp_path)
    folder, real = tmp_path / "run", os.replace
    full = [True]

    def refuse(*paths):
        if full:
            raise OSError(28, "No space left on device")
        return real(*paths)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(RuntimeWarning, match=r"Checkpoint: .*No space left.*goes on"):
        t, _ = run("rule adam", folder, xn.Checkpoint(folder))
    assert alike(t, straight)
    assert contents(folder) == {}
    full.clear()
    again, _ = run("rule adam", folder, xn.Checkpoint(folder))
    assert alike(again, straight)


def test_two_trainings_in_one_folder_are_told(tmp_path):
    folder = tmp_path / "run"
    t, x, y, options = made("rule adam")

    def begin_another(trainer, epoch):
        if epoch == 1:
            run("rule adam", folder / "other", xn.Checkpoint(folder / "other"))
            for path in (folder / "other").iterdir():
                path.rename(folder / path.name)

    callbacks = [Do(begin_another), xn.Checkpoint(folder)]
    with pytest.warns(RuntimeWarning, match="another training writes its checkpoints"):
        t.fit(x, y, callbacks=callbacks, **options)


def test_what_is_not_kept_is_told(tmp_path):
    class Noisy(xn.Callback):
        def __init__(self):
            self.draw, self.act, self.count = np.random.default_rng(0), print, 0

    t, x, y, options = made("rule adam")
    options["callbacks"] = [Noisy(), xn.Checkpoint(tmp_path)]
    with pytest.warns(RuntimeWarning, match=r"Noisy\.draw is a Generator, .*not kept"):
        t.fit(x, y, **options)

    class Wrong(xn.Callback):
        def state(self, trainer):
            return {"draw": np.random.default_rng(0)}

    t, x, y, options = made("rule adam")
    options["callbacks"] = [Wrong(), xn.Checkpoint(tmp_path / "new")]
    with pytest.raises(TypeError, match=r"callback.0.draw: expected .*got Generator"):
        t.fit(x, y, **options)


class Config(Counting):
    """A callback with an argument."""

    def __init__(self, most, where):
        super().__init__()
        self.most, self.out = most, where


def test_a_callback_may_go_on_with_other_arguments_and_fills_the_lists_it_has(tmp_path):
    folder, callbacks = tmp_path / "run", []
    for most in (3, 5):
        t, x, y, options = made("rule adam")
        callbacks.append(Config(most, []))
        rows = callbacks[-1].rows
        keep = xn.Checkpoint(folder)
        if most == 3:
            keep = StopAt(folder, 11)
        with suppress(Stop):
            t.fit(x, y, callbacks=[callbacks[-1], keep], resume=folder, **options)
    assert (callbacks[-1].most, callbacks[-1].seen, len(rows)) == (5, EPOCHS, EPOCHS)
    assert rows is callbacks[-1].rows


def test_only_a_fit_of_one_network_can_go_on(tmp_path):
    t, x, y, _ = made("rule adam")
    keep = xn.Checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"Stack.fit: a Checkpoint is for Trainer.fit"):
        xn.Stack([t]).fit(x, y, callbacks=keep)
    with pytest.raises(ValueError, match=r"minimize: a Checkpoint is for Trainer.fit"):
        xn.minimize(t, x, y, callbacks=[keep])
    with pytest.raises(ValueError, match="expected one Checkpoint at most"):
        t.fit(x, y, callbacks=[keep, xn.Checkpoint(tmp_path / "b")])


WRONG = [
    ({"every": 0}, "every"),
    ({"every": 1.5}, "every"),
    ({"every": True}, "every"),
    ({"every": 0, "unit": "seconds"}, "every > 0"),
    ({"every": "1", "unit": "seconds"}, "every > 0"),
    ({"unit": "epoch"}, "did you mean 'epochs'"),
    ({"keep": 0}, "keep"),
    ({"directory": None}, "directory"),
    ({"directory": "a\0b"}, "directory"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_unfit_arguments_are_told(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        xn.Checkpoint(**{"directory": "run", **options})


def test_training_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    from xpnet.training import runs

    free, began = threading.Event(), threading.Event()
    real = runs.write_folder

    def slow(*arguments):
        began.set()
        assert free.wait(30.0)
        real(*arguments)

    monkeypatch.setattr(runs, "write_folder", slow)

    def at_the_end(trainer, epoch):
        if epoch == EPOCHS:  # the first one is still being written
            assert began.wait(30.0)
            free.set()

    t, x, y, options = made("rule adam")
    t.fit(x, y, callbacks=[Do(at_the_end), xn.Checkpoint(tmp_path)], **options)
    (row,) = read_run(tmp_path).rows
    assert (row["finished"], row["epoch"]) == (True, EPOCHS)


def test_states_come_back_as_they_were():
    from xpnet.training.states import is_plain, pack, unpack

    value = {
        "a": [1, 2.5, float("inf"), -0.0, None, True, "text", []],
        "b": (1, ("float", "inf"), [["array", "x"]]),
        "c": {"d": np.arange(6.0).reshape(2, 3).T, "e": np.float32(0.1)},
        "f": {},
    }
    arrays = {}
    packed = json.loads(json.dumps(pack(value, arrays, np.asarray, "s")))
    back = unpack(packed, arrays)
    assert repr(back) == repr(value)
    assert is_plain(value)
    assert not is_plain([1, {2: 3}])
    assert not is_plain({"a": {1, 2}})
    assert np.isnan(unpack(pack(np.nan, {}, np.asarray, ""), {}))
    for wrong in (["float"], ["tuple", 1], [3, []], ["what", "x"]):
        with pytest.raises(ValueError, match="expected a mark"):
            unpack(wrong, {})
