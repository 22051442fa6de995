"""Which device is chosen, and what a backend gives on each."""

import dataclasses
import re
import sys
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest

from tests.standin import cupy, standin_backend
from xpnet.backend import Backend, DeviceError, cuda_status, get_backend
from xpnet.backend.failures import INSTALL


@pytest.fixture(autouse=True)
def fresh_status():
    """The answer is kept for a process; each test asks anew."""
    cuda_status.cache_clear()
    yield
    cuda_status.cache_clear()


@pytest.fixture
def working(standin, monkeypatch):
    """A machine with two GPUs on which CuPy works."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return standin


class BrokenImport:
    """An importer for which `import cupy` fails in its own way."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise self.error


def without_cupy(monkeypatch, error):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [BrokenImport(error), *sys.meta_path])


def altered(**changes):
    """The stand-in with some names replaced."""
    return SimpleNamespace(**{**vars(cupy), **changes})


def altered_cuda(**changes):
    return altered(cuda=SimpleNamespace(**{**vars(cupy.cuda), **changes}))


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


def altered_runtime(**changes):
    """The stand-in where no device is counted."""
    runtime = SimpleNamespace(
        **{
            "getDeviceCount": lambda: 0,
            "driverGetVersion": lambda: 13000,
            "runtimeGetVersion": lambda: 13020,
            **changes,
        }
    )
    return altered_cuda(is_available=lambda: False, runtime=runtime)


OLD = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
NVRTC = "CuPy failed to load libnvrtc.so.13: OSError: libnvrtc.so.13: cannot open"
# What is broken: (the module, the reason, the way out).
BROKEN = {
    "a driver that is too old": (
        altered_runtime(getDeviceCount=raising(OLD), driverGetVersion=lambda: 12040),
        r"driver is too old: it runs CUDA 12\.4, this CuPy needs CUDA 13",
        r"update it to 580 or newer, or pip install 'cupy-cuda12x.* instead",
    ),
    "a driver older than all": (
        altered_runtime(getDeviceCount=raising(OLD), driverGetVersion=lambda: 11080),
        r"too old: it runs CUDA 11\.8.*InsufficientDriver",
        r"update it to 580 or newer \(",
    ),
    "no driver": (
        altered_runtime(getDeviceCount=raising(OLD), driverGetVersion=lambda: 0),
        "there is no NVIDIA driver",
        "install one, 580 or newer",
    ),
    "a driver without a device": (
        altered_runtime(getDeviceCount=raising(RuntimeError("cudaErrorNoDevice: no"))),
        "the driver finds no CUDA device",
        "nvidia-smi -L",
    ),
    "no device": (
        altered_runtime(),
        "the driver finds no CUDA device",
        "nvidia-smi -L",
    ),
    "no NVRTC": (
        altered(ones=raising(RuntimeError(NVRTC))),
        r"libnvrtc, which compiles kernels, is missing .*libnvrtc\.so\.13",
        r"pip install 'cupy-cuda13x\[ctk\]",
    ),
    "no cuBLAS": (
        altered(ones=raising(ImportError("libcublasLt.so.13\nnot found"))),
        r"libcublas, which multiplies .*ImportError: libcublasLt\.so\.13 not found",
        r"pip install 'cupy-cuda13x\[ctk\]",
    ),
    "no headers": (
        altered(ones=raising(RuntimeError('cannot open source file "cuda_fp16.h"'))),
        r"CUDA's headers are missing .*cuda_fp16",
        r"pip install 'cupy-cuda13x\[ctk\]",
    ),
    "no memory": (
        altered(ones=raising(MemoryError("Out of memory allocating 512 bytes"))),
        "the GPU's memory is full .*allocating 512 bytes",
        "nvidia-smi shows which processes",
    ),
    "anything else": (
        altered(ones=raising(RuntimeError())),
        r"a kernel did not run \(RuntimeError: \)",
        re.escape(INSTALL),
    ),
    "a wrong result": (
        altered(ones=lambda shape, dtype: cupy.zeros(shape, dtype)),
        r"computed 4\.0 instead of 12",
        "",
    ),
}


def test_the_cpu_is_numpy_and_a_backend_is_handed_back(standin):
    backend = get_backend("cpu")
    assert (backend.name, backend.device, backend.xp) == ("numpy", "cpu", np)
    assert backend.is_host
    assert backend.reason == ""
    for backend in (get_backend("cpu"), standin_backend(1)):
        assert get_backend(backend) is backend


