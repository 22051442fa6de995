"""A bad step of the short last batch, in epochs that are taken together."""

import pytest

import xpnet as xn
from tests.cases import data
from tests.training.examples import trainer
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.training.epochs import EpochBlock


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_the_step_that_went_wrong_is_that_of_its_batch(monkeypatch):
    x, y = data("values", samples=23)
    y[21:] = 1e30  # of the last two samples, which are a batch
    together, run = [], EpochBlock.run_epochs

    def noted(self, count, finish):
        together.append(count)
        return run(self, count, finish)

    monkeypatch.setattr(EpochBlock, "run_epochs", noted)
    said = []
    for most in (1, tuning.MAX_EPOCHS_PER_BLOCK):
        monkeypatch.setattr(tuning, "MAX_EPOCHS_PER_BLOCK", most)
        t = trainer("dense", "mean_squared_error", xn.SGD(0.01), jit=True)
        with pytest.raises(xn.DivergenceError, match="at step 4") as error:
            t.fit(x, y, 5, 7, shuffle=False, verbose=False)
        said.append(str(error.value))
        assert t.last_step.batch.samples == 2
        assert t.steps_done == 3
    assert together
    assert said[0] == said[1]
