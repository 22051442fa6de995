"""Damage of a file is told, and never run."""

import json

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FIVE, data, in_turns
from tests.training.examples import as_first_format, trainer
from tests.training.test_checkpoint import (
    KINDS,
    PARTS,
    alike,
    assert_complete,
    file_of,
    load,
    place,
    trained,
)
from xpnet.training.folder import MAX_DESCRIPTION
from xpnet.training.sealed import sealed


def damaged(directory, *parts):
    """Loading raises one clear ValueError of one line."""
    with pytest.raises(ValueError) as caught:
        load(directory)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(directory), *parts):
        assert part in message
    return message


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_file_is_told(part, tmp_path):
    trained().save(tmp_path)
    path = file_of(tmp_path, part)
    path.unlink()
    damaged(tmp_path, f"{path.name} is damaged", "it is missing")


def test_a_folder_without_a_model_is_told(tmp_path):
    trained().save(tmp_path / "model")
    (tmp_path / "model" / "model.json").unlink()
    (tmp_path / "a file").write_text("")
    for name in ("model", "nowhere", "a file"):
        with pytest.raises(FileNotFoundError, match=r"no saved model in .*xpnet train"):
            load(tmp_path / name)


def test_an_unknown_device_is_no_damage(tmp_path):
    trained().save(tmp_path)
    with pytest.raises(ValueError, match=r"^unknown device 'cqu'; did you mean 'cpu'"):
        xn.Trainer.load(tmp_path, "cqu")


@pytest.mark.parametrize("part", KINDS)
def test_a_truncated_file_is_told(part, tmp_path):
    trained().save(tmp_path)
    path = file_of(tmp_path, part)
    whole = path.read_bytes()
    for size in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:size])
        damaged(tmp_path, f"{path.name} is damaged")


@pytest.mark.parametrize("part", PARTS)
def test_a_flipped_bit_is_told(part, tmp_path):
    trained().save(tmp_path)
    path = file_of(tmp_path, part)
    whole = path.read_bytes()
    for at in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        path.write_bytes(flipped)
        damaged(tmp_path, f"{path.name} is damaged", "SHA-256")


