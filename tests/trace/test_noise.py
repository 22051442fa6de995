"""Noise: the same bits everywhere, and as random as it should be."""

import math

import numpy as np
import pytest

from tests.standin import standin_backend
from xpnet.backend import NOISE, ORDER, WEIGHTS, generator, get_backend, stream_key
from xpnet.compiler import compile_tape
from xpnet.trace import Noise, Tape

CPU = get_backend("cpu")
SHAPES = [(1, 1), (7, 5), (64, 33), (4, 3, 2)]
SIGMAS = 5.0


def noise(seed=0, layer=0, step=0, members=None, backend=CPU):
    lead = () if members is None else (members,)
    keys = [stream_key(seed + i, NOISE, layer) for i in range(members or 1)]
    steps = np.full((*lead, 1, 1), step, np.uint32)
    key = np.array(keys, np.uint32).reshape((*lead, 1, 1))
    return Noise(backend.asarray(steps), backend.asarray(key), backend.asarray)


def recorded(source, backend, draw):
    """(run, output) of a program that draws with `draw` and counts the step."""
    tape = Tape()
    tape.segment = "all"
    eager, source.step = source.step, tape.leaf(source.step)
    result = draw(source)
    source.step[...] = source.step + 1
    source.step = eager
    program = compile_tape(tape, backend, {"out": result}, ("all",))
    return lambda: program.run("all"), program.outputs["out"]


