"""A whole Trainer whose step runs through the real kernel texts is that of the CPU."""

import numpy as np
import pytest

import xpnet as xn
from tests.cuda.fibers import fiber_backend, needs_compiler
from tests.cuda.guards import guarded
from xpnet.compiler.cuda.launch import signatures
from xpnet.compiler.cuda.module import handwritten

pytestmark = [needs_compiler, pytest.mark.slow]

RULES = {
    "adam": lambda: xn.Adam(1e-3),
    "sgd": lambda: xn.SGD(0.1, momentum=0.9, l2=1e-3, clip_norm=0.5),
}
WIDTHS = {"784-128-10": [128], "784-512-512-10": [512, 512]}
# Kernels and products of a step, in order. A hidden layer: its product, bias with
# activation; back, its gradients' products, δ with Σδ. The last: softmax
# cross-entropy with its bias, δ with Σδ. An update is one kernel; clipping by the norm
# adds the norm, in two stages, and the scaling.
GRADIENTS = {
    "784-128-10": "product flat product row column product product column product",
    "784-512-512-10": "product flat product flat product row column product product "
    "column product product column product",
}
# The norm is taken twice: once more in a unit whose squares do not overflow.
UPDATE = {"adam": "flat", "sgd": "dot add flat dot add flat flat"}


def kinds(program, segment):
    """The kinds of a segment's calls, one word each."""
    names = [
        getattr(args[0], "signature", None) and args[0].signature.name.split("_")[0]
        for _, args in program.segments[segment]
    ]
    return " ".join(name or "product" for name in names)


def mnist_trainer(device, widths, rule, **options):
    layers = [xn.Dense(n, "relu") for n in widths]
    model = xn.Sequential([*layers, xn.Dense(10)])
    return xn.Trainer(
        model, "softmax_cross_entropy", RULES[rule](), device, seed=3, **options
    )


@pytest.fixture
def memory(standin):
    with guarded() as guards:
        yield guards


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("widths", WIDTHS)
def test_a_step_of_a_real_size_is_that_of_numpy(standin, memory, widths, rule):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 784)).astype(np.float32)
    y = rng.integers(0, 10, 128)
    device, cpu = (mnist_trainer(d, WIDTHS[widths], rule)
                   for d in (fiber_backend(), "cpu"))  # fmt: skip
    for t in (device, cpu):
        t.step(x, y)
    program = device.last_step.program
    assert kinds(program, "gradients") == GRADIENTS[widths]
    assert kinds(program, "update") == UPDATE[rule]
    assert device.loss == pytest.approx(cpu.loss, rel=1e-6)
    grads = cpu.model.buffers.grads
    size = abs(grads).max()
    np.testing.assert_allclose(
        device.model.buffers.grads.get(), grads, rtol=0, atol=2e-6 * size
    )
    # Where a gradient is next to nothing, Adam makes a whole step of its rounding.
    params = cpu.model.buffers.params
    firm = abs(grads) > 1e-5 * size
    found = device.model.buffers.params.get()
    np.testing.assert_allclose(found[firm], params[firm], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found, params, rtol=0, atol=2e-3)
    with standin.counting() as counts:
        program.run("gradients")
        program.run("update")
    steps = program.segments["gradients"] + program.segments["update"]
    assert counts == type(counts)(launches=len(steps))


def test_a_program_carries_the_whole_text_of_its_kernels(memory):
    t = mnist_trainer(fiber_backend(), [16], "adam")
    t.step(np.zeros((8, 784), np.float32), np.zeros(8, int))
    source = t.last_step.program.source
    assert source.startswith(handwritten())
    launched = {call[1][0].signature.name for segment in t.last_step.program.segments
                for call in t.last_step.program.segments[segment]
                if hasattr(call[1][0], "signature")}  # fmt: skip
    assert launched <= set(signatures(source))
    assert "double" not in source[len(handwritten()) :]
    plain = mnist_trainer(fiber_backend(), [16], "adam", jit=False)
    plain.step(np.zeros((8, 784), np.float32), np.zeros(8, int))
    assert plain.last_step.program.source == ""
    assert not plain.backend.driver.launched
