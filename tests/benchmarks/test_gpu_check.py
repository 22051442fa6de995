"""`xpnet gpu-check` as a whole: processes that fail or hang, the record, the status."""

import json
import re
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from types import SimpleNamespace

import pytest

from tests.benchmarks.gpu_worker import COMMAND
from tests.benchmarks.scripts import script
from tests.cli.files import xpnet
from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.standin import cupy, standin_backend
from xpnet.backend import DeviceError
from xpnet.benchmarks import machine, worker
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu import check, report, serve
from xpnet.benchmarks.gpu import contest as contest_module
from xpnet.benchmarks.gpu.check import GpuCheck
from xpnet.benchmarks.gpu.contest import chosen, contest, expected_loss, ours
from xpnet.benchmarks.gpu.parts import PARTS
from xpnet.benchmarks.gpu.rivals import RIVALS
from xpnet.benchmarks.gpu.verdicts import DIFFERS, FAILED, MISSING, OK, Line
from xpnet.benchmarks.process import NoAnswerError, Process
from xpnet.benchmarks.record import Timing
from xpnet.commands import gpu_check

pytestmark = pytest.mark.usefixtures("standin")
PROPERTIES = {"name": b"Stand-in", "major": 9, "minor": 0, "totalGlobalMem": 4 << 30}
SMALL = Case((6, 5, 3), 8, "adam")


@pytest.fixture
def named(monkeypatch):
    """The stand-in's device has properties."""
    runtime = cupy.cuda.runtime
    read = lambda ordinal: PROPERTIES  # noqa: E731
    monkeypatch.setattr(runtime, "getDeviceProperties", read, raising=False)


# A process.


def test_a_process_answers_and_keeps_its_order():
    process = Process([], 1, script("say({'n': 0})\nfor r in requests: say(r)"))
    with closing(process):
        assert process.receive(20.0) == {"n": 0}
        process.send({"n": 1})
        assert process.ask({"n": 2}, 20.0) == {"n": 1}
        assert process.receive(20.0) == {"n": 2}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os._exit(11)", "ended with status 11"),
        ("sys.exit('x' * 9000 + '\\nno such library\\n')", r"1 \(no such library\)"),
        ("time.sleep(60)", "no answer within"),
    ],
)
def test_a_process_that_ends_or_hangs_says_so(body, words):
    began = time.monotonic()
    patience = 0.2 if "sleep" in body else 20.0
    with closing(Process([], 1, script(body))) as process:
        with pytest.raises(NoAnswerError, match=words):
            process.receive(patience)
        if "_exit" in body:
            with pytest.raises(NoAnswerError, match=words):
                process.ask({"n": 1}, patience)
    assert time.monotonic() - began < 20.0


# A part.

MADE = """
names = ['a', 'b', 'c', 'd']
say({'checks': names})
for r in requests:
    i = r['run']
    if i == 1: os._exit(9)
    if i == 2: time.sleep(SLEEP)
    verdict = 'differs' if i == 3 else 'ok'
    say({'name': names[i], 'verdict': verdict, 'note': ''})
"""


@pytest.fixture
def checker(named):
    """A check by a worker of the test's own."""

    def make(body, minutes=10.0, quick=False):
        return GpuCheck(
            standin_backend(), None, minutes, quick, script(body), lambda text: None
        )

    return make


def verdicts(found):
    return [(line.name, line.verdict) for line in found]


def test_what_kills_a_process_costs_one_line(checker):
    found = list(checker(MADE.replace("SLEEP", "0")).lines_of("graphs"))
    assert verdicts(found) == [("a", OK), ("b", FAILED), ("c", OK), ("d", DIFFERS)]
    assert "ended with status 9" in found[1].note


def test_a_process_whose_gpu_answers_no_more_is_started_anew(checker):
    body = """
say({'checks': ['a', 'b']})
fresh = True
for r in requests:
    failed = {'name': 'a', 'verdict': 'failed', 'note': 'illegal', 'lost': True}
    fine = {'name': 'b', 'verdict': 'ok' if fresh else 'differs', 'note': ''}
    fresh = False
    say(fine if r['run'] else failed)
"""
    found = checker(body).lines_of("graphs")
    assert verdicts(found) == [("a", FAILED), ("b", OK)]


