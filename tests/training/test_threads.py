"""One trainer and several threads: who may do what while another trains."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xpnet as xn
from xpnet.execution.step import TrainingStep
from xpnet.execution.steps import StepBlock
from xpnet.training.epochs import EpochBlock

LONG = 60.0  # seconds after which a wait counts as one for ever
X = np.random.default_rng(2).standard_normal((64, 6))
Y = np.arange(64) % 3


def made(seed=0, **options):
    model = xn.Sequential([xn.Dense(8, "tanh"), xn.Dense(3)])
    options = {"device": "cpu", **options}
    return xn.Trainer(model, "softmax_cross_entropy", seed=seed, **options)


class Pause(xn.Callback):
    """Lets another thread go on at the end of the first epoch, and waits for it."""

    def __init__(self):
        self.there, self.on = threading.Event(), threading.Event()

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, trainer, row):
        self.there.set()
        assert self.on.wait(LONG)


TRAININGS = {
    "fit": lambda t, p: t.fit(X, Y, 2, callbacks=p, verbose=False),
    "minimize": lambda t, p: xn.minimize(t, X, Y, steps=2, callbacks=p, verbose=False),
    "stack": lambda t, p: xn.Stack([t, made(1)]).fit(X, Y, 2, callbacks=p),
}
CHANGES = {
    "fit": lambda t, folder: t.fit(X, Y, 1, verbose=False),
    "step": lambda t, folder: t.step(X, Y),
    "minimize": lambda t, folder: xn.minimize(t, X, Y, steps=1, verbose=False),
    "stack": lambda t, folder: xn.Stack([made(1), t]).fit(X, Y, 1),
    "set_parameters": lambda t, folder: t.set_parameters({"1.b": [0.0] * 3}),
    "item": lambda t, folder: t.parameters().__setitem__("1.b", [0.0] * 3),
    "attribute": lambda t, folder: setattr(t.model.layers[1], "b", np.zeros(3)),
    "restore": lambda t, folder: t.restore(t.snapshot()),
    "another dtype": lambda t, folder: xn.Trainer(
        t.model, "softmax_cross_entropy", device="cpu", dtype="float64"
    ),
}
USES = {
    "predict": lambda t, folder: t.predict(X),
    "evaluate": lambda t, folder: t.evaluate(X, Y),
    "save": lambda t, folder: t.save(folder),
    "snapshot": lambda t, folder: t.snapshot(),
    "copy": lambda t, folder: t.model.copy(),
    "stack": lambda t, folder: xn.Stack([t, made(1)]).predict(X),
    "layers": lambda t, folder: xn.Sequential(t.model.layers),
}


@pytest.fixture(params=TRAININGS)
def training(request):
    """(a trainer that another thread trains and has paused, the kind of training)."""
    trainer, pause = made(), Pause()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(TRAININGS[request.param], trainer, pause)
        try:
            assert pause.there.wait(LONG)
            yield trainer, request.param
        finally:
            pause.on.set()
        running.result(LONG)


def test_another_thread_may_use_and_not_change_what_is_trained(training, tmp_path):
    trainer, kind = training
    before = trainer.predict(X)
    for name, change in CHANGES.items():
        with pytest.raises(RuntimeError, match="trained in another thread"):
            change(trainer, tmp_path)
        assert np.array_equal(trainer.predict(X), before), name
    for name, use in USES.items():
        if (kind, name) == ("stack", "save"):  # what is newest is in the stack
            with pytest.raises(RuntimeError, match="trained in another thread"):
                use(trainer, tmp_path)
        else:
            use(trainer, tmp_path)
    assert np.array_equal(trainer.predict(X), before)


def test_after_the_training_everything_goes_again(tmp_path):
    for train in TRAININGS.values():
        trainer, pause = made(), Pause()
        pause.on.set()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(train, trainer, pause).result(LONG)
        for do in (*USES.values(), *CHANGES.values()):
            do(trainer, tmp_path / "model")


def test_a_training_that_fails_leaves_nothing_held(tmp_path):
    class Error(Exception):
        pass

    class Fails(xn.Callback):
        def on_epoch_end(self, trainer, row):
            raise Error

    for train in TRAININGS.values():
        trainer = made()
        with ThreadPoolExecutor(1) as pool, pytest.raises(Error):
            pool.submit(train, trainer, Fails()).result(LONG)
        CHANGES["step"](trainer, tmp_path)


@pytest.mark.parametrize("jit", [True, False])
def test_a_callback_may_use_the_trainer_and_let_threads_use_it(jit, tmp_path):
    class Uses(xn.Callback):
        def on_epoch_end(self, trainer, row):
            for use in (*USES.values(), CHANGES["restore"], CHANGES["step"]):
                use(trainer, tmp_path / "own")
            with ThreadPoolExecutor(2) as pool:
                found = [pool.submit(trainer.predict, X) for _ in range(4)]
                assert len({one.result(LONG).tobytes() for one in found}) == 1

    trainer = made(jit=jit)
    trainer.fit(X, Y, 2, 16, callbacks=Uses(), verbose=False)
    assert trainer.steps_done == 2 * 4 + 2


@pytest.mark.parametrize("options", [{}, {"eager": True}], ids=["recorded", "eager"])
def test_threads_may_predict_beside_a_training(options):
    trainer, done = made(**options), threading.Event()
    trainer.fit(X, Y, 1, verbose=False)

    def use():
        while not done.is_set():
            assert np.isfinite(trainer.predict(X)).all()
            assert np.isfinite(trainer.evaluate(X, Y)["loss"])

    with ThreadPoolExecutor(2) as pool:
        users = [pool.submit(use) for _ in range(2)]
        try:
            trainer.fit(X, Y, 40, 16, validation=(X, Y), verbose=False)
        finally:
            done.set()
        for user in users:
            user.result(LONG)
    alone = made(**options)
    alone.fit(X, Y, 1, verbose=False)
    alone.fit(X, Y, 40, 16, validation=(X, Y), verbose=False)
    assert np.array_equal(trainer.predict(X), alone.predict(X))


def test_threads_step_one_after_the_other():
    trainer = made()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: trainer.step(X, Y), range(80)))
    alone = made()
    for _ in range(80):
        alone.step(X, Y)
    assert trainer.steps_done == 80
    assert np.array_equal(trainer.predict(X), alone.predict(X))


@pytest.mark.parametrize("eager", [False, True])
def test_a_model_is_built_once_by_threads_that_predict_with_it(eager):
    trainer, at_once = made(eager=eager), threading.Barrier(4)

    def use(i):
        at_once.wait(LONG)
        if i == 1:
            with pytest.raises(ValueError):
                trainer.fit(X, Y[:-1], verbose=False)
        return trainer.predict(X)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(use, range(4)))
    assert {one.tobytes() for one in found} == {made().predict(X).tobytes()}


def test_within_averaged_others_predict_and_do_not_save(tmp_path):
    trainer = made(average=xn.WeightAverage(0.9))
    trainer.fit(X, Y, 2, verbose=False)
    wanted = trainer.predict(X)
    with ThreadPoolExecutor(1) as pool:
        with trainer.averaged():
            assert np.array_equal(trainer.predict(X), wanted)
            assert np.array_equal(pool.submit(trainer.predict, X).result(LONG), wanted)
            for refused in (USES["save"], CHANGES["step"]):
                with pytest.raises(RuntimeError, match="another thread"):
                    pool.submit(refused, trainer, tmp_path).result(LONG)
        pool.submit(USES["save"], trainer, tmp_path).result(LONG)
    assert np.array_equal(trainer.predict(X), wanted)


class Kept(xn.Layer):
    """a = x, by way of an attribute."""

    def forward(self, x, training):
        self.x = x
        time.sleep(0.001)
        return self.x * 1.0

    def backward(self, delta):
        return delta


@pytest.mark.parametrize("other", ["eager", "recorded", "another trainer"])
def test_what_a_layer_keeps_is_of_one_pass(other):
    model = xn.Sequential([xn.Dense(8, "tanh"), Kept(), xn.Dense(3)])
    options = {"device": "cpu", "jit": False}
    loss = "softmax_cross_entropy"
    first = xn.Trainer(model, loss, eager=other != "recorded", **options)
    second = xn.Trainer(model, loss, **options) if other.startswith("a") else first
    inputs = [X[:n] for n in range(4, 24)]
    wanted = [first.predict(x) for x in inputs]
    for trainer in (first, second):  # so that steps are recorded beside passes
        trainer._evaluations.clear()

    def use(i):
        trainer = (first, second)[i % 2]
        return trainer.predict(inputs[i])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(use, range(len(inputs))))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


SPANS = {
    "epochs in C": (EpochBlock, "run_epochs", {"jit": True}),
    "steps": (StepBlock, "run", {"jit": False}),
    "eager steps": (TrainingStep, "run", {"eager": True}),
}


@pytest.mark.parametrize("span", SPANS)
def test_no_one_reads_within_a_span_of_steps(span, monkeypatch):
    kind, name, options = SPANS[span]
    trainer, alone, real = made(**options), [], getattr(kind, name)
    trainer.fit(X, Y, 1, 16, verbose=False)

    def noted(self, *arguments):
        alone.append(trainer.model.access._writer == threading.get_ident())
        return real(self, *arguments)

    monkeypatch.setattr(kind, name, noted)
    trainer.fit(X, Y, 8, 16, verbose=False)
    assert alone
    assert all(alone)