DRAWS = {
    "bits": lambda shape: lambda source: source.bits(shape),
    "a second draw": lambda shape: lambda source: source.bits(shape, 1),
    "uniform": lambda shape: lambda source: source.uniform(shape, "float32"),
    "uniform64": lambda shape: lambda source: source.uniform(shape, "float64"),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("draw", DRAWS)
def test_bits_are_the_same_eager_recorded_and_on_a_device(standin, draw, shape):
    draw = DRAWS[draw](shape)
    device = standin_backend()
    run, host_out = recorded(noise(seed=3), CPU, draw)
    run_device, device_out = recorded(noise(seed=3, backend=device), device, draw)
    for step in range(4):
        wanted = draw(noise(seed=3, step=step))
        run()
        with standin.counting() as counts:
            run_device()
        assert counts.allocations == counts.synchronisations == counts.uploads == 0
        assert wanted.shape == shape
        assert np.array_equal(host_out, wanted)
        assert host_out.dtype == wanted.dtype
        assert np.array_equal(device_out.get(), wanted)
        eager = draw(noise(seed=3, step=step, backend=device))
        assert np.array_equal(eager.get(), wanted)


def test_normal_numbers_are_the_same_on_a_device(standin):
    wanted = noise(seed=1, step=5).normal((20, 10), "float32")
    on_device = noise(seed=1, step=5, backend=standin_backend())
    assert np.array_equal(on_device.normal((20, 10), "float32").get(), wanted)


def test_stacked_members_draw_what_each_would_draw_alone():
    stacked = noise(seed=4, step=2, members=3).bits((3, 6, 5))
    for i in range(3):
        assert np.array_equal(stacked[i], noise(seed=4 + i, step=2).bits((6, 5)))


def test_samples_of_several_axes_draw_as_one_row():
    flat = noise().bits((8, 12))
    assert np.array_equal(noise().bits((8, 3, 4)), flat.reshape(8, 3, 4))


def test_a_shorter_batch_draws_the_first_rows():
    assert np.array_equal(noise().bits((5, 12)), noise().bits((8, 12))[:5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers_lie_strictly_between_zero_and_one(dtype):
    class Extreme(Noise):
        def bits(self, shape, draw=0):
            return np.array([[0, 2**32 - 1, 511, 512]], np.uint32)

    extreme = Extreme(None, None, np.asarray).uniform((1, 4), dtype)
    assert extreme.dtype == np.dtype(dtype)
    assert extreme.min() > 0.0
    assert extreme.max() < 1.0
    assert extreme[0, 0] == 2.0**-24
    assert extreme[0, 1] == 1.0 - 2.0**-24
    assert (extreme[0, 2], extreme[0, 3]) == (2.0**-24, 3 * 2.0**-24)
    drawn = noise().uniform((500, 400), dtype)
    assert 0.0 < drawn.min() < 1e-4
    assert 1.0 - 1e-4 < drawn.max() < 1.0


def test_the_logarithm_of_a_uniform_number_is_always_finite():
    drawn = np.concatenate(
        [noise(step=i).normal((200, 100), "float32") for i in range(10)]
    )
    assert np.isfinite(drawn).all()


# As random as it should be: within 5 sigma.


def assert_mean(values, mean, deviation):
    """The mean of independent values with that standard deviation."""
    values = np.asarray(values, float)
    error = abs(values.mean() - mean) / (deviation / math.sqrt(values.size))
    assert error < SIGMAS, f"{values.mean()} instead of {mean}: {error:.1f} sigma"


@pytest.mark.parametrize("seed", range(5))
def test_uniform_numbers_have_the_moments_of_uniform_numbers(seed):
    u = noise(seed=seed).uniform((300, 200), "float64")
    assert_mean(u, 1 / 2, math.sqrt(1 / 12))
    assert_mean((u - 0.5) ** 2, 1 / 12, math.sqrt(1 / 180))
    counts = np.histogram(u, 64, (0.0, 1.0))[0]
    n = u.size / 64
    chi2 = ((counts - n) ** 2 / n).sum()
    assert abs(chi2 - 63) < SIGMAS * math.sqrt(2 * 63)


@pytest.mark.parametrize("seed", range(5))
def test_normal_numbers_have_the_moments_of_normal_numbers(seed):
    e = noise(seed=seed).normal((300, 200), "float64")
    assert_mean(e, 0.0, 1.0)
    assert_mean(e**2, 1.0, math.sqrt(2))
    assert_mean(e**3, 0.0, math.sqrt(15))
    assert_mean(e**4, 3.0, math.sqrt(96))


def test_every_bit_is_set_half_of_the_time():
    bits = noise(seed=9).bits((200, 300))
    for bit in range(32):
        assert_mean((bits >> bit) & 1, 0.5, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_rows_columns_and_their_means_are_independent(seed):
    u = noise(seed=seed).uniform((256, 256), "float64") - 0.5
    for axis in (0, 1):
        means = u.mean(axis=axis)
        assert_mean(means**2, 1 / 12 / 256, math.sqrt(2) / 12 / 256)
        for lag in (1, 2, 3, 16, 128):
            product = u * np.roll(u, lag, axis)
            assert_mean(product, 0.0, 1 / 12)
    # Where the whole field is: rows against rows, columns against columns.
    for x in (u, u.T):
        r = (x @ x.T) / (256 / 12)
        others = r[~np.eye(256, dtype=bool)]
        assert_mean(others[::2], 0.0, 1 / 16)
        assert abs(others).max() < 6.5 / 16
    assert_mean(u * u.T * (1 - np.eye(256)), 0.0, math.sqrt(2) / 12)


def independent(a, b):
    a, b = a - 0.5, b - 0.5
    assert_mean(a * b, 0.0, 1 / 12)
    # Not the same numbers at other places either.
    shared = np.intersect1d(np.round(a, 12), np.round(b, 12)).size
    expected = a.size * b.size / 2**23
    assert shared < expected + SIGMAS * math.sqrt(expected) + 10


OTHERS = {
    "the next step": {"step": 1},
    "a step far away": {"step": 100_000},
    "a step before the counter turns": {"step": 2**32 - 1},
    "the next layer": {"layer": 1},
    "another layer": {"layer": 7},
    "the next seed": {"seed": 1},
    "another seed": {"seed": 12345},
    "another seed, layer and step": {"seed": 2, "layer": 3, "step": 4},
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_step_layer_or_seed_is_independent(other):
    shape = (200, 150)
    a = noise().uniform(shape, "float64")
    b = noise(**OTHERS[other]).uniform(shape, "float64")
    assert (a != b).mean() > 0.99
    independent(a, b)


def test_the_draws_of_a_step_are_independent():
    draws = [noise().bits((100, 80), draw) for draw in range(5)]
    for i, a in enumerate(draws):
        for b in draws[i + 1 :]:
            independent(a / 2.0**32, b / 2.0**32)


def test_consecutive_steps_at_one_place_are_independent():
    series = np.array([noise(step=i).uniform((4, 8), "float64") for i in range(2000)])
    series -= 0.5
    for lag in (1, 2, 3):
        assert_mean(series[lag:] * series[:-lag], 0.0, 1 / 12)
    assert_mean(series.mean(axis=0) ** 2, 1 / 24000, math.sqrt(2) / 24000)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_mask_keeps_its_share(rate):
    kept = noise(seed=6).bits((400, 300)) >= int(rate * 2**32)
    assert_mean(kept, 1.0 - rate, math.sqrt(rate * (1.0 - rate)))


# On the host.


def test_equal_keys_give_equal_numbers_and_others_do_not():
    keys = [(s, stream, i) for s in (0, 1) for stream in (0, 1, 2) for i in (0, 1)]
    keys += [(0, WEIGHTS, 0, 1), (0, WEIGHTS, 1, 7), (2**40, WEIGHTS, 0)]
    drawn = [generator(*key).integers(2**63, size=4).tolist() for key in keys]
    assert drawn == [generator(*key).integers(2**63, size=4).tolist() for key in keys]
    assert len(set(map(tuple, drawn))) == len(keys)


def test_keys_are_32_bits_and_differ_between_streams():
    keys = {(s, i): stream_key(s, NOISE, i) for s in range(40) for i in range(25)}
    assert all(type(k) is int and 0 <= k < 2**32 for k in keys.values())
    assert len(set(keys.values())) == len(keys)
    assert stream_key(3, NOISE, 4) == keys[3, 4]


def test_the_numbers_of_a_seed_never_change():
    """A saved model goes on with the masks that it would have had."""
    assert stream_key(0, NOISE, 0) == int(
        np.random.SeedSequence((0, 2, 0)).generate_state(1)[0]
    )
    assert (
        generator(7, WEIGHTS, 1).integers(1000, size=3).tolist()
        == np.random.Generator(np.random.Philox(np.random.SeedSequence((7, 0, 1))))
        .integers(1000, size=3)
        .tolist()
    )
    for key in ((7, 0, 1), (2**32 - 1, 1), (2**32, 1, 3), (2**70 + 5, 2)):
        plain = np.random.Philox(np.random.SeedSequence(key))
        numbers = np.random.Generator(plain).permutation(30)
        assert np.array_equal(generator(*key).permutation(30), numbers)
    assert (WEIGHTS, ORDER, NOISE) == (0, 1, 2)
    source = Noise(
        np.full((1, 1), 3, np.uint32), np.full((1, 1), 77, np.uint32), np.asarray
    )
    assert [int(b) for b in source.bits((2, 2), 1).ravel()] == reference(3, 77, 1, 2, 2)


def reference(step, key, draw, rows, columns):
    """The hash in Python's own whole numbers."""
    full = 2**32

    def mix(h):
        h = ((h ^ (h >> 16)) * 0x7FEB352D) % full
        h = ((h ^ (h >> 15)) * 0x846CA68B) % full
        return h ^ (h >> 16)

    def place(i):
        return mix((i + 1) * 0x9E3779B9 % full)

    mixed = mix((step * 0x9E3779B9 + key + draw * 0x85EBCA6B) % full)
    return [
        mix(place(r) ^ ((place(c) + mixed) % full))
        for r in range(rows)
        for c in range(columns)
    ]
