"""Every case gives the same numbers in every way it is trained."""

import json
from functools import cache

import numpy as np
import pytest

from tests import fingerprints
from tests.cases import CASES
from tests.cuda.fibers import fiber_backend
from tests.ways import (
    FEW,
    KERNELS,
    THERE,
    WAYS,
    Arrays,
    assert_close,
    pairs,
    record_kernels,
    same,
)
from xpnet.compiler import Program
from xpnet.compiler.c.lower import CLowering
from xpnet.execution import c_steps
from xpnet.layers import ACTIVATIONS, LAYERS, LOSSES, Activation
from xpnet.optim import OPTIMIZERS

IN_C = [(case, way) for case, way in pairs() if WAYS[way].needs == "C" and case in FEW]


def test_every_layer_loss_and_rule_is_in_a_case():
    trainers = [case.trainer() for case in CASES.values()]
    layers = [layer for trainer in trainers for layer in trainer.model.layers]
    functions = [getattr(layer, "f", layer) for layer in layers]
    found = {f.row for f in functions if isinstance(f, Activation)}
    inner = [row for row in ACTIVATIONS.values() if row.product is None]
    assert {type(layer) for layer in layers} == set(LAYERS.values())
    assert [row for row in inner if row not in found] == []
    assert {type(t.loss_function) for t in trainers} == set(LOSSES.values())
    assert {type(trainer.optimizer) for trainer in trainers} == set(OPTIMIZERS.values())


@cache
def compile_kernels() -> None:
    """One call compiles those of all cases."""
    for name in KERNELS:
        record_kernels(CASES[name], fiber_backend(1))


@cache
def trained(way: str, case: str) -> tuple[Arrays, list[Program]]:
    """What a training leaves, and its programs; a reference is trained once."""
    if not THERE[WAYS[way].needs]:
        pytest.skip(f"{WAYS[way].needs} is missing")
    if WAYS[way].needs == "g++":
        compile_kernels()
    return WAYS[way](CASES[case])


@pytest.mark.parametrize(("case", "way"), pairs())
def test_a_case_gives_the_same_in_every_way(case, way, standin):
    reference = WAYS[way].reference
    assert reference is not None
    wanted, got = trained(reference, case)[0], trained(way, case)[0]
    for name, values in got.items():
        assert np.isfinite(values).all(), name
        assert values.dtype == wanted[name].dtype, name
    assert_close(got, wanted, WAYS[way].tolerance(CASES[case]))


@pytest.mark.slow
@pytest.mark.parametrize(("case", "way"), IN_C)
def test_a_program_that_is_known_is_not_compiled_again(case, way, monkeypatch):
    def refuse(self):
        raise AssertionError("compiled once more")

    first, _ = trained(way, case)
    monkeypatch.setattr(CLowering, "plan", refuse)
    again, made = WAYS[way](CASES[case])
    assert same(again, first)
    threads = max(program.partition.threads for program in made)
    assert threads == (3 if way == "threads" else 1)
    steps = [program for program in made if "update" in program.segments]
    assert steps
    assert all(c_steps.possible(program.native) for program in steps)


@pytest.mark.parametrize("case", CASES)
def test_a_case_becomes_the_programs_on_record(case, standin):
    """What changes on purpose is written anew: see tests/fingerprints.py."""
    record = json.loads(fingerprints.FILE.read_text())
    alike = record["facts"] == fingerprints.facts()
    found = {case: fingerprints.taken(case, trained)}
    assert not fingerprints.differences(found, record["marks"], alike)
