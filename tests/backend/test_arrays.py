"""What a backend gives: arrays on its device, memory, and errors in plain words."""

import dataclasses

import numpy as np
import pytest

from tests.backend.test_devices import altered, raising
from tests.standin import cupy, standin_backend
from xpnet.backend import DeviceError, get_backend
from xpnet.compiler import primitives


@pytest.fixture(params=["cpu", "cuda:0", "cuda:1"])
def backend(request, standin):
    """Each kind of device; the current one is always the first."""
    name = request.param
    return get_backend(name) if name == "cpu" else standin_backend(int(name[-1]))


def test_memory_is_what_is_used_free_and_there_in_all(backend):
    memory = backend.memory()
    assert set(memory) == {"used", "free", "total"}
    assert memory["used"] + memory["free"] == memory["total"]
    assert all(isinstance(n, int) and n > 0 for n in memory.values())


def test_memory_is_that_of_the_device_itself(standin):
    totals = [standin_backend(i).memory()["total"] for i in (0, 1)]
    assert totals[1] > totals[0]


def test_active_makes_the_device_the_current_one(backend, standin):
    with backend.active():
        assert standin.current_device() == backend.ordinal
    assert standin.current_device() == 0


def test_owned_are_the_arrays_of_this_very_device(standin):
    backends = [get_backend("cpu"), standin_backend(0), standin_backend(1)]
    arrays = []
    for backend in backends:
        with backend.active():
            arrays.append(backend.zeros((2,), "float32"))
    owned = [[backend.owns(array) for array in arrays] for backend in backends]
    assert owned == np.eye(3, dtype=bool).tolist()
    assert not any(backend.owns([1.0, 2.0]) for backend in backends)


@pytest.mark.parametrize(("shape", "dtype"), [
    ((), "float32"), ((3,), "float64"), ((2, 3), "int32"), ((4, 2, 3), "uint32"),
    ((0, 3), "bool"),
])  # fmt: skip
def test_a_new_array_has_its_shape_and_dtype_and_reads_back(backend, shape, dtype):
    with backend.active():
        array = backend.zeros(shape, dtype)
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        host = backend.to_numpy(array)
    assert type(host) is np.ndarray
    assert np.array_equal(host, np.zeros(shape, dtype))


def test_arrays_on_the_host_start_on_a_cache_line():
    backend = get_backend("cpu")
    for n in range(1, 40):
        assert backend.empty((n,), np.float32).ctypes.data % 64 == 0


@pytest.mark.parametrize("values", [
    np.float64(2.5), np.arange(6.0), np.arange(6.0).reshape(2, 3).T,
    np.arange(12.0)[::2], [[1, 2], [3, 4]],
])  # fmt: skip
def test_an_upload_copies_host_values_of_any_layout_and_dtype(backend, values):
    wanted = np.asarray(values, np.float32)
    with backend.active():
        buffer = backend.zeros(wanted.shape, "float32")
        backend.upload(buffer, values)
        assert np.array_equal(backend.to_numpy(buffer), wanted)


def test_an_upload_of_device_values_waits_for_nothing(standin):
    backend = standin_backend()
    values = backend.asarray(np.arange(4.0))
    buffer = backend.zeros((4,), "float32")
    with standin.counting() as counts:
        backend.upload(buffer, values)
    assert (counts.uploads, counts.synchronisations, counts.allocations) == (0, 0, 0)
    assert buffer.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_is_here_already_is_not_copied(backend, standin):
    with backend.active():
        array = backend.asarray([1.0, 2.0], "float32")
        with standin.counting() as counts:
            assert backend.asarray(array) is array
            assert backend.asarray(array, "float32") is array
        assert backend.asarray(array, "float64").dtype == np.float64
    assert counts.uploads == counts.allocations == 0


@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float64", "float32")])
def test_rows_are_taken_into_a_buffer(backend, standin, dtypes):
    table = np.arange(12).reshape(4, 3)
    indices = np.array([3, 0, 3])
    with backend.active():
        rows = backend.asarray(table, dtypes[0 if backend.is_host else 1])
        out = backend.zeros((3, 3), dtypes[1])
        at = backend.asarray(indices)
        function, arguments = primitives.take(backend, rows, at, out)
        with standin.counting() as counts:
            function(*arguments)
        assert np.array_equal(backend.to_numpy(out), table[indices])
    assert counts.allocations == counts.uploads == counts.synchronisations == 0


ILLEGAL = "cudaErrorIllegalAddress: an illegal memory access was encountered"


FAULTS = {
    "in CuPy": (ILLEGAL, r"^CUDA error on cuda:0 \(RuntimeError: cudaErr.*saved"),
    "in the driver": ("CUDA_ERROR_LAUNCH_FAILED: x", r"restart the process and load"),
    "no memory": ("cudaErrorMemoryAllocation: x", r"memory is full; nvidia-smi"),
    "no memory, driver": ("CUDA_ERROR_OUT_OF_MEMORY: x", r"memory is full; nvidia-smi"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_cuda_reports_at_work_is_told_with_the_way_out(standin, case):
    said, words = FAULTS[case]
    backend, error = standin_backend(), RuntimeError(said)
    with pytest.raises(DeviceError, match=words) as told, backend.active():
        raise error
    assert told.value.__cause__ is error
    assert standin.current_device() == 0
    array = backend.zeros((2,), np.float32)
    broken = dataclasses.replace(backend, xp=altered(asnumpy=raising(error)))
    with pytest.raises(DeviceError, match=words):
        broken.to_numpy(array)


def test_a_device_that_has_failed_may_refuse_to_be_left(standin, monkeypatch):
    backend, error = standin_backend(), ZeroDivisionError("of another kind")
    for later, seen in ((RuntimeError(ILLEGAL), DeviceError), (RuntimeError(""), None)):
        monkeypatch.setattr(cupy.cuda.Device, "__exit__", raising(later))
        with pytest.raises(seen or RuntimeError) as told, backend.active():
            pass
        assert (told.value is later) == (seen is None)
    with pytest.raises(ZeroDivisionError), backend.active():
        raise error


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), RuntimeError("no fault")])
def test_other_errors_pass_a_device_as_they_are(standin, error):
    with pytest.raises(type(error)) as seen, standin_backend().active():
        raise error
    assert seen.value is error


def test_synchronize_waits_for_a_device_only(backend, standin):
    with standin.counting() as counts:
        backend.synchronize()
    assert counts.synchronisations == (0 if backend.is_host else 1)
