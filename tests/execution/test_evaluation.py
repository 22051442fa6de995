"""The evaluation of a stack in C: as call by call, however networks are divided."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xpnet as xn
from tests.cases import LOSSES, data, in_turns
from tests.training.examples import network
from tests.ways import rows
from xpnet.compiler import c as native
from xpnet.execution import c_steps, network_blocks
from xpnet.execution import evaluation as evaluation_tiles
from xpnet.execution.evaluation import EvaluationBlocks
from xpnet.stack import evaluate, stack
from xpnet.stack.evaluate import StackEvaluation
from xpnet.stack.parameters import StackedParameters

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
MEMBERS = 5
KINDS = {
    "labels": ("dense", "softmax_cross_entropy", "labels"),
    "values": ("dropout", "mean_squared_error", "values"),
    "masks": ("max norm", "softmax_cross_entropy", "labels"),
    "statistics": ("batch norm", "softmax_cross_entropy", "labels"),
    "numbers": ("layer norm", LOSSES["smoothed"][0], "labels"),
}


def at_most(tile, monkeypatch):
    """So many networks at a time."""
    monkeypatch.setattr(network_blocks, "balanced", lambda count, *_: min(count, tile))


@pytest.mark.parametrize(
    ("kind", "weighted", "tile"), in_turns(KINDS, [True, False], [2, 100, 1])
)
def test_scores_are_those_of_calls(kind, weighted, tile, monkeypatch):
    at_most(tile, monkeypatch)
    hidden, loss, targets = KINDS[kind]
    x, y = data(targets)
    w = np.linspace(0.0, 2.0, len(x)) if weighted else None
    of = loss if callable(loss) else lambda i: loss
    networks = xn.Stack(
        [network(i, hidden, "adam", of(i), jit=True) for i in range(MEMBERS)]
    )
    networks.fit(x, y, 2, 7, verbose=False)
    samples, own = networks._samples(x, y, w), [rows(i, len(x)) for i in range(MEMBERS)]
    parameters = StackedParameters(networks.trainers, training=False)
    with ThreadPoolExecutor(2) as pool:
        in_c = StackEvaluation(parameters, samples, own, 5, pool, 2)
        assert in_c._linked(in_c.stages(in_c._step)) is not None
        calls = StackEvaluation(parameters, samples, own, 5)
        monkeypatch.setattr(calls, "_linked", lambda stages: None)
        before = in_c.run()
        assert before == calls.run()
        parameters.buffers.params[...] *= 1.5  # as an epoch later
        assert in_c.run() == calls.run() != before


def test_the_short_last_part_is_a_part_of_its_own(monkeypatch):
    at_most(2, monkeypatch)
    x, y = data()
    networks = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
    scores = networks.evaluate(x, y, batch_size=len(x) // 2)
    assert len(x) % 2
    for trainer, found in zip(networks.trainers, scores, strict=True):
        assert found == pytest.approx(trainer.evaluate(x, y), abs=1e-6)


def test_threads_share_an_evaluation(monkeypatch):
    monkeypatch.setattr(stack, "workers", lambda trainers: 2)
    asked, run = [], evaluate.EvaluationBlocks.run

    def noted(self, networks, pool, threads):
        asked.append((threads, pool is not None))
        run(self, networks, pool, threads)

    monkeypatch.setattr(EvaluationBlocks, "run", noted)
    x, y = data()
    xn.Stack([network(i, jit=True) for i in range(MEMBERS)]).evaluate(x, y)
    assert asked == [(2, True)]


def test_what_c_cannot_compute_is_called(monkeypatch):
    monkeypatch.setattr(c_steps, "take", lambda *arguments: None)
    x, y = data()
    networks = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
    wanted = [trainer.evaluate(x, y) for trainer in networks.trainers]
    for found, alone in zip(networks.evaluate(x, y), wanted, strict=True):
        assert found == pytest.approx(alone, abs=1e-6)


def evaluation():
    x, y = data()
    networks = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
    samples = networks._samples(x, y)  # with which they are built
    parameters = StackedParameters(networks.trainers, training=False)
    return lambda: StackEvaluation(parameters, samples, [np.arange(20)] * MEMBERS, 10)


def test_another_program_is_linked_anew():
    scored = evaluation()()
    wanted, stages = scored.run(), scored.stages(scored._step)
    for in_c in (False, True):  # as before and after it has been compiled
        for stage in stages:
            stage.step.replay.program = stage.step._record(in_c)
        assert (scored._linked(stages) is not None) is in_c
        assert scored.run() == wanted


def test_networks_that_share_memory_go_together(monkeypatch):
    make, most = evaluation(), []
    monkeypatch.setattr(evaluation_tiles, "in_cache", lambda *_: 1)
    monkeypatch.setattr(
        network_blocks, "balanced", lambda *sizes: most.append(sizes[1]) or sizes[1]
    )
    scored = make()
    alone = scored.run()
    for stage in scored.stages(scored._step):
        stage.step.program.native.splits = False
    assert make().run() == alone
    assert most == [1, MEMBERS]
