"""Every trial, with few tries: none may see a fault; and a fault is seen."""

import json
from random import Random

import numpy as np
import pytest

from xpnet.benchmarks.trials import __main__ as command
from xpnet.benchmarks.trials import calls
from xpnet.benchmarks.trials.__main__ import TRIALS, main
from xpnet.benchmarks.trials.calls import Entry, judged
from xpnet.benchmarks.trials.trial import flipped, killed, last_line, trial


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_sees_no_fault(name, tmp_path):
    trial = TRIALS[name]
    faults = trial.run(trial.quick, tmp_path, 1)
    assert faults
    assert not any(faults.values()), f"{trial.what}: {faults}"


def test_a_trial_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["writs"])
    assert "did you mean 'writes'?" in capsys.readouterr().err


def test_faults_are_counted_and_set_the_exit_status(tmp_path, monkeypatch, capsys):
    @trial("t", 40, 2, "torn", "lost")
    def attack(tries, folder, seed):
        """A file is written.

        In a folder.
        """
        assert list(folder.iterdir()) == []
        yield from ["torn"] * (tries - seed) + ["KeyError"]

    assert attack.what == "A file is written."
    assert attack.run(3, tmp_path, 0) == {"torn": 3, "lost": 0, "KeyError": 1}
    monkeypatch.setattr(command, "TRIALS", {"t": attack})
    file = tmp_path / "rows.json"
    assert main(["t", "--scale", "0.1", "--seed", "1", "--json", str(file)]) == 1
    assert "t: 4 tries, 3 torn, 0 lost, 1 KeyError" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())
    assert row["faults"] == {"torn": 3, "lost": 0, "KeyError": 1}


def test_processes_are_killed_and_read():
    code = "import time\nprint('ready', flush=True)\nprint(1, flush=True)\n"
    assert killed(Random(0), 0.0, code + "time.sleep(60)\nprint(2)") in ("", "1\n")
    assert last_line(code) == "1"
    assert last_line("import os; os.kill(os.getpid(), 9)") == "crash"
    assert last_line("raise ValueError('why')") == "ValueError: why"
    assert last_line("import time; time.sleep(60)", patience=0.5) == "hangs"


def test_one_bit_is_flipped():
    data = bytes(range(20))
    for bit in range(8 * len(data)):
        differs = [a ^ b for a, b in zip(data, flipped(data, bit), strict=True)]
        assert sum(differs) == differs[bit // 8] == 1 << bit % 8


def _refuses(x):
    raise ValueError("x: expected something else")


FAULTS = [
    (lambda x: x, True, "accepted"),
    (lambda x: x + 1.0, False, "another answer"),
    (_refuses, False, "refused"),
    (_refuses, True, ""),
    (lambda x: x, False, ""),
    (lambda x: int("three"), True, "unnamed"),
    (lambda x: x[5], True, "inner error"),
]


def test_the_fault_of_a_call_is_named(monkeypatch):
    for call, wrong, fault in FAULTS:
        plain = np.ones(3) if fault != "another answer" else np.zeros(3)
        monkeypatch.setitem(calls.ENTRIES, "f", Entry(call, {"x": plain}, "x"))
        calls.answer.cache_clear()
        assert judged("f", "x", np.ones(3), wrong) == fault
    calls.answer.cache_clear()
