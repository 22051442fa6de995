"""What networks of a stack must not take from each other, and threads not wait for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xpnet as xn
from tests.ways import everything, same
from xpnet.compiler import c as native
from xpnet.execution.network_blocks import NetworkBlock, take_turns

rng = np.random.default_rng(0)
X = rng.standard_normal((32, 5)).astype(np.float32)
Y = rng.standard_normal((32, 1)).astype(np.float32)


def trainer(rule, seed=0, **options):
    layers = [xn.Dense(8, "tanh"), xn.Dense(1)]
    return xn.Trainer(
        xn.Sequential(layers), "mean_squared_error", rule, "cpu", seed=seed, **options
    )


class WarmL2(xn.Transform):
    """λ(t) W joins the gradient; the name of λ is one of a rule's own arguments."""

    of_weights = True

    def __init__(self, l2):
        self.l2 = l2

    def scalars(self, rate, t):
        return {"now": self.l2 * min(1.0, t / 10)}

    def apply(self, p, g, rate, now):
        return g + now * p


class Curve(WarmL2):
    """Another curve per network, longer than NumPy prints."""

    def __init__(self, l2):
        super().__init__(0.0)
        self._curve = np.zeros(4000)
        self._curve[2000] = l2

    def scalars(self, rate, t):
        return {"now": float(self._curve[2000])}


class OwnRule(xn.SGD):
    """Takes an argument of every rule as a number of its step."""

    def scalars(self, rate, t):
        return {"rate": rate / (1.0 + self.weight_decay)}


RULES = {
    "an own transform": lambda n: xn.SGD(0.05, transforms=[WarmL2(n)]),
    "an array in it": lambda n: xn.SGD(0.05, transforms=[Curve(n)]),
    "an own rule": lambda n: OwnRule(0.05, weight_decay=n),
}


@pytest.mark.parametrize("rule", RULES)
def test_numbers_are_shared_only_by_networks_that_have_the_same(rule):
    stacked, alone = ([trainer(RULES[rule](n)) for n in (0.0, 5.0)] for _ in "ab")
    xn.Stack(stacked).fit(X, Y, 5, 8, verbose=False)
    for one, other in zip(stacked, alone, strict=True):
        other.fit(X, Y, 5, 8, verbose=False)
        for a, b in zip(
            one.parameters().values(), other.parameters().values(), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_chain_that_is_a_list_is_read_anew():
    """It may change without being another object."""

    def after(add):
        rule = xn.SGD(0.1)
        rule.transforms = [WarmL2(0.1)]
        t = trainer(rule)
        stack = xn.Stack([t])
        for _ in range(2):
            stack.fit(X, Y, 2, 8, verbose=False)
            rule.transforms += [xn.L2(2.0)] * add
            add = 0
        return everything(t)

    assert not same(after(0), after(1))


@pytest.mark.parametrize("jit", [True, False])
def test_a_penalty_may_be_set_between_two_fits(jit):
    """It holds where a step is recorded after that, as without a program."""
    found = []
    for options in ({"eager": True}, {"jit": jit}):
        t = trainer(xn.SGD(0.1), **options)
        t.fit(X, Y, 2, 16, verbose=False)
        t.optimizer.l2 = 1.0
        t.fit(X, Y, 2, 8, verbose=False)
        found.append(everything(t))
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_allclose(values, found[1][name], rtol=1e-4, atol=1e-6)
    t.optimizer.gradient_noise = 0.1
    with pytest.raises(ValueError, match=r"expected the transforms .*make a new"):
        t.fit(X, Y, 1, 4, verbose=False)


class Squares(xn.Callback):
    """Notes Σ W² of each epoch; epochs are taken together."""

    def __init__(self):
        self.seen = []

    def patient_for(self, trainer):
        return 10**6

    def on_epoch_end(self, trainer, row):
        self.seen.append(trainer.weights_square)


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_a_network_that_ends_in_the_last_step_of_an_epoch_takes_no_sums_along():
    made = [[trainer(xn.SGD(r), i, jit=True) for i, r in enumerate((0.01, 1e4, 0.02))]]
    made += [[trainer(xn.SGD(r), i, jit=True) for i, r in enumerate((0.01, 1e4, 0.02))]]
    notes = {}

    class Named(Squares):
        def on_fit_begin(self, trainer):
            notes[trainer.seed] = self

    stack = xn.Stack(made[0])
    stack.fit(X, Y, 60, 32, callbacks=[Named()], verbose=False)
    assert list(stack.errors) == [1]
    for i in (0, 2):
        alone = Squares()
        made[1][i].fit(X, Y, 60, 32, callbacks=[alone], verbose=False)
        np.testing.assert_allclose(notes[i].seen, alone.seen, rtol=1e-5)


def test_stacks_of_the_same_networks_in_other_orders_do_not_wait_for_each_other():
    networks = [trainer(xn.SGD(0.01), i) for i in range(3)]
    stacks = [xn.Stack(networks), xn.Stack(networks[::-1])]
    for stack in stacks:
        stack.predict(X)
    ways = [stack.predict for stack in stacks]
    threads = [
        threading.Thread(target=repeated, args=(way, 40, X), daemon=True)
        for way in ways
    ]
    threads += [
        threading.Thread(target=repeated, args=(t.step, 400, X, Y), daemon=True)
        for t in networks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert not any(thread.is_alive() for thread in threads)


def repeated(function, times, *arguments):
    for _ in range(times):
        function(*arguments)


def test_after_an_error_no_thread_takes_another_turn():
    bad, late = threading.Event(), []

    def run(start, stop, first, count):
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.02)
            bad.set()
            raise KeyboardInterrupt
        if bad.is_set():
            late.append(start)
        time.sleep(0.005)
        return stop

    blocks = [NetworkBlock(run, range(i, i + 1)) for i in range(2)]
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        take_turns(blocks, 1000, 1, pool, 2)
    assert len(late) <= 1
