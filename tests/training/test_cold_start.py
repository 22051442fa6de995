"""What a Trainer needs at once is imported at once, and the rest when it is used."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIT = """
import numpy as np
from xpnet.layers import Dense, Sequential
from xpnet.training.trainer import Trainer
x = np.arange(12.0).reshape(6, 2)
trainer = Trainer(Sequential([Dense(1)]), "huber", device="cpu", jit=False)
"""


def loaded(code):
    """The modules of xpnet, and numpy, that a fresh Python has after `code`."""
    after = (
        "\nimport sys\nprint(*(m for m in sys.modules if m[:5] in ('xpnet', 'numpy')))"
    )
    run = [sys.executable, "-c", code + after]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_the_library_itself_loads_its_names_and_the_place_of_the_observers_only():
    assert loaded("import xpnet") == {
        *("xpnet", "xpnet.names", "xpnet.execution", "xpnet.execution.observer"),
    }


def test_a_trainer_loads_no_files_no_doctor_and_no_stack():
    found = loaded(FIT)
    training = {m.removeprefix("xpnet.training.") for m in found}
    late = {"resume", "runs", "checkpoint", "description", "tensors", "copies"}
    assert "loop" in training
    assert not training & late
    assert not {m for m in found if m.startswith(("xpnet.diagnosis", "xpnet.stack"))}


def test_the_doctor_comes_when_it_is_asked_for_however_a_trainer_was_imported():
    before = loaded(FIT + "trainer.fit(x, x[:, 0], 2, verbose=False)")
    assert "xpnet.diagnosis.doctor" not in before
    code = "trainer.fit(x, x[:, 0], 2, verbose=False, diagnose=True)\n"
    after = loaded(FIT + code + "assert trainer.history.diagnosis.steps == [0, 1]")
    assert "xpnet.diagnosis.doctor" in after