@pytest.mark.parametrize(("device", "ordinal"), [
    ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1), ("auto", 0),
])  # fmt: skip
def test_a_working_cuda_device_is_the_one_that_was_named(working, device, ordinal):
    backend = get_backend(device)
    found = (backend.name, backend.device, backend.ordinal)
    assert found == ("cupy", f"cuda:{ordinal}", ordinal)
    assert backend.xp is cupy
    assert not backend.is_host
    assert get_backend().device == "cuda:0"


def test_a_device_that_is_not_there_is_refused_with_the_number_of_those_that_are(
    working,
):
    with pytest.raises(DeviceError, match=r"no cuda:2; this machine has 2"):
        get_backend("cuda:2")


@pytest.mark.parametrize(
    "error",
    [ImportError("no module"), RuntimeError("half a wheel"), OSError("libcuda")],
)
def test_whatever_importing_cupy_raises_is_a_reason_with_the_install_line(
    monkeypatch, error
):
    without_cupy(monkeypatch, error)
    usable, why = cuda_status()
    assert not usable
    with pytest.raises(DeviceError) as caught:
        get_backend("cuda:1")
    for told in (why, str(caught.value)):
        assert str(error) in told
        assert INSTALL in told
    fallen = get_backend("auto")
    assert fallen.device == "cpu"
    assert fallen.reason.startswith("no GPU: ")


@pytest.mark.parametrize("case", BROKEN)
def test_a_device_that_does_not_really_compute_is_told_of_in_one_line(
    standin, monkeypatch, case
):
    """cuda raises with the reason and the way out, auto falls back with it."""
    module, reason, way_out = BROKEN[case]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", module)
    usable, why = cuda_status()
    assert not usable
    assert re.search(reason, why)
    assert re.search(way_out, why)
    assert "\n" not in why
    with pytest.raises(DeviceError) as caught:
        get_backend("cuda")
    assert re.search(reason, str(caught.value))
    assert "device='cuda'" in str(caught.value)
    fallen = get_backend("auto")
    assert fallen.device == "cpu"
    assert re.search(reason, fallen.reason)
    assert "\n" not in fallen.reason


def test_devices_that_a_variable_hides_are_told_from_devices_that_are_not_there(
    standin, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setitem(sys.modules, "cupy", altered_runtime())
    assert "CUDA_VISIBLE_DEVICES=-1 leaves no CUDA device" in cuda_status()[1]


def test_two_cupys_are_found_before_one_of_them_is_imported(monkeypatch):
    wheels = {"cupy-cuda12x": "14.1.0", "cupy-cuda13x": "14.2.0"}

    def version(name):
        if name not in wheels:
            raise metadata.PackageNotFoundError(name)
        return wheels[name]

    monkeypatch.setattr(metadata, "version", version)
    without_cupy(monkeypatch, AssertionError("it was imported"))
    usable, why = cuda_status()
    assert not usable
    assert "installed 2 times (cupy-cuda12x 14.1.0, cupy-cuda13x 14.2.0)" in why
    assert "pip uninstall cupy-cuda12x cupy-cuda13x" in why
    assert INSTALL in why
    del wheels["cupy-cuda12x"]
    cuda_status.cache_clear()
    assert "it was imported" in cuda_status()[1]


def test_a_kernel_and_a_product_really_run_and_only_once(working):
    with working.counting() as counts:
        assert cuda_status() == (True, "ok")
    assert counts.launches >= 3
    with working.counting() as counts:
        cuda_status()
    assert counts == type(counts)()


def test_the_probe_runs_on_the_device_in_question(working, monkeypatch):
    seen = []
    ones = cupy.ones
    probe = altered(
        ones=lambda *args: seen.append(working.current_device()) or ones(*args)
    )
    monkeypatch.setitem(sys.modules, "cupy", probe)
    cuda_status(1)
    cuda_status(0)
    assert seen == [1, 0]


@pytest.mark.parametrize(("device", "error", "told"), [
    *((d, ValueError, r"unknown device .*auto, cpu, cuda")
      for d in ("gpu", "cude", "cuda:", "cuda:x", "CPU", "", "cuda:-1")),
    ("cudas", ValueError, "did you mean 'cuda'"),
    *((d, TypeError, "device: expected 'cpu', 'cuda'") for d in (None, 0, np, b"cpu")),
])  # fmt: skip
def test_what_is_no_device_is_told_with_those_that_are(device, error, told):
    with pytest.raises(error, match=told):
        get_backend(device)


def test_a_backend_cannot_be_changed(standin):
    for backend in (get_backend("cpu"), standin_backend()):
        for field in dataclasses.fields(Backend):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(backend, field.name, "other")
