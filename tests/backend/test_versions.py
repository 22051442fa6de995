"""What `xpnet info` says of the libraries under CuPy."""

import sys
from types import SimpleNamespace

import pytest

from xpnet.backend import versions
from xpnet.backend.versions import cuda_versions
from xpnet.commands import info


def cupy(driver=13000, nvrtc=lambda: (13, 4)):
    runtime = SimpleNamespace(
        driverGetVersion=lambda: driver, runtimeGetVersion=lambda: 13020
    )
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, nvrtc=SimpleNamespace(getVersion=nvrtc))
    )


class Library:
    """A libcublas 13.8.2."""

    def __init__(self, status=0):
        self.status = status

    def cublasGetProperty(self, kind, pointer):  # noqa: N802
        pointer._obj.value = (13, 8, 2)[kind]
        return self.status


@pytest.fixture
def loaded(monkeypatch):
    """Lets a test choose what is installed."""

    def load(module, library):
        monkeypatch.setitem(sys.modules, "cupy", module)
        monkeypatch.setattr(versions, "_load", lambda major: library)

    return load


def test_without_cupy_there_is_nothing_to_say(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert cuda_versions() == {}


def test_every_library_is_named_with_its_version(loaded):
    loaded(cupy(), Library())
    assert cuda_versions() == {
        "CUDA driver": "13.0",
        "CUDA runtime": "13.2",
        "NVRTC": "13.4",
        "cuBLAS": "13.8.2",
    }


def missing():
    raise RuntimeError("CuPy failed to load libnvrtc.so.13")


def test_what_is_not_there_is_left_out(loaded):
    loaded(cupy(driver=0, nvrtc=missing), Library(status=1))
    assert cuda_versions() == {"CUDA runtime": "13.2"}


def test_info_prints_them(loaded, monkeypatch, capsys):
    loaded(cupy(), Library())
    monkeypatch.setattr(info, "get_backend", lambda name: Chosen)
    assert info.run(SimpleNamespace(json=False)) == 0
    line = "CUDA        CUDA driver 13.0, CUDA runtime 13.2, NVRTC 13.4, cuBLAS 13.8.2"
    assert line in capsys.readouterr().out


Chosen = SimpleNamespace(device="cpu", reason="chosen")


def test_cublas_is_found_where_its_package_is_installed():
    pytest.importorskip("cupy", reason="CuPy is not installed")
    assert cuda_versions()["cuBLAS"].count(".") == 2
