"""`xpnet doctor`: train's options, a diagnosis, an exit status that tells."""

import json

import pytest

from tests.cli.files import PNG, QUICK, answered, printed, xpnet
from xpnet.cli import _parser

ILL = ("--hidden", ",".join(["24"] * 8), "--activation", "sigmoid", "--dropout", 0)


def test_it_takes_the_options_of_train():
    parsed = [
        vars(_parser().parse_args([name, "digits"])) for name in ("train", "doctor")
    ]
    for options in parsed:
        options.pop("command")
        for name in ("ensemble", "checkpoint", "resume"):
            options.pop(name, None)  # the doctor looks at one network, once
    assert parsed[0] == parsed[1]


def test_a_healthy_training_ends_with_status_0(capsys):
    out = printed(capsys, "doctor", "digits", *QUICK)
    assert "nothing found: the training looks healthy" in out
    assert "test accuracy" in out
    assert "diagnosis" not in answered(capsys, "train", "digits", *QUICK)


def test_an_ill_one_is_told_and_ends_with_status_1(capsys):
    status, out, err = xpnet(capsys, "doctor", "digits", *QUICK, *ILL)
    assert (status, err) == (1, "")
    assert "- δ vanishes: " in out
    assert "  try `Dense(64, 'relu', initializer='he_normal')`" in out
    status, out, _ = xpnet(capsys, "doctor", "digits", *QUICK, *ILL, "--json")
    record = json.loads(out)
    assert status == 1
    assert record["diagnosis"]["findings"][0]["illness"] == "vanishing δ"
    assert len(record["history"]) == 3


@pytest.mark.slow
def test_a_training_that_diverges_is_a_finding_not_an_error(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "layers.png"
    wild = ("--optimizer", "sgd", "--learning-rate", 1e9, "--plot", path)
    for flags in ((), ("--json",)):
        status, out, err = xpnet(capsys, "doctor", "digits", *QUICK, *wild, *flags)
        assert (status, err) == (1, "")
        assert "training diverged at step" in out
        assert path.read_bytes().startswith(PNG)
        path.unlink()
    assert json.loads(out)["diagnosis"]["diverged"]
