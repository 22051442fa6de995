"""Steps in C, a few networks at a time and by several threads: as call by call."""

import os
import signal

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.training.examples import network
from tests.ways import assert_close, assert_same_curves, everything, held, rows, same
from xpnet.compiler import c as native
from xpnet.execution import network_blocks
from xpnet.stack import fit
from xpnet.stack.group import NetworkGroup

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
MEMBERS, EPOCHS, BATCH = 5, 3, 7


def assert_same_as_calls(make, **options):
    x, y = data()
    own = [rows(i) for i in range(MEMBERS)]
    kept = [held(i) for i in range(MEMBERS)]
    found = []
    for jit in (False, True):
        stack = xn.Stack([make(i, jit) for i in range(MEMBERS)])
        histories = stack.fit(
            x, y, EPOCHS, BATCH, own, validation_rows=kept, verbose=False, **options
        )
        found.append((stack, histories))
    (plain, a), (compiled, b) = found
    for i in range(MEMBERS):
        assert_close(everything(compiled[i]), everything(plain[i]), 0.0)
        assert_same_curves(b[i], a[i], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "rule"), [("dropout", "adam"), ("max norm", "noisy")]
)
def test_a_stack_in_c_is_the_stack_call_by_call(hidden, rule, split):
    assert_same_as_calls(lambda i, jit: network(i, hidden, rule, jit=jit))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_and_balanced_classes_go_along(dtype, split):
    assert_same_as_calls(
        lambda i, jit: network(i, jit=jit, dtype=dtype),
        sample_weight=np.linspace(0.0, 2.0, 23),
        class_weight="balanced",
    )


@pytest.mark.parametrize("hidden", ["dense", "batch norm"])
def test_networks_that_diverge_in_c_are_left_as_call_by_call(hidden, split):
    x, y = data("values")
    rates = [0.05, 1e30, 3e3, 0.05, 1e30]
    found = []
    for jit in (False, True):
        stack = xn.Stack(
            [
                network(i, hidden, xn.SGD(rate), "mean_squared_error", jit=jit)
                for i, rate in enumerate(rates)
            ]
        )
        histories = stack.fit(
            x, y, 6, BATCH, [rows(i) for i in range(MEMBERS)], verbose=False
        )
        found.append((stack, histories))
    (plain, a), (compiled, b) = found
    assert {1, 4} <= set(compiled.errors)
    assert {i: str(error) for i, error in plain.errors.items()} == {
        i: str(error) for i, error in compiled.errors.items()
    }
    for i in range(MEMBERS):
        assert_close(everything(compiled[i]), everything(plain[i]), 0.0)
        assert_same_curves(b[i], a[i], 0.0)


def test_full_steps_are_taken_in_c_together(monkeypatch):
    taken = []
    run = network_blocks.NetworkBlock.run

    def counted(self, stop):
        assert getattr(self._run.__self__, "in_c", True)
        taken.append((self.reached, stop, len(self.networks)))
        return run(self, stop)

    monkeypatch.setattr(network_blocks.NetworkBlock, "run", counted)
    monkeypatch.setattr(fit, "workers", lambda members: 1)
    x = np.zeros((64, 4), np.float32)
    stack = xn.Stack([network(i, jit=True) for i in range(4)])
    stack.fit(x, np.arange(64) % 3, 6, 8, verbose=False)
    assert sum((b - a) * k for a, b, k in taken) == 6 * 8 * 4
    assert any(a == 0 and b >= 8 for a, b, _ in taken)  # epochs in one go, in the end


def test_ctrl_c_ends_all_networks_after_the_same_step(monkeypatch):
    x, y = np.zeros((64, 4), np.float32), np.arange(64) % 3
    stack = xn.Stack([network(i, jit=True) for i in range(4)])
    advance, once = NetworkGroup._advance, iter([True])

    def pressed(self, i, most):
        if i >= 3 and next(once, False):
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, i, most)

    monkeypatch.setattr(NetworkGroup, "_advance", pressed)
    stack.fit(x, y, 3, 8, verbose=False)
    counts = {trainer.steps_done for trainer in stack.trainers}
    assert len(counts) == 1
    assert 3 < counts.pop() < 24
    assert all(t.stop.startswith("interrupted in epoch") for t in stack.trainers)


@pytest.mark.parametrize("hidden", ["dense", "batch norm"])
def test_one_network_diverges_in_c_as_call_by_call(hidden):
    x, y = data("values")
    found = []
    for jit in (False, True):
        t = network(0, hidden, xn.SGD(1e30), "mean_squared_error", jit=jit)
        with pytest.raises(xn.DivergenceError) as caught:
            t.fit(x, y, 5, 4, verbose=False)
        found.append((t, str(caught.value)))
    assert found[0][1] == found[1][1]
    assert same(everything(found[0][0]), everything(found[1][0]))
    assert found[0][0].steps_done == found[1][0].steps_done


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tiles_are_as_large_as_lets_the_threads_end_together(threads):
    def last(count, tile):
        return -(-len(range(0, count, tile)) // threads) * tile

    for count in range(1, 40):
        for most in range(1, 12):
            tile = network_blocks.balanced(count, most, threads)
            others = range(1, min(most, count) + 1)
            assert 1 <= tile <= min(most, count)
            assert last(count, tile) == min(last(count, other) for other in others)
