"""Tensors that do not fit are told, and names in a file are never run."""

import builtins
import sys
from hashlib import sha256

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

import xpnet as xn
from tests.training.test_checkpoint import (
    alike,
    file_of,
    load,
    place,
    trained,
)
from tests.training.test_damaged_files import HUGE, damaged, edit


def test_widths_whose_product_fills_the_memory_are_told(tmp_path):
    trained("deep").save(tmp_path)
    edit(tmp_path, "layers", 0, "units", value=HUGE)
    edit(tmp_path, "layers", 1, "units", value=HUGE)  # 1 PiB of weights between them
    damaged(tmp_path, " is damaged or no xpnet model: ")


def replace(directory, part, written):
    """Put other bytes in the place of a tensor file, with the right checksum."""
    file_of(directory, part).unlink()
    name = f"{part}-{sha256(written).hexdigest()}.safetensors"
    (directory / name).write_bytes(written)
    edit(directory, "files", part, value=name)


def rewrite(directory, part, change):
    """Write other tensors, with the right checksum."""
    tensors = dict(read_tensors(file_of(directory, part).read_bytes()))
    change(tensors)
    replace(directory, part, tensor_bytes(tensors))


def poisoned(name, value):
    """What puts `value` into one place of a tensor."""

    def change(tensors):
        tensors[name] = tensors[name].copy()
        tensors[name].flat[-1] = value

    return change


CHANGES = {
    "missing": ("weights", lambda t: t.pop("0.W"), "0.W: the entry is missing"),
    "extra": ("weights", lambda t: t.update({"9.W": np.ones(1)}), "9.W: an unknown"),
    "elsewhere": ("weights", lambda t: t.update({"../../x": t["0.W"]}), "../../x: an"),
    "transposed": (
        "weights",
        lambda t: t.update({"0.W": np.ascontiguousarray(t["0.W"].T)}),
        "0.W: expected float32 of shape (5, 6), got float32 of shape (6, 5)",
    ),
    "flat": (
        "weights",
        lambda t: t.update({"0.W": t["0.W"].reshape(-1)}),
        "0.W: expected float32 of shape (5, 6), got float32 of shape (30,)",
    ),
    "short": (
        "weights",
        lambda t: t.update({"0.b": t["0.b"][..., :-1].copy()}),
        "0.b: expected float32 of shape (1, 6)",
    ),
    "a state less": ("optimizer", lambda t: t.pop("v"), "v: the entry is missing"),
    **{
        f"{dtype} weights": (
            "weights",
            lambda t, dtype=dtype: t.update({"0.W": t["0.W"].astype(dtype)}),
            "0.W: expected float32 of shape (5, 6), got",
        )
        for dtype in ("float64", "float16", "int32", "bool")
    },
    "a float64 state": (
        "optimizer",
        lambda t: t.update({"m": t["m"].astype("float64")}),
        "m: expected float32",
    ),
    **{
        f"{value} in {name}": (part, poisoned(name, value), f"{name}: expected")
        for part, name in (
            ("weights", "0.W"),
            ("weights", "1.shift"),
            ("optimizer", "m"),
        )
        for value in (np.nan, np.inf, -np.inf)
    },
    "negative variance": (
        "weights",
        poisoned("1.running_variance", -1e-9),
        "1.running_variance: expected numbers >= 0",
    ),
    "negative square": ("optimizer", poisoned("v", -1.0), "v: expected numbers >= 0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_do_not_fit_are_told(change, tmp_path):
    folder = tmp_path / "a" / "b" / "model"
    part, act, message = CHANGES[change]
    folder.mkdir(parents=True)
    place(folder, "batch norm")
    rewrite(folder, part, lambda tensors: None)
    load(folder)
    rewrite(folder, part, act)
    damaged(folder, file_of(folder, part).name, message)
    assert [path.name for path in tmp_path.rglob("*x")] == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_saved(value, tmp_path):
    old, new = trained(), trained()
    old.save(tmp_path)
    new.parameters()["0.W"][0, 0] = value
    with pytest.raises(
        ValueError, match=r"save: expected finite weights, .* in W of layer 0"
    ):
        new.save(tmp_path)
    assert alike(load(tmp_path), old)


def test_a_tensor_file_beyond_its_size_is_not_read(tmp_path):
    trained("dense").save(tmp_path)
    path = file_of(tmp_path, "weights")
    with open(path, "ab") as file:
        file.truncate(1 << 40)  # all holes
    damaged(tmp_path, path.name, "expected at most", str(1 << 40))


def test_tensors_without_a_sound_header_are_told(tmp_path):
    trained("dense").save(tmp_path)
    for junk in (b"", b"\xff" * 64, (1 << 60).to_bytes(8, "little") + b"{}", b"x" * 7):
        replace(tmp_path, "weights", junk)
        damaged(tmp_path, f"{file_of(tmp_path, 'weights').name} is damaged")


def test_names_in_a_file_are_neither_imported_nor_run(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    trained("dense").save(folder)
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    load(folder)  # what loading itself imports is there now
    seen = []
    real = builtins.__import__

    def watch(name, *args, **kwargs):
        seen.append(name)
        return real(name, *args, **kwargs)

    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(builtins, name, lambda *a: pytest.fail("code was run"))
    monkeypatch.setattr(builtins, "__import__", watch)
    for path in (("layers", 0, "name"), ("layers", 0, "activation"), ("loss", "name")):
        for name in ("trap", "trap.Layer", "trap:Layer", "__import__('trap')"):
            trained("dense").save(folder)
            edit(folder, *path, value=name)
            damaged(folder)
    assert not {"trap", "trap.Layer"} & {*seen, *sys.modules}


NO_PATHS = [None, 3, b"model", "", "a\0b", ["model"]]


@pytest.mark.parametrize("path", NO_PATHS, ids=repr)
def test_what_is_no_path_is_told(path):
    t = trained("dense")
    ensemble = xn.Ensemble([t])
    acts = {
        "save: directory": [t.save, ensemble.save],
        "load: directory": [xn.Trainer.load, xn.Ensemble.load],
    }
    for name, both in acts.items():
        for act in both:
            with pytest.raises((TypeError, ValueError), match=f"^{name}: expected the"):
                act(path)
