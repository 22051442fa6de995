"""Every rival computes the same thing; one that does not is named."""

import pytest

from tests.benchmarks.scripts import script
from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.process import Process
from xpnet.benchmarks.race import AGREE, Rivals, check_losses, race, summarised
from xpnet.benchmarks.record import Timing, new_record
from xpnet.benchmarks.rivals import RIVALS

AT_ONCE = Timing(0.0, 1, 1e-4)
REQUIRED = ("xpnet", "xpnet_nojit", "products", "numpy")  # they need nothing


@pytest.fixture(scope="module")
def raced():
    # PyTorch's compiler takes longer than all of these tests; its module is run as it
    # is, only not compiled.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_COMPILE_DISABLE", "1")
        chosen = [*cases(("sgd",), (0,)), *cases(("adam",), (1,))]
        return race(tuple(RIVALS), chosen, 1, AT_ONCE)


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
    check_losses(rows, 1.0)
    assert {name for name, row in rows.items() if "differs" in row} == {"a", "c"}
    found = summarised(rows)
    assert found["a"]["note"] == (
        "left out: loss 1.001000 after 20 steps, not 1.000000"
    )


# A rival whose loss and times are given; after its times it fails, or its process ends.
GIVEN = """
times = TIMES
say({'versions': {}})
for r in requests:
    if 'prepare' in r: say({'loss0': 2.0, 'loss20': 1.0})
    elif 'warm' in r: say({'warm_up_steps': 1})
    elif times: say({'us': times.pop(0)})
    else: END
"""


def given(times, end="say({'failed': 'out of memory'})"):
    body = GIVEN.replace("TIMES", repr(times)).replace("END", end)
    return lambda: Process([], 1, script(body))


def test_a_rival_that_fails_while_it_is_timed_leaves_the_others_alone():
    rivals = Rivals(
        {
            "xpnet": given([10.0, 20.0, 30.0]),
            "numpy": given([20.0, 40.0, 30.0]),
            "torch": given([5.0]),
            "thinc": given([], "os._exit(7)"),
            "jax": lambda: Process([], 1, script("say({'missing': 'jax'})")),
        }
    )
    try:
        case, how = Case((2, 3, 2), 4, "sgd"), Timing(0.0, 3, 0.1)
        rows = summarised(rivals.race(case, how))
        assert rows["torch"]["note"] == "left out: out of memory"
        assert "us" not in rows["torch"]
        assert "rounds_us" not in rows["torch"]
        assert rows["thinc"]["note"] == "left out: its process ended with status 7"
        assert rows["jax"] == {"note": "not installed: jax"}
        assert rows["numpy"]["us"] == 30.0
        assert rows["numpy"]["rounds_us"] == [20.0, 40.0, 30.0]
        assert rows["numpy"]["xpnet_over_this"] == 0.5
        # The next case finds a new process in place of one that failed.
        again = rivals.race(case, Timing(0.0, 1, 0.1))
        assert again["torch"]["rounds"] == [{"us": 5.0}]
        assert again["jax"] == {"missing": "jax"}
    finally:
        rivals.close()


def test_workers_run_without_blas_overrides(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    record = new_record("xpnet bench", AT_ONCE, 1)
    assert record["overrides"]["set"]["OPENBLAS_CORETYPE"] == "Prescott"
    assert record["machine"]["warnings"] == []
    for blas in record["machine"]["blas"]:
        assert blas["core"] != "Prescott"
        assert blas["threads"] == 1