def test_a_failure_after_which_the_device_answers_no_more_is_told(monkeypatch):
    backend = standin_backend()
    _, answer = serve.serve_part("graphs", True, backend)
    assert "lost" not in answer({"run": 0})  # no driver: a failure, no fault

    def fault(device):
        raise RuntimeError("cudaErrorIllegalAddress")

    monkeypatch.setattr(type(cupy.cuda.Device(0)), "synchronize", fault)
    assert answer({"run": 0})["lost"] is True


def test_a_part_ends_when_its_time_is_over(checker):
    found = list(checker(MADE.replace("SLEEP", "60"), 0.2).lines_of("graphs"))
    rest = [("c", FAILED), ("the rest", FAILED)]
    assert verdicts(found) == [("a", OK), ("b", FAILED), *rest]
    assert "no answer within" in found[2].note
    assert "1 checks had no time left of 3 s" in found[3].note


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("say({'failed': 'DeviceError: none'})", "DeviceError: none"),
        ("say({'missing': 'no module'})", "no module"),
        ("os._exit(3)", "ended with status 3"),
        ("time.sleep(60)", "no answer within"),
    ],
)
def test_a_part_that_does_not_start_is_one_line(checker, body, note):
    (line,) = checker(body, 0.1).lines_of("graphs")
    assert (line.name, line.verdict) == ("the part", FAILED)
    assert note in line.note


# Rivals.

RACING = """
name = arguments[2]
if 'JAX' in name:
    say({'missing': 'ModuleNotFoundError: jax'}); sys.exit()
if name == 'PyTorch, compiled': os._exit(1)
say({'versions': {'numpy': '2'}})
for r in requests:
    if 'prepare' in r:
        loss = LOSS + (0.1 if name == 'PyTorch, eager' else 0.0)
        if name == 'PyTorch, CUDA graph': say({'failed': 'RuntimeError: capture'})
        else: say({'loss20': loss, 'seconds': 1.0, 'facts': {'nodes': 7}})
    elif 'warm' in r: say({})
    else:
        us = 20.0 + 5 * len(name)
        say({k: us for k in
            ('gpu_us', 'gpu_min_us', 'gpu_max_us', 'enqueue_us', 'wall_us')})
"""


def racing(case):
    return script(RACING.replace("LOSS", repr(expected_loss(case))))


def test_every_rival_has_a_line_whatever_becomes_of_it():
    shown = []
    end = time.monotonic() + 60.0
    found = contest(list(RIVALS), [SMALL], end, shown.append, racing(SMALL))
    assert shown == [found]
    verdicts = {line.name.removeprefix("6-5-3, 8: "): line for line in found}
    assert list(verdicts) == list(RIVALS)
    assert {n for n, line in verdicts.items() if line.verdict == OK} == set(
        chosen(quick=True)
    )
    expected = {
        "PyTorch, compiled": (FAILED, "ended with status 1"),
        "PyTorch, eager": (DIFFERS, "after 20 steps, not"),
        "PyTorch, CUDA graph": (FAILED, "RuntimeError: capture"),
        "JAX, jit": (MISSING, "ModuleNotFoundError: jax"),
    }
    for name, (verdict, note) in expected.items():
        assert verdicts[name].verdict == verdict
        assert note in verdicts[name].note
    fine = verdicts["xpnet, a graph a step"].figures
    assert fine["gpu_us"] == 20.0 + 5 * len("xpnet, a graph a step")
    assert (fine["nodes"], fine["versions"]) == (7, {"numpy": "2"})
    assert [ours(line.name) for line in found] == [n.startswith("x") for n in RIVALS]
    text = report.contest_text(found)
    assert "differs: loss" in text
    assert "not installed: ModuleNotFoundError" in text
    assert "1.00" in text