BROKEN_TEXT = {
    "not JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "no format": b"{}",
    "empty": b"",
    "pickle": b"\x80\x04\x95cos\nsystem\n.",
    "deep": b'{"format": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("text", BROKEN_TEXT)
def test_a_description_that_is_none_is_told(text, tmp_path):
    trained().save(tmp_path)
    (tmp_path / "model.json").write_bytes(BROKEN_TEXT[text])
    damaged(tmp_path, "model.json is damaged")


def test_a_description_beyond_its_limit_is_not_read(tmp_path):
    trained().save(tmp_path)
    with open(tmp_path / "model.json", "a") as file:
        file.write(" " * MAX_DESCRIPTION)
    damaged(tmp_path, "model.json is damaged", "larger than 16777216 bytes")


def edit(directory, *path, value=None, drop=False, seal=True):
    """Change one value of the description, with the right checksums or the old ones."""
    file = directory / "model.json"
    whole = part = json.loads(file.read_bytes())
    for key in path[:-1]:
        part = part[key]
    if drop:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    text = json.dumps(whole, indent=2, sort_keys=True) + "\n"
    if seal and "NaN" not in text and "Infinity" not in text:
        entries = {k: v for k, v in whole.items() if k != "checksums"}
        text = sealed(entries).decode()
    file.write_text(text)


HUGE = 1 << 24


# What Python would take for something else is among them.
BAD = {
    ("layers", 0, "name"): ["Dens", "os.system", "__class__", None, ["Dense"]],
    ("layers", 0, "unit"): [3],
    ("layers", 0, "self"): [3],
    ("layers", 0, "units"): [7, -1, "8", HUGE + 1, 1 << 70, 8.0],
    ("layers", 0, "activation"): ["rel", {"name": "relu"}],
    ("layers", 0, "initializer"): ["os.system"],
    ("layers", 0): ["Dense", None],
    ("layers",): [[], "Dense", None],
    ("loss", "name"): ["mse"],
    ("loss", "label_smoothing"): [2.0],
    ("loss",): ["softmax_cross_entropy"],
    ("optimizer", "name"): ["adma", "sgd"],
    ("optimizer", "beta1"): [1.5],
    ("optimizer", "learning_rate"): [0.1],
    ("optimizer", "learning_rate", "name"): ["Cosin"],
    ("optimizer", "learning_rate", "rate"): [-1.0],
    ("sample_shape",): [[], [0], [6], [5.0], "5", 5, [1 << 45]],
    ("dtype",): ["float16", "object", "O8", None],
    ("seed",): [-1, "0", True, 0.0],
    ("steps_done",): ["many", -1, 1.5, float("inf"), None, 1 << 40, True],
    ("epochs_done",): [-1],
    ("noise_steps",): [1 << 32],
    ("fixed_rate",): [-1.0],
    ("rate_scale",): ["x", float("nan"), -1.0, 0.0, True],
    ("notes",): ["text", 3],
    ("files",): [[], {}],
    ("files", "weights"): [
        None,
        "../weights-" + 64 * "0" + ".safetensors",
        "weights-" + 64 * "0" + ".safetensors",
    ],
    ("layers", 0, "bias"): ["false", 1],
    ("optimizer", "amsgrad"): [False],
    ("optimizer", "clip_norm"): [True],
    ("optimizer", "l2"): ["0"],
    ("format",): [True],
    ("kind",): ["ensemble", "model"],
    ("settings", "eager"): [0],
    ("settings", "jit"): ["false"],
    ("settings", "metrics"): [["acuracy"], "accuracy"],
    ("settings", "precision"): ["float16"],
    ("settings", "steps_per_graph"): [-1],
    ("settings", "more"): [1],
    ("more",): [1],
}


FORMATS = {"now": (), "first": ("average",)}


@pytest.mark.parametrize("path", BAD, ids=str)
def test_a_description_that_does_not_fit_is_told(path, tmp_path):
    """Also without the right checksum: with its entry."""
    for value in BAD[path]:
        for seal, entry in ((True, "damaged"), (False, path[0])):
            place(tmp_path)
            load(tmp_path)
            edit(tmp_path, *path, value=value, seal=seal)
            damaged(tmp_path, "" if path == ("kind",) else entry)
        if path[0] in ("kind", "settings") or value in (8.0, 0.0):
            continue  # which came later than the first format; its numbers had no types
        place(tmp_path)
        as_first_format(tmp_path)
        load(tmp_path)
        edit(tmp_path, *path, value=value, seal=False)
        damaged(tmp_path, "damaged")


SOUND_EDITS = [
    (("layers", 0, "activation"), "relu"),
    (("layers", 0, "initializer"), "ones"),
    (("loss", "label_smoothing"), 0.5),
    (("optimizer", "learning_rate", "rate"), 0.5),
    (("steps_done",), 11),
    (("notes",), {"classes": []}),
    (("settings", "jit"), False),
]


@pytest.mark.parametrize(("path", "value"), SOUND_EDITS, ids=str)
def test_an_edit_that_would_fit_is_told_by_its_checksum(path, value, tmp_path):
    place(tmp_path)
    edit(tmp_path, *path, value=value)
    load(tmp_path)
    place(tmp_path)
    edit(tmp_path, *path, value=value, seal=False)
    damaged(tmp_path, "model.json", f"{path[0]}: its contents are not those")


def leaves(value, path=()):
    """The path of every entry, dicts before what is in them."""
    rows = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in rows:
        yield (*path, key)
        if isinstance(part, dict | list) and part:
            yield from leaves(part, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_every_entry_that_is_missing_is_told(format_, tmp_path):
    trained("dropout", "adamw", average=xn.WeightAverage()).save(tmp_path)
    if format_ == "first":
        as_first_format(tmp_path)
    text = (tmp_path / "model.json").read_bytes()
    later = ("average", "max_norm", "gradient_noise", "noise_decay")
    paths = [p for p in leaves(json.loads(text)) if p[0] != "checksums"]
    assert len(paths) > 50
    for path in paths:
        if format_ == "first" and path[-1] in later:
            continue
        for seal in {format_ == "now", False}:
            (tmp_path / "model.json").write_bytes(text)
            if seal and path[:3] == ("settings", "metrics", 0):
                continue  # a trainer may have none
            edit(tmp_path, *path, drop=True, seal=seal)
            if seal or format_ == "first":
                damaged(tmp_path, "damaged")
            else:
                damaged(tmp_path, "model.json", path[0])


@pytest.mark.parametrize("text", ['"seed": 0,', '"units": 8,', '"name": "Dense",'])
def test_an_entry_that_is_there_twice_is_told(text, tmp_path):
    file = trained("dense").save(tmp_path) / "model.json"
    file.write_text(file.read_text().replace(text[:-1], f"{text} {text[:-1]}", 1))
    damaged(tmp_path, "model.json", f"{text.split(chr(34))[1]!r} is there twice")


@pytest.mark.slow
def test_every_flipped_bit_of_the_description_is_told(tmp_path):
    file = trained("dense").save(tmp_path) / "model.json"
    whole = file.read_bytes()
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        file.write_bytes(flipped)
        damaged(tmp_path, "model.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b'"rate_scale": 1.0', b'"rate_scale": 1.00'),
        lambda text: text + b" ",
        lambda text: text.replace(b"Dense", b"\\u0044ense"),
    ],
)
def test_the_same_values_in_another_text_are_told(change, tmp_path):
    file = trained("dense").save(tmp_path) / "model.json"
    file.write_bytes(change(file.read_bytes()))
    damaged(tmp_path, "model.json", "its layout is not the one that was written")


@pytest.mark.parametrize(
    ("hidden", "optimizer"),
    in_turns(["dense", "dropout", "batch norm", "layer norm", "noise"], FIVE),
)
def test_a_file_of_the_first_format_is_still_read(hidden, optimizer, tmp_path):
    t = trained(hidden, optimizer)
    t.save(tmp_path)
    as_first_format(tmp_path, "average", "max_norm", "gradient_noise", "noise_decay")
    assert alike(load(tmp_path), t)
    t.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_bytes())["format"] == 2
    assert_complete(tmp_path)


def test_settings_come_back(tmp_path):
    x, y = data()
    t = trainer(metrics=("accuracy", "top_3"), eager=True, jit=False)
    t.fit(x, y, 1, 5)
    back = load(t.save(tmp_path))
    assert (back.eager, back.jit, list(back.metrics)) == (True, False, list(t.metrics))
    t.metrics["mine"] = lambda p, target, weights: 0.0
    assert list(load(t.save(tmp_path)).metrics) == ["accuracy"]


@pytest.mark.parametrize("version", [3, 0, "1", None, 1.0, True, [1]])
def test_another_format_is_told(version, tmp_path):
    trained().save(tmp_path)
    edit(tmp_path, "format", value=version)
    damaged(tmp_path, "model.json: format: expected format 1 or 2", repr(version))
