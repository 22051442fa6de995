"""Recorded steps: the newest are kept, in bounds, and what goes is freed at once."""

import gc
import weakref

import numpy as np
import pytest

import xpnet as xn
from xpnet.execution.batch import Batch
from xpnet.training import recent, recorded_steps
from xpnet.training.recent import Recent

X = np.random.default_rng(3).standard_normal((200, 6))
Y = np.arange(200) % 3
CALLS = {
    "predict": lambda t, n: t.predict(X[:n]),
    "evaluate": lambda t, n: t.evaluate(X[:n], Y[:n]),
    "step": lambda t, n: t.step(X[:n], Y[:n]),
    "stack": lambda t, n: xn.Stack([t, t.peer]).predict(X[:n]),
    "stack scores": lambda t, n: xn.Stack([t, t.peer]).evaluate(X[:n], Y[:n]),
}


def made(**options):
    model = xn.Sequential([xn.Dense(4, "relu"), xn.Dropout(0.1), xn.Dense(3)])
    trainer = xn.Trainer(model, "softmax_cross_entropy", device="cpu", **options)
    trainer.build(6)
    return trainer


class Step:
    """As large as it says."""

    program = None

    def __init__(self, nbytes=0):
        self.batch = type("Batch", (), {"x": type("X", (), {"nbytes": nbytes})})


def kinds(kept, names):
    return [name for name in names if kept.get(name) is not None]


def test_the_newest_are_kept():
    kept = Recent()
    for name in range(100):
        kept.put(name, Step())
        kept.get(3)
    assert len(kept) == recent.MOST
    assert kinds(kept, range(100)) == [3, *range(101 - recent.MOST, 100)]


def test_large_ones_push_out_more_and_the_newest_stays_in_any_case():
    kept = Recent()
    for name in range(8):
        kept.put(name, Step(recent.ROOM // 3))
    assert kinds(kept, range(8)) == [6, 7]
    kept.put("large", Step(2 * recent.ROOM))
    assert kinds(kept, [6, 7, "large"]) == ["large"]


def test_what_is_in_use_stays():
    kept = Recent()
    kept.put("used", Step())
    with kept.keeping(["used"]):
        for name in range(100):
            kept.put(name, Step(recent.ROOM))
        assert kinds(kept, ["used"]) == ["used"]
    for name in range(100):
        kept.put(name, Step())
    assert kinds(kept, ["used"]) == []


def test_each_taker_has_one_for_itself():
    kept, two = Recent(), [Step(), Step()]
    for step in two:
        kept.put("a", step)
    assert {kept.take("a"), kept.take("a")} == set(two)
    assert kept.take("a") is None


@pytest.mark.slow
@pytest.mark.parametrize(("call", "options"), [
    ("predict", {"eager": True}), ("predict", {"jit": True}), ("step", {"jit": True}),
    ("evaluate", {"jit": False}), ("step", {"eager": True}), ("stack", {"jit": False}),
    ("stack scores", {"jit": True}),
])  # fmt: skip
def test_memory_of_batch_lengths_gone_by_is_free(call, options, monkeypatch):
    batches = []
    real = Batch.__init__

    def noted(self, *arguments):
        real(self, *arguments)
        batches.append(weakref.ref(self.x.base))

    monkeypatch.setattr(Batch, "__init__", noted)
    monkeypatch.setattr(recent, "MOST", 4)
    trainer = made(**options)
    trainer.peer = made(seed=1, **options)
    gc.collect()
    gc.disable()
    try:
        for n in range(2, 12):
            CALLS[call](trainer, n)
        assert sum(batch() is not None for batch in batches) <= 4
    finally:
        gc.enable()


def test_a_step_gone_by_is_recorded_anew_with_the_same_results(monkeypatch):
    results = []
    for most in (1, 100):
        monkeypatch.setattr(recent, "MOST", most)
        trainer = made()
        for n in (3, 5, 4, 3, 5, 5, 4) * 3:
            trainer.step(X[:n], Y[:n])
        results.append(trainer.predict(X))
    assert np.array_equal(*results)


def test_a_fit_keeps_the_steps_that_it_uses(monkeypatch):
    class Many(xn.Callback):
        def on_epoch_end(self, trainer, row):
            for n in range(2, 12):
                trainer.predict(X[:n])
                trainer.evaluate(X[:n], Y[:n])
                if self.steps:
                    trainer.step(X[:n], Y[:n])

    made_steps = []
    real = recorded_steps.recorded

    def noted(backend, kind, record):
        made_steps.append(kind)
        return real(backend, kind, record)

    monkeypatch.setattr(recorded_steps, "recorded", noted)
    monkeypatch.setattr(recent, "MOST", 2)
    for eager in (False, True):
        del made_steps[:]
        callback, trainer = Many(), made(eager=eager)
        callback.steps = True
        held = (X[:90], Y[:90])
        trainer.fit(X, Y, 3, 64, held, callbacks=callback, verbose=False)
        # 64 and 8 samples to train on, 64 and 26 to be scored on.
        for n in (64, 26):
            assert [kind.shape[0] for kind in made_steps].count(n) == 1 + (n == 64)
