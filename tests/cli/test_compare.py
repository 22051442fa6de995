"""`xpnet compare`: what it says, its exit status, what it remembers."""

import json
import sys

import numpy as np
import pytest

from tests.cli.files import printed, refused, xpnet
from tests.standin import cupy, standin_backend
from xpnet.backend import cuda_status, devices
from xpnet.backend.crossover import recall
from xpnet.commands import compare
from xpnet.common.cache import cache_directory
from xpnet.compiler.cuda import cupy_driver
from xpnet.diagnosis.execution_modes import ExecutionMode
from xpnet.diagnosis.lockstep import Problem, Run

QUICK = ("--steps", "20", "--hidden", "8")
GRID = ("--grid", "4,8x2,16")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Timings of one round each, and an empty cache folder."""
    for name in ("SPEED_SECONDS", "CELL_SECONDS", "BLOCK_SECONDS"):
        monkeypatch.setattr(compare, name, 0.0)
    monkeypatch.setenv("XPNET_CACHE_DIR", str(tmp_path))
    cache_directory.cache_clear()
    yield tmp_path
    cache_directory.cache_clear()


@pytest.fixture
def gpu(standin, monkeypatch):
    """A machine with two GPUs on which CuPy works."""
    runtime = cupy.cuda.runtime
    properties = {"name": b"Stand-in"}
    monkeypatch.setattr(
        runtime, "getDeviceProperties", lambda ordinal: properties, raising=False
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(cupy_driver, "cupy_driver", lambda ordinal: None)
    cuda_status.cache_clear()
    yield standin_backend()
    cuda_status.cache_clear()


@pytest.fixture
def faulty(monkeypatch):
    """Steps that run eagerly have ∂J/∂W of layer 0 off by 0.1 %."""
    plant(monkeypatch, 1.001)


def plant(monkeypatch, factor):
    plain = Problem.trainer

    def trainer(self, way):
        made = plain(self, way)
        layer = made.model.layers[0]
        backward = layer.backward

        def wrong(grad):
            below = backward(grad)
            layer.dW[...] = layer.dW * factor
            return below

        if way.eager:
            layer.backward = wrong
        return made

    monkeypatch.setattr(Problem, "trainer", trainer)


def asked(capsys, *arguments):
    """(exit status, the JSON object)."""
    status, out, err = xpnet(capsys, "compare", *arguments, "--json")
    assert err == ""
    return status, json.loads(out, parse_constant=pytest.fail)


@pytest.mark.parametrize("words", ["cpu,eager", "cpu,nojit", "cpu:1", "cpu, float32"])
def test_two_ways_on_the_cpu_agree(capsys, words):
    status, found = asked(capsys, "cpu:1", words, *QUICK, *GRID)
    assert (status, found["agree"], found["equal_to_the_bit"]) == (0, True, True)
    assert (found["steps"], found["drift"]) == (20, 0.0)
    assert found["first_difference"] is None
    assert found["microseconds_a_step"]["a"] > 0.0
    assert found["ratio"] > 0.0
    ratios = found["crossover"]["ratios"]
    assert [len(row) for row in ratios] == [2, 2]
    assert all(ratio > 0.0 for row in ratios for ratio in row)


def test_precisions_are_compared_by_the_coarser_one(capsys):
    status, found = asked(capsys, "cpu,float64", "cpu", *QUICK, "--no-crossover")
    assert status == 0
    assert found["equal_to_the_bit"] is False
    assert 0.0 < found["largest_difference"]["share_of_bound"] < 1.0
    assert found["crossover"] is None


def test_regressions_and_targets_of_any_size_are_compared_too(capsys, tmp_path):
    table = tmp_path / "table.csv"
    rows = [f"{i % 7},{i % 5},{1e30 * i}" for i in range(40)]
    table.write_text("\n".join(["a,b,y", *rows]))
    for options in (
        ("--data", str(table)),
        ("--data", "line", "--hidden", "none"),
        ("--data", "line", "--hidden", "6,5"),
    ):
        more = ("--no-crossover", "--steps", "50", "--optimizer", "sgd")
        status, found = asked(capsys, "cpu", "cpu,eager", *options, *more)
        assert (status, found["steps"]) == (0, 50)


def test_a_batch_is_at_most_the_whole_data(capsys):
    options = ("--data", "xor", "--no-crossover", "--steps", "3")
    assert "batch 4, " in printed(capsys, "compare", "cpu", "cpu,eager", *options)


def test_a_difference_is_named_and_ends_with_status_1(capsys, faulty):
    status, found = asked(capsys, "cpu", "cpu,eager", *QUICK, *GRID)
    assert (status, found["agree"], found["crossover"]) == (1, False, None)
    first = found["first_difference"]
    assert (first["tensor"], first["step"]) == ("gradient 0.W", 1)
    assert first["difference"] > first["bound"]
    status, text, _ = xpnet(capsys, "compare", "cpu", "cpu,eager", *QUICK)
    assert status == 1
    assert "DIFFER, first in gradient 0.W at step 1: " in text
    assert "times the bound" in text


def test_numbers_that_are_none_are_null(capsys, monkeypatch):
    plant(monkeypatch, float("nan"))
    status, found = asked(capsys, "cpu", "cpu,eager", *QUICK)
    assert status == 1
    assert found["first_difference"]["difference"] is None
    assert found["first_difference"]["share_of_bound"] is None


def test_the_text_has_verdict_speed_and_table(capsys):
    text = printed(capsys, "compare", "cpu", "cpu,float64", *QUICK, *GRID)
    assert "64-8-10, tanh, adam, batch 32" in text
    assert "A and B agree over 20 steps\nnearest, at " in text
    assert "µs a step" in text
    assert "width | batch" in text
    assert "faster" in text or "nowhere" in text
    assert "remembered" not in text


# A GPU.


def test_the_cpu_and_a_gpu_are_the_default_pair(capsys, gpu, folder):
    status, found = asked(capsys, *QUICK, *GRID)
    assert status == 0
    assert (found["a"], found["b"]) == ("cpu", "cuda")
    assert found["remembered"] == str(folder / "crossover.json")
    kept = recall(gpu)
    assert [list(row) for row in kept.ratios] == found["crossover"]["ratios"]
    assert (kept.widths, kept.batches) == ((4, 8), (2, 16))


def test_a_measurement_the_other_way_round_is_turned(capsys, gpu):
    _, found = asked(capsys, "cuda,float64", "cpu,float64", *QUICK, *GRID)
    assert recall(gpu) is None
    for kept, row in zip(
        recall(gpu, "float64").ratios, found["crossover"]["ratios"], strict=True
    ):
        assert kept == pytest.approx([1.0 / ratio for ratio in row])


@pytest.mark.parametrize(
    "pair",
    ["cpu:1 cuda", "cpu,eager cuda", "cpu,nojit cuda", "cpu cuda,eager",
     "cpu,float64 cuda", "cuda cuda:1", "cpu cpu"],
)  # fmt: skip
def test_what_auto_does_not_ask_is_not_remembered(capsys, gpu, folder, pair):
    status, found = asked(capsys, *pair.split(), *QUICK, *GRID)
    assert status == 0
    assert found["crossover"] is not None
    assert found["remembered"] is None
    assert list(folder.iterdir()) == []


def test_a_gpu_that_computes_wrongly_is_not_remembered(capsys, gpu, folder, faulty):
    assert asked(capsys, "cpu", "cuda,eager", *QUICK, *GRID)[0] == 1
    assert list(folder.iterdir()) == []


def test_a_timed_block_waits_for_the_device_before_and_after(standin, gpu):
    task = Problem(np.ones((6, 3)), np.arange(6) % 2, (4,), 2)
    run = Run(task, ExecutionMode("gpu", gpu))
    compare.timed(run, np.arange(6), 1)
    done = run.trainer.steps_done
    with standin.counting() as counts:
        assert compare.timed(run, np.arange(6), 5) > 0.0
    assert counts.synchronisations == 2
    assert run.trainer.steps_done == done + 1 + 5


BAD_WAYS = {  # the first way and the second one
    ("gpu", "cpu"): "'gpu': expected a device, got 'gpu'; one of cpu, cpu:2",
    ("auto", "cpu"): "expected a device, got 'auto'",
    ("cpu", "cpu:x"): "expected a device, got 'cpu:x'",
    ("cpu", ""): "expected a device, got ''",
    ("cpu", "cpu:0"): "expected at least one thread, got 0",
    ("cpu", "cpu:100000"): "100000 threads: this NumPy's BLAS",
    ("cpu", "cpu,flaot64"): "unknown 'flaot64'; did you mean 'float64'?",
    ("cpu", "cpu,"): "unknown ''",
    ("cpu", "cpu,float32,float64"): "'float64' contradicts or repeats",
    ("cpu", "cpu,jit,nojit"): "'nojit' contradicts or repeats",
    ("cpu", "cpu,eager,jit"): "jit is for a recorded step on the CPU",
    ("cpu", "cuda,jit"): "jit is for a recorded step on the CPU",
}
BAD_OPTIONS = {
    ("--steps", "0"): "--steps: expected at least 1, got 0",
    ("--batch-size", "0"): "--batch-size: expected at least 1",
    ("--seed", "-1"): "--seed: expected at least 0, got -1",
    ("--hidden", "8,x"): "--hidden: expected sizes such as",
    ("--hidden", "0"): "--hidden: expected sizes such as",
    ("--grid", "8,16"): "--grid: expected rising widths",
    ("--grid", "16,8x4"): "--grid: expected rising widths",
    ("--grid", "8x4x2"): "--grid: expected rising widths",
    ("--optimizer", "adm"): "did you mean 'adam",
    ("--data", "digit"): "digits",
}


def test_bad_input_is_one_line_and_status_2(capsys, monkeypatch):
    for ways, expected in BAD_WAYS.items():
        assert expected in refused(capsys, "compare", *ways)
    for option, expected in BAD_OPTIONS.items():
        assert expected in refused(capsys, "compare", "cpu", "cpu", *option)
    monkeypatch.setattr(devices, "cuda_status", lambda ordinal=0: (False, "none here"))
    line = refused(capsys, "compare")  # another pair is suggested
    assert "device='cuda' cannot be used: none here" in line
    assert "xpnet compare cpu:1 cpu:2" in line
