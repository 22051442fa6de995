"""A step shared by threads: as call by call to the bit, whoever takes which part."""

import os
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import xpnet as xn
from tests.cases import LAYERS, RULES, TARGETS, data
from tests.training.examples import trainer
from tests.ways import curves, everything, same
from xpnet.backend import Backend, blas
from xpnet.backend.arrays import address
from xpnet.compiler import c as native
from xpnet.compiler import primitives, tuning
from xpnet.compiler.c import linker
from xpnet.compiler.row_partition import ALONE
from xpnet.trace import batch_sum
from xpnet.trace.array import base

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="no C compiler"),
    pytest.mark.skipif(blas.openblas() is None, reason="NumPy has no OpenBLAS"),
]
SAMPLES, BATCH = 70, 32


@pytest.fixture(autouse=True, params=[2, 5], ids="{} threads".format)
def threads(request, monkeypatch):
    """Threads of BLAS, all of which share even the smallest program."""
    monkeypatch.setattr(Backend, "threads", property(lambda self: request.param))
    monkeypatch.setattr(tuning, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(tuning, "ELEMENTS_PER_PART", 8)
    return request.param


def trained(jit, hidden="dense", epochs=3, **options):
    """(everything that a training has left, its curves, the trainer)."""
    targets = TARGETS[options.get("loss", "softmax_cross_entropy")]
    x, y = data(targets, SAMPLES)
    t = trainer(hidden, jit=jit, **options)
    t.fit(x, y, epochs, BATCH, sample_weight=np.linspace(0.0, 2.0, SAMPLES))
    return everything(t), curves(t.history), t


def assert_shared(t):
    steps = [step.program.native for step in t._steps]
    assert all(one.partition.threads > 1 for one in steps)


def test_a_shared_step_is_the_step_call_by_call():
    """By any number of threads; tests/cases.py has the rest for three."""
    rule = RULES["sgd with all"]
    (plain, a, _), (shared, b, t) = (
        trained(jit, "batch norm", loss="binary_cross_entropy", optimizer=rule(1))
        for jit in (False, True)
    )
    assert_shared(t)
    assert same(plain, shared)
    assert a == b


class Split(xn.Layer):
    """z = x W whose W is seen as blocks, with a row between that is scaled."""

    def __init__(self, way):
        self.way = way

    def build(self, shape):
        self.declare("W", (shape[0] + 1, 8), "glorot_uniform")
        return (8,)

    def forward(self, x, training):
        self.x, W = x, self.W
        return (
            x[..., :2] @ W[..., :2, :]
            + 0.5 * W[..., 2:3, :]
            + x[..., 2:] @ W[..., 3:, :]
        )

    def backward(self, delta):
        x, dW = self.x, self.dW
        if self.way == "twice":  # the later one has the last word
            dW[..., 1:4, :] = x[..., :3].swapaxes(-1, -2) @ delta
        dW[..., 2:3, :] = 0.5 * batch_sum(delta)
        dW[..., :2, :] = x[..., :2].swapaxes(-1, -2) @ delta
        dW[..., 3:, :] = x[..., 2:].swapaxes(-1, -2) @ delta
        return delta @ self.W[..., :5, :].swapaxes(-1, -2)


@pytest.mark.parametrize("way", ["between", "twice"])
def test_gradients_in_pieces_are_shared(way, monkeypatch):
    monkeypatch.setitem(LAYERS, way, lambda i: [Split(way), xn.Dense(6, "tanh")])
    (plain, a, _), (shared, b, t) = (trained(jit, way) for jit in (False, True))
    assert_shared(t)
    assert same(plain, shared)
    assert a == b
    eager, _, _ = trained(None, way, eager=True)
    assert np.allclose(
        eager["model.params"], shared["model.params"], rtol=1e-4, atol=1e-6
    )


def test_an_infinite_sum_that_is_no_gradient_ends_nothing():
    x, y = data(samples=SAMPLES)
    x[3] *= 1e30  # its square is no float32, and the scale of BatchNorm becomes 0
    found = []
    for jit in (False, True):
        t = trainer("batch norm", jit=jit)
        with np.errstate(all="ignore"):
            t.fit(x, y, 2, BATCH)
        found.append(everything(t))
    assert_shared(t)
    assert np.isfinite(found[0]["model.params"]).all()
    assert same(*found)


def test_the_parts_and_not_the_threads_decide_the_numbers(monkeypatch):
    with_followers, a, _ = trained(True, "deep")
    monkeypatch.setattr(linker.WORKERS, "join", lambda library, threads: None)
    alone, b, _ = trained(True, "deep", metrics=["accuracy"])
    assert same(with_followers, alone)
    assert a == b


def test_a_shared_step_agrees_with_one_in_a_piece(monkeypatch):
    shared, _, _ = trained(True, "deep", dtype="float64")
    monkeypatch.setattr(tuning, "WORK_PER_THREAD", 1 << 60)
    whole, _, t = trained(True, "deep", dtype="float64")
    assert all(s.program.partition == ALONE for s in t._steps)
    assert np.allclose(
        shared["model.params"], whole["model.params"], rtol=1e-12, atol=1e-13
    )


def test_step_reads_in_place_and_is_shared(threads):
    x, y = data(samples=BATCH)
    found = []
    for jit in (False, True):
        t = trainer("deep", jit=jit)
        for _ in range(4):
            t.step(x, y)  # of another dtype: copied
            t.step(np.asarray(x[::-1], np.float32, order="C"), y[::-1].copy())
        found.append(everything(t))
    assert_shared(t)
    assert same(*found)


@pytest.mark.slow
def test_blas_has_its_threads_back():
    own = blas.openblas()
    x, y = data("values", SAMPLES)
    with threadpool_limits(2, "blas"):
        for jit in (False, True):
            trained(jit)
            assert own.get() == 2
            t = trainer("deep", "mean_squared_error", xn.SGD(1e30), jit=jit)
            with pytest.raises(xn.DivergenceError):
                t.fit(x, y, 3, BATCH)
            assert own.get() == 2


def test_blas_is_kept_to_one_thread_within(monkeypatch):
    # Else the bits of a part depended on how BLAS divides it.
    seen = []

    def watched(*args):
        seen.append(blas.openblas().get())
        return np.dot(*args)

    monkeypatch.setattr(
        primitives, "product", lambda backend, a, b, out: (watched, (a, b, out))
    )
    with threadpool_limits(2, "blas"):
        trained(False)
    assert set(seen) == {1}


def test_blas_is_kept_to_one_thread_in_c_too(monkeypatch):
    told = []
    fake = blas.OpenBLAS(lambda: 2 if not told else told[-1], told.append)
    monkeypatch.setattr(blas, "openblas", lambda: fake)
    _, _, t = trained(True, epochs=30)  # some of them in one call
    assert told
    assert told == [1, 2] * (len(told) // 2)
    del told[:]
    x, y = data(samples=BATCH)
    t.step(x, y)
    assert told
    assert told == [1, 2] * (len(told) // 2)


def test_an_error_among_the_calls_gives_blas_its_threads_back():
    x, y = data(samples=BATCH)
    t = trainer(jit=False)
    t.step(x, y)
    row = t.last_step.program.segments["gradients"]

    def stop():
        raise KeyboardInterrupt

    row.insert(len(row) // 2, (stop, ()))
    with threadpool_limits(2, "blas"):
        with pytest.raises(KeyboardInterrupt):
            t.step(x, y)
        assert blas.openblas().get() == 2
        with pytest.raises(KeyboardInterrupt):
            t.fit(*data(samples=SAMPLES), 1, BATCH)
        assert blas.openblas().get() == 2


def test_a_program_recorded_beside_a_training_has_the_same_parts(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(tuning, "WORK_PER_THREAD", 1)
    with threadpool_limits(2, "blas"):
        alone = trained(False)[2]
        with blas.one_thread():  # as it is while another one trains
            beside = trained(False)[2]
        for one in (alone, beside):
            assert {s.program.partition.threads for s in one._steps} == {2}


def test_compiled_once_more_a_program_keeps_its_parts(monkeypatch):
    t = trained(False)[2]
    step = next(iter(t._steps))
    before = step.program.partition
    monkeypatch.setattr(Backend, "threads", property(lambda self: 7))
    assert step._record(True).partition == before


def test_trainings_side_by_side_share_one_crew():
    alone, _, _ = trained(True, "deep", epochs=40)
    found = []

    def run():
        found.append(trained(True, "deep", epochs=40)[0])

    running = [threading.Thread(target=run) for _ in range(4)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert len(found) == 4
    assert all(same(alone, other) for other in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("led", [False, True], ids=["idle", "led by another thread"])
def test_a_forked_process_trains_as_its_parent(led):
    expected, _, _ = trained(True, "deep")
    running = threading.Event()
    leads = threading.Thread(target=_trains_until, args=(running,))
    if led:
        leads.start()
        time.sleep(0.05)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            blas_alone = blas._ONE.threads
            again = same(trained(True, "deep")[0], expected)
            followed = linker.WORKERS.count > 0
            code = 0 if again and not blas_alone and followed else 2
        finally:
            os._exit(code)
    running.set()
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise AssertionError("the child waits for somebody who is not there")
    if led:
        leads.join()
    assert os.waitstatus_to_exitcode(status) == 0


def _trains_until(event):
    while not event.is_set():
        trained(True, "deep", epochs=30)


def test_followers_sleep_and_wake(threads):
    t = trained(True)[2]
    x, y = data(samples=BATCH)
    x = x.astype(np.float32)
    plain = trained(False)[2]
    for pause in (0.0, 0.02, 0.0, 0.02):  # they fall asleep after some 0.2 ms
        time.sleep(pause)
        for one in (t, plain):
            one.step(x, y)
    assert same(everything(t), everything(plain))
    assert linker.WORKERS.count >= threads - 1


def test_products_of_a_large_network_are_left_to_blas(monkeypatch):
    monkeypatch.setattr(tuning, "MAX_WEIGHT_BYTES", 10)
    t = trained(True)[2]
    assert all(s.program.partition == ALONE for s in t._steps)


@pytest.mark.parametrize("hidden", ["noise", "batch norm"])
def test_parts_of_buffers_lie_apart_and_within_their_memory(hidden):
    t = trained(True, hidden)[2]
    moved = 0
    for step in t._steps:
        program = step.program
        ends = {id(base(b)): address(b) + b.nbytes for b in program.owned}
        for op in (op for row in program.native.ops.values() for op in row):
            for at, apart in enumerate(op.share.apart if op.share else ()):
                if op.share.by[at] and apart:
                    ref = op.operands[at]
                    room = (program.partition.threads - 1) * apart
                    last = ref.offset + ref.nbytes + room
                    assert apart == tuning.PADDING_BYTES
                    assert last <= ends[ref.buffer]
                    moved += 1
    assert moved
