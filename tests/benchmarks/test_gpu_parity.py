"""The comparisons of `gpu-check`: right where the device is, red where it is not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests import standin as device
from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.standin import cupy, standin_backend
from xpnet.backend import Backend
from xpnet.benchmarks.gpu import cases, parity, steps
from xpnet.benchmarks.gpu.verdicts import (
    DIFFERS,
    FAILED,
    OK,
    Bound,
    Check,
    DifferenceError,
    Line,
    distance,
    identical,
)
from xpnet.layers import ACTIVATIONS, LAYERS, LOSSES
from xpnet.optim import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("standin")


def lines(checks):
    return [check.line() for check in checks]


def chosen(checks, *words):
    return [c for c in checks if all(word in c.name for word in words)]


# The tables.


def test_every_row_of_the_librarys_tables_has_a_case():
    assert set(cases.LAYER_ROWS) == set(LAYERS)
    assert {c.name for c in cases.TABLES["activations"]} == {
        f"activation {name}" for name in ACTIVATIONS
    }
    assert set(LOSSES) <= set(cases.LOSS_ROWS)
    assert {name.partition(",")[0] for name in cases.RULE_ROWS} == set(OPTIMIZERS)
    names = [check.name for check in parity.checks(standin_backend())]
    assert len(set(names)) == len(names) == 4 * len(cases.all_cases())
    assert len(parity.checks(standin_backend(), quick=True)) == len(cases.all_cases())


# Bounds.


def test_a_bound_grows_with_terms_size_and_what_multiplies_rounding():
    one = np.ones(3, np.float32)
    wide = np.ones(3)
    base = Bound("float32", 1).of(one, wide)
    assert base == pytest.approx(8 * 2.0**-23)
    assert Bound("float32", 4).of(one, wide) == pytest.approx(2 * base)
    assert Bound("float32", 1).of(3 * one, 3 * wide) == pytest.approx(3 * base)
    assert Bound("float64", 1).of(one, wide) == pytest.approx(8 * 2.0**-52)
    cancelled = Bound("float32", 1).of(one * 1e-6, wide * 0.0)
    assert cancelled == pytest.approx(8e-6)
    assert Bound("float32", 1).of(np.arange(3), np.arange(3)) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_far(bad):
    a, b = np.array([1.0, bad]), np.array([1.0, 2.0])
    assert distance(a, b) == distance(b, a) == np.inf
    assert distance(np.array([np.inf]), np.array([np.inf])) == 0.0
    assert distance(np.ones(2), np.ones(3)) == np.inf
    assert not identical(np.zeros(1), -np.zeros(1))


def test_what_a_check_raises_is_its_verdict():
    def broken():
        raise RuntimeError("cudaErrorIllegalAddress:\n an illegal access")

    line = Check("a step", broken).line()
    assert (line.name, line.verdict) == ("a step", FAILED)
    said = "RuntimeError: cudaErrorIllegalAddress: an illegal access"
    assert line.note.startswith(f"{said} (test_gpu_parity.py:")
    assert Line.from_dict(line.to_dict()) == line
    fine = Check("b", lambda: {"gpu_us": 1.0}).line()
    assert (fine.verdict, fine.figures) == (OK, {"gpu_us": 1.0})
    assert Line.from_dict(fine.to_dict()) == fine

    def wrong():
        raise DifferenceError("loss: off", {"steps": 3})

    assert Check("c", wrong).line() == Line("c", DIFFERS, "loss: off", {"steps": 3})


# Parity.


def test_every_case_agrees_on_the_stand_in():
    backend = standin_backend(1)
    found = lines([*parity.checks(backend)[::2], *parity.checks(backend, True)[1::2]])
    assert [line for line in found if line.verdict != OK] == []
    assert all(line.figures["share_of_bound"] < 0.5 for line in found)


@needs_compiler
@pytest.mark.parametrize("kind", ["BatchNorm", "loss softmax", "optimizer sgd, e"])
def test_own_kernels_agree_when_fibers_run_them(kind):
    backend = fiber_backend()
    (check, *_) = chosen(parity.checks(backend), kind, "float32")
    assert check.line().verdict == OK
    assert backend.driver.launched


def wrong(name, change):
    """The stand-in with one function whose results are changed."""
    right = getattr(cupy, name)

    def call(*arguments, **keywords):
        out = right(*arguments, **keywords)
        change(out._host)
        return out

    return Backend(
        "cupy", "cuda:0", SimpleNamespace(**{**vars(cupy), name: call}), driver=False
    )


def slightly(array):
    array *= 1.0 + 2e-4


def one_entry(array):
    array.reshape(-1)[-1:] += 1e-3


def not_a_number(array):
    array.reshape(-1)[:1].fill(np.nan)


PLANTED = {
    ("tanh", slightly): "activation tanh, float32",
    ("tanh", not_a_number): "activation tanh, float32, 3 stacked",
    ("maximum", slightly): "activation relu, float32",
    ("exp", slightly): "activation sigmoid, float32",
    ("sum", slightly): "layer LayerNorm, float32",
    ("matmul", one_entry): "layer Dense, float32, 3 stacked",
    ("log", slightly): "loss softmax_cross_entropy, float32",
    ("sqrt", slightly): "optimizer adam, float64",
    ("sign", slightly): "optimizer sgd, everything, float32",
    ("cos", slightly): "layer GaussianNoise, float64",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant[0])
def test_a_wrong_result_of_the_device_is_found(plant):
    (check,) = [c for c in parity.checks(wrong(*plant)) if c.name == PLANTED[plant]]
    line = check.line()
    assert line.verdict == DIFFERS
    assert ("off by inf" if plant[1] is not_a_number else "off by") in line.note
    assert "bound" in line.note


# Graphs, replays, lock-step.


@needs_compiler
def test_graphs_leave_the_bits_of_their_calls():
    found = lines(steps.graph_checks(fiber_backend(), quick=True)[::3])
    assert {line.verdict for line in found} == {OK}


@needs_compiler
def test_replays_amid_other_work_leave_the_bits_of_their_calls():
    found = lines(steps.replay_checks(fiber_backend(), 20)[2:3])
    assert [(line.verdict, line.figures) for line in found] == [(OK, {"replays": 20})]


def graphs_and_replays(backend):
    """A check of graphs and one of replays."""
    return steps.graph_checks(backend)[0], steps.replay_checks(backend, 4)[0]


@needs_compiler
def test_a_graph_that_leaves_other_bits_is_found(monkeypatch):
    right = device.Graph.launch

    def twice(graph, stream=None):
        right(graph, stream)
        right(graph, stream)

    monkeypatch.setattr(device.Graph, "launch", twice)
    found = lines(graphs_and_replays(fiber_backend()))
    assert [line.verdict for line in found] == [DIFFERS, DIFFERS]
    assert "parameters differ by up to" in found[1].note


@needs_compiler
def test_steps_that_are_not_captured_are_a_failure(monkeypatch):
    def refuse(stream, mode=None):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    monkeypatch.setattr(device.Stream, "begin_capture", refuse)
    without = replace(fiber_backend(), driver=False)
    for backend, reason in (
        (fiber_backend(), "cudaErrorStreamCaptureUnsupported"),
        (without, "no driver"),
    ):
        for line in lines(graphs_and_replays(backend)):
            assert line.verdict == FAILED
            assert reason in line.note


def test_lockstep_names_the_first_tensor_that_differs():
    found = lines(steps.lockstep_checks(standin_backend(1), 12))
    assert {line.verdict for line in found} == {OK}
    assert all(line.figures["steps"] == 12 for line in found)
    line = steps.lockstep_checks(wrong("tanh", slightly), 12)[0].line()
    assert line.verdict == DIFFERS
    assert "in step 1: off by" in line.note
    assert line.figures["steps"] == 0
