"""Every trial, with few tries: none may see a fault."""

import pytest

from xpnet.benchmarks.trials.__main__ import main
from xpnet.benchmarks.trials.table import TRIALS


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