def test_without_time_and_after_a_failure_every_rival_has_a_line_too(tmp_path):
    names, show = ["xpnet, own kernels"], lambda _: None
    (line,) = contest(names, [SMALL], time.monotonic() - 1.0, show, racing(SMALL))
    assert (line.verdict, line.note) == (FAILED, "no time was left")
    assert "failed: no time was left" in report.contest_text([line])
    mark = tmp_path / "mark"
    body = RACING.replace(
        "    if 'prepare' in r:",
        f"    if not os.path.exists({str(mark)!r}):\n"
        f"        open({str(mark)!r}, 'w').close(); os._exit(5)\n"
        "    if 'prepare' in r:",
    ).replace("LOSS", repr(expected_loss(SMALL)))
    end = time.monotonic() + 60.0
    first, second = contest(names, [SMALL, SMALL], end, show, script(body))
    assert (first.verdict, second.verdict) == (FAILED, OK)
    assert "status 5" in first.note


# The worker.


def test_what_cannot_be_served_is_told(monkeypatch):
    def missing():
        raise DeviceError("device='cuda' cannot be used")

    monkeypatch.setattr(serve, "first_gpu", missing)
    greeting, answer = worker.start("gpu.serve", "part", "graphs")
    told = r"DeviceError: device='cuda' cannot be used \(\w+\.py:\d+\)"
    assert re.fullmatch(told, greeting["failed"])
    assert answer is None
    monkeypatch.setattr(serve, "first_gpu", standin_backend)
    assert (
        "no driver" in worker.start("gpu.serve", "part", "kernels-losses")[0]["failed"]
    )
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "missing" in worker.start("gpu.serve", "rival", "PyTorch, eager")[0]


def test_a_worker_keeps_what_libraries_print_out_of_its_answers():
    done = subprocess.run(
        [*COMMAND, "gpu.serve", "part", "eager", "quick"],
        input='{"run": 0}\n{"run": 99}\n',
        capture_output=True,
        text=True,
    )
    assert "what a library prints" in done.stderr
    greeting, first, second = map(json.loads, done.stdout.splitlines())
    assert len(greeting["checks"]) == 1
    assert first["verdict"] == OK
    assert second["failed"].startswith("IndexError")


# The whole.


@needs_compiler
def test_the_whole_check_from_the_command_line(named, monkeypatch, tmp_path, capsys):
    backend = fiber_backend()
    monkeypatch.setattr(gpu_check, "get_backend", lambda name: backend)
    monkeypatch.setattr(gpu_check, "GpuCheck", partial(GpuCheck, command=COMMAND))
    monkeypatch.setattr(check, "QUICK_NETS", 1)
    monkeypatch.setattr(contest_module, "TIMING", Timing(0.0, 1, 0.01))
    out = tmp_path / "gpu.json"
    status, text, err = xpnet(capsys, "gpu-check", "--quick", "--out", out)
    record = json.loads(out.read_text())
    wrong = [
        (part["part"], line)
        for part in record["parts"]
        for line in part["lines"]
        if line["verdict"] != OK
    ]
    assert wrong == []
    assert (status, err) == (0, "")
    assert record["verdict"] == OK
    assert [part["part"] for part in record["parts"]] == [*PARTS, "nets"]
    assert all(part["lines"] for part in record["parts"])
    assert record["device"]["architecture"] == "sm_90"
    assert record["device"]["precision"] == "float32"
    assert set(record["clocks"]) == {"before", "after"}
    assert record["machine"]["versions"]["numpy"]
    assert list(tmp_path.iterdir()) == [out]
    for part in PARTS.values():
        assert part.title in text
    assert "Stand-in, sm_90, 4 GiB, strict float32" in text
    assert "xpnet, K steps a graph" in text
    assert text.rstrip().splitlines()[-1].startswith("ok: ")


def line_of(part, verdict, name="x"):
    return {"part": part, "title": part, "judged": part != "copies", "seconds": 1.0,
            "lines": [Line(name, verdict, "why").to_dict()]}  # fmt: skip


STATUS = [  # part, line, verdict, whether all is right
    ("graphs", "x", OK, True),
    ("graphs", "x", DIFFERS, False),
    ("graphs", "x", FAILED, False),
    ("copies", "x", FAILED, True),
    ("nets", "2-3-2, 4: xpnet, own kernels", DIFFERS, False),
    ("nets", "2-3-2, 4: PyTorch, eager", FAILED, True),
    ("nets", "2-3-2, 4: JAX, jit", MISSING, True),
]


