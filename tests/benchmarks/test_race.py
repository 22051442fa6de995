"""Every rival computes the same thing, and who does not is named."""

import pytest

from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.process import ENDED, Worker
from xpnet.benchmarks.race import AGREE, check_losses, one, race
from xpnet.benchmarks.rivals import RIVALS
from xpnet.benchmarks.timing import Timing

AT_ONCE = Timing(0.0, 1, 1e-4)
REQUIRED = ("xpnet", "xpnet_nojit", "products", "numpy")  # they need nothing


class Scripted:
    """A worker whose answers are given beforehand."""

    def __init__(self, loss=1.0, times=(), missing=None):
        self.hello = {"missing": missing} if missing else {"versions": {}}
        self.loss, self.times = loss, list(times)

    def ask(self, request):
        if "prepare" in request:
            return {"loss0": self.loss, "loss20": self.loss}
        if "warm" in request:
            return {"warm_up_steps": 1}
        return {"us": self.times.pop(0)} if self.times else {"failed": "out of memory"}


@pytest.fixture(scope="module")
def raced():
    # PyTorch's compiler takes longer than all of these tests; its module is run as it
    # is, only not compiled.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_COMPILE_DISABLE", "1")
        return race(tuple(RIVALS), cases(nets=(0, 1)), 1, AT_ONCE)


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_computes_the_loss_of_hand_written_numpy(raced, name):
    if raced[0]["rivals"][name].get("note", "").startswith("not installed"):
        assert name not in REQUIRED
        pytest.skip(raced[0]["rivals"][name]["note"])
    for result in raced:
        row, expected = result["rivals"][name], result["rivals"]["numpy"]["loss20"]
        if name == "sklearn" and result["sizes"][-1] == 2:
            assert "one output for two classes" in row["note"]
            continue
        assert row.get("note") is None
        assert row["us"] > 0
        if name != "products":
            assert row["loss20"] == pytest.approx(expected, rel=AGREE)
            assert row["loss20"] < row["loss0"]


def test_a_rival_that_is_not_installed_is_a_row_that_says_so(tmp_path, monkeypatch):
    (tmp_path / "thinc.py").write_text("raise ImportError('No module named thinc')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (result,) = race(("thinc",), [Case((2, 3, 2), 4, "sgd")], 1, AT_ONCE)
    row = result["rivals"]["thinc"]
    assert row == {"note": "not installed: No module named thinc"}


def test_a_rival_with_another_loss_is_left_out():
    rows = {"numpy": {"loss20": 1.0}, "a": {"loss20": 1.001}, "b": {"loss20": 1.00005}}
    rows |= {"c": {"loss20": float("nan")}, "products": {"loss20": None}}
    check_losses(rows)
    assert {name for name, row in rows.items() if "note" in row} == {"a", "c"}
    assert rows["a"]["note"] == ("left out: loss 1.001000 after 20 steps, not 1.000000")


def test_a_rival_that_fails_while_it_is_timed_leaves_the_others_alone():
    workers = {
        "xpnet": Scripted(times=[10.0, 20.0, 30.0]),
        "numpy": Scripted(times=[20.0, 40.0, 30.0]),
        "torch": Scripted(times=[5.0]),
        "jax": Scripted(missing="jax"),
    }
    rows = one(workers, Case((2, 3, 2), 4, "sgd"), Timing(0.0, 3, 0.1))
    assert rows["torch"]["note"] == "left out: out of memory"
    assert "us" not in rows["torch"]
    assert rows["jax"]["note"] == "not installed: jax"
    assert rows["numpy"]["us"] == 30.0
    assert rows["numpy"]["xpnet_over_this"] == 0.5


def test_a_worker_that_has_ended_answers_that_it_failed():
    worker = Worker("products", 1)
    assert "versions" in worker.hello
    worker.process.kill()
    worker.process.wait()
    assert worker.ask({"time": 0.1}) == {"failed": ENDED}
    assert not worker.alive
    worker.close()


def test_workers_run_without_blas_overrides(monkeypatch):
    from xpnet.benchmarks.record import new_record

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    record = new_record("xpnet bench", AT_ONCE, 1)
    assert record["overrides"]["set"]["OPENBLAS_CORETYPE"] == "Prescott"
    assert record["machine"]["warnings"] == []
    for blas in record["machine"]["blas"]:
        assert blas["core"] != "Prescott"
        assert blas["threads"] == 1
