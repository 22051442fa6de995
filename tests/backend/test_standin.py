"""The stand-in itself refuses what CuPy refuses, and counts what costs time there."""

import numpy as np
import pytest

from tests.standin import capture, cupy, standin_backend


@pytest.fixture
def x(standin):
    """An array on the first device."""
    return cupy.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))


HOST = np.ones((2, 3), np.float32)
REFUSED = {
    "implicit conversion": (TypeError, lambda x: np.asarray(x)),
    "a list of device arrays": (TypeError, lambda x: np.array([x, x])),
    "a NumPy operand on the right": (TypeError, lambda x: x + HOST),
    "a NumPy operand on the left": (TypeError, lambda x: HOST * x),
    "a NumPy array in place": (TypeError, lambda x: x.__iadd__(HOST)),
    "a NumPy output": (TypeError, lambda x: cupy.add(x, x, HOST)),
    "a NumPy array assigned": (ValueError, lambda x: x.__setitem__(0, HOST[0])),
    "a NumPy mask": (TypeError, lambda x: cupy.where(HOST > 0, x, x)),
    "a NumPy source": (TypeError, lambda x: cupy.copyto(x, HOST)),
    "a ufunc method": (TypeError, lambda x: np.add.reduce(x)),
    "a function that CuPy lacks": (TypeError, lambda x: np.insert(x, 0, 1)),
    "a name that CuPy lacks": (AttributeError, lambda x: cupy.vecdot),
    "a mode of take": (TypeError, lambda x: cupy.take(x, x, 0, x, "clip")),
    "a third input": (TypeError, lambda x: cupy.add(x, x, x, x)),
    "another dtype set": (TypeError, lambda x: x.set(HOST.astype(float))),
    "another shape set": (ValueError, lambda x: x.set(HOST.T)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cupy_refuses_is_refused(x, case):
    error, function = REFUSED[case]
    with pytest.raises(error):
        function(x)
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


WAITS = {
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.max()),
    "if": lambda x: bool(x.min() < 1.0),
    "range": lambda x: range(x.astype("int32")[0, 0])[0:0],
    "item": lambda x: x[0, 1].item(),
    "tolist": lambda x: x.tolist(),
    "get": lambda x: x.get(),
    "asnumpy": lambda x: cupy.asnumpy(x),
    "a mask": lambda x: x[x > 1.0],
    "synchronize": lambda x: cupy.cuda.Device(0).synchronize(),
}
WAITS_NOT = {
    "arithmetic": lambda x: np.exp(x) * 2.0 - x.T.reshape(2, 3) ** 2,
    "a reduction": lambda x: x.sum(axis=0, keepdims=True).mean(),
    "a comparison": lambda x: np.where(x > 2.0, x, 0.0),
    "a view": lambda x: x[:, 0].swapaxes(0, 0)[..., None],
    "a product": lambda x: x @ x.T,
}


@pytest.mark.parametrize("case", WAITS)
def test_reading_a_value_waits_and_is_counted(standin, x, case):
    with standin.counting() as counts:
        WAITS[case](x)
    assert counts.synchronisations == 1
    with capture(), pytest.raises(RuntimeError, match="capturing"):
        WAITS[case](x)


@pytest.mark.parametrize("case", WAITS_NOT)
def test_computing_waits_for_nothing_and_stays_on_the_device(standin, x, case):
    with standin.counting() as counts:
        result = WAITS_NOT[case](x)
    assert counts.synchronisations == counts.uploads == 0
    assert type(result) is cupy.ndarray


def test_launches_allocations_and_uploads_are_counted(standin, x):
    with standin.counting() as counts:
        y = cupy.asarray(HOST)
        cupy.add(x, y, x)
        cupy.matmul(x, y.T)
        x[...] = 0.0
    assert (counts.uploads, counts.allocations, counts.launches) == (1, 2, 3)


def test_a_view_shares_its_base_and_a_copy_does_not(x):
    assert x[0].T.base is x
    assert x.copy().base is None
    x[0][...] = 7.0
    assert x.tolist()[0] == [7.0, 7.0, 7.0]


def test_a_new_buffer_holds_no_zeros_by_chance(standin):
    assert np.isnan(cupy.empty((3,), np.float32).get()).all()


def test_arrays_of_two_devices_do_not_mix(standin, x):
    other = standin_backend(1)
    with other.active():
        y = cupy.asarray(HOST)
        assert (y.device.id, x.device.id) == (1, 0)
        with pytest.raises(ValueError, match="device where the array resides"):
            x + y
        with pytest.raises(ValueError, match="device where the array resides"):
            x + 1.0
    with pytest.raises(ValueError, match="device where the array resides"):
        y + 1.0


def test_a_capture_takes_elementwise_work_but_no_product_and_no_upload(standin, x):
    with capture() as captured:
        cupy.add(x, 1.0, x)
        with pytest.raises(NotImplementedError, match="cuBLAS"):
            cupy.matmul(x, x.T)
        with pytest.raises(RuntimeError, match="H2D"):
            x.set(HOST)
    assert x.tolist()[0] == [0.0, 1.0, 2.0]  # nothing has run yet
    assert len(captured) == 1


def test_a_graph_does_the_work_again_on_the_memory_it_was_captured_on(standin, x):
    stream = cupy.cuda.Stream(non_blocking=True)
    with standin.counting() as counts:
        with stream:
            stream.begin_capture()
            y = x + 1.0
            cupy.add(x, y, x)
            graph = stream.end_capture()
        assert (counts.launches, counts.unsafe) == (0, 1)  # y may be given away
        for _ in range(2):
            graph.launch()
        assert (counts.launches, counts.graphs, counts.nodes) == (0, 2, 4)
    assert x.tolist()[0] == [3.0, 7.0, 11.0]
    with pytest.raises(RuntimeError, match="legacy"):
        cupy.cuda.get_current_stream().begin_capture()
    with pytest.raises(RuntimeError, match="Implicit"):
        cupy.cuda.Stream().begin_capture()


def test_memory_ends(standin, x):
    standin.set_free_bytes(100)
    with pytest.raises(MemoryError, match="allocating 800 bytes"):
        cupy.empty((100,), np.float64)
    assert cupy.cuda.runtime.memGetInfo()[0] == 100