def test_the_status_is_that_of_the_comparisons(checker, monkeypatch):
    monkeypatch.setattr(GpuCheck, "lines_of", lambda self, name: iter([]))
    monkeypatch.setattr(GpuCheck, "_contest", lambda self: None)
    for part, name, verdict, right in STATUS:
        made = checker("say({'checks': []})")
        made.record["parts"].append(line_of(part, verdict, name))
        assert made.run() is right
        assert made.record["verdict"] == (OK if right else "not ok")


def test_the_record_is_there_after_every_part(named, tmp_path):
    out = tmp_path / "gpu.json"
    made = GpuCheck(standin_backend(), out, show=lambda text: None)
    for i in (1, 2):
        made.add("graphs", "t", True, [Line("a", OK, "", {"us": 1.0})], 1.5)
        found = json.loads(out.read_text())
        assert len(found["parts"]) == i
        assert found["verdict"] == "unfinished"
    assert found["parts"][0]["lines"][0]["figures"] == {"us": 1.0}


def test_the_record_holds_every_net_that_was_raced(named, monkeypatch, tmp_path):
    """A check that is stopped in its last part has not run for nothing."""
    out, nets = tmp_path / "gpu.json", []

    def run(names, cases, end, show, command):
        for case in cases:
            show([Line(f"{case.net}: xpnet, own kernels", FAILED, "x")])
            parts = json.loads(out.read_text())["parts"]
            assert [part["part"] for part in parts] == ["nets"]
            nets.append(len(parts[0]["lines"]))

    monkeypatch.setattr(check, "contest", run)
    GpuCheck(standin_backend(), out, show=lambda text: None)._contest()
    assert nets == [1, 2, 3, 4, 5]


def test_the_command_ends_with_one_line_or_a_status(named, monkeypatch, capsys):
    for arguments, message in (
        (["--minutes", "0"], "--minutes: expected more than 0, got 0"),
        (["--minutes", "nan"], "--minutes: expected more than 0, got nan"),
        (["--out", "none/gpu.json"], "--out: there is no folder none"),
    ):
        status, _, err = xpnet(capsys, "gpu-check", *arguments)
        assert status == 2
        assert message in err

    def none(name):
        raise DeviceError("device='cuda' cannot be used: there is no NVIDIA driver")

    monkeypatch.setattr(gpu_check, "get_backend", none)
    status, out, err = xpnet(capsys, "gpu-check")
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: device='cuda' cannot be used: ")
    assert err.count("\n") == 1
    monkeypatch.setattr(gpu_check, "get_backend", lambda name: standin_backend())
    monkeypatch.setattr(GpuCheck, "run", lambda self: False)  # a comparison is wrong
    assert xpnet(capsys, "gpu-check")[0] == 1


# Facts.

SMI = "1980 MHz, 3201 MHz, 1980 MHz, 3201 MHz, 120.5 W, 700.0 W, 35, 580.1\n"


def test_clocks_are_what_nvidia_smi_says(monkeypatch):
    for answer, found in (
        (SMI, "1980 MHz"),
        ("No devices were found\n", None),
        ("", None),
        (FileNotFoundError("nvidia-smi"), None),
        (subprocess.TimeoutExpired("nvidia-smi", 20), None),
    ):

        def smi(command, answer=answer, **options):
            assert command[0] == "nvidia-smi"
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(stdout=answer, returncode=0)

        monkeypatch.setattr(machine.subprocess, "run", smi)
        assert machine.clocks().get("clocks.sm") == found


def test_the_facts_of_a_device_say_what_its_products_are(named, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    found = machine.device_facts(standin_backend(1))
    assert found["device"] == "cuda:1"
    assert found["name"] == "Stand-in"
    assert found["variables"]["NVIDIA_TF32_OVERRIDE"] == "1"
    assert "multiprocessors" not in found


def test_a_part_with_nothing_in_it_is_shown_as_such():
    part = line_of("copies", FAILED)
    assert "copies: 1 failed" in report.part_text(part)
    assert "failed: x: why" in report.part_text(part)
    assert "nothing" in report.part_text({**part, "lines": []})
