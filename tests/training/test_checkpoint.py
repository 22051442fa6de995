"""Files: what is saved comes back bit by bit, and damage is told, never run."""

import builtins
import json
import os
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

import xpnet as xn
from tests.cases import FEATURES, FIVE, RULES, TARGETS, data, in_turns
from tests.training.examples import as_first_format, trainer, weights
from tests.ways import curves, same
from xpnet.training.folder import MAX_DESCRIPTION
from xpnet.training.sealed import sealed

PARTS = ("optimizer", "weights")
KINDS = ["model", *PARTS]


def trained(
    hidden="dropout", optimizer="adam", loss="softmax_cross_entropy", **options
):
    x, y = data(TARGETS[loss])
    t = trainer(hidden, loss, RULES[optimizer](1), **options)
    t.fit(x, y, 2, 5)
    return t


def load(directory):
    return xn.Trainer.load(directory, "cpu")


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@cache
def files_of(*arguments):
    """{name: contents} of a saved trainer."""
    with TemporaryDirectory() as folder:
        return contents(trained(*arguments).save(Path(folder) / "model"))


def place(directory, *arguments):
    """What saving `trained(...)` into `directory` would leave there."""
    for name, content in files_of(*(arguments or ("dense",))).items():
        (directory / name).write_bytes(content)


def file_of(directory, part):
    """The file of a part: the description, or the tensors that it names."""
    if part == "model":
        return directory / "model.json"
    (path,) = directory.glob(f"{part}-*.safetensors")
    return path


def assert_complete(directory):
    """Three files, and nothing that an earlier save or a broken one has left."""
    names = {file_of(directory, part).name for part in KINDS}
    assert set(contents(directory)) == names


def alike(a, b):
    """Whether two trainers are in the same state."""
    return (
        same(weights(a), weights(b))
        and same(a.parameters(), b.parameters())
        and same(a.rule.slots, b.rule.slots)
        and a.learning_rate == b.learning_rate
        and (a.steps_done, a.epochs_done) == (b.steps_done, b.epochs_done)
        and (a.seed, a.dtype, a.notes) == (b.seed, b.dtype, b.notes)
        and repr(a.model) == repr(b.model)
        and repr(a.loss_function) == repr(b.loss_function)
        and rule(a) == rule(b)
    )


def rule(t):
    """The optimiser's arguments, a constant rate in either spelling."""
    rest = {k: v for k, v in t.optimizer.config().items() if k != "learning_rate"}
    return type(t.optimizer), t.optimizer.schedule, rest


def goes_on_alike(a, b, loss="softmax_cross_entropy"):
    """Whether both train on alike from where they are."""
    x, y = data(TARGETS[loss], seed=3)
    rows = [curves(t.fit(x, y, 2, 5, validation=(x, y))) for t in (a, b)]
    for t in (a, b):
        t.step(x, y)
    return rows[0] == rows[1] and a.loss == b.loss and alike(a, b)


@pytest.mark.parametrize(("optimizer", "hidden", "dtype"), [
    ("adam", "all", "float32"), ("noisy", "max norm", "float64"),
    ("rmsprop with all", "leaky", "float32"),
])  # fmt: skip
def test_a_saved_trainer_comes_back_and_goes_on_as_if_never_saved(
    hidden, optimizer, dtype, tmp_path
):
    t = trained(hidden, optimizer, dtype=dtype, seed=5)
    t.learning_rate = 0.02
    t.notes = {"classes": ["a", "ü"], "scale": [0.1, 1e-300], "deep": {"none": None}}
    assert t.save(tmp_path / "new" / "model") == tmp_path / "new" / "model"
    back = load(tmp_path / "new" / "model")
    assert alike(t, back)
    x, _ = data()
    assert same([t.predict(x)], [back.predict(x)])
    assert goes_on_alike(t, back)


def test_a_second_trainer_of_a_model_with_noise_goes_on_alike(tmp_path):
    first = trained("dropout")
    t = xn.Trainer(first.model, "softmax_cross_entropy", device="cpu", seed=1)
    x, y = data()
    t.fit(x, y, 1, 5)
    back = load(t.save(tmp_path))
    assert goes_on_alike(t, back)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    one = contents(trained().save(tmp_path / "a"))
    assert_complete(tmp_path / "a")
    assert contents(trained().save(tmp_path / "b")) == one
    assert contents(load(tmp_path / "a").save(tmp_path / "c")) == one
    assert contents(trained(seed=1).save(tmp_path / "d")) != one


def test_the_tensors_have_their_names_and_their_order_in_memory(tmp_path):
    t = trained("batch norm", "adam")
    t.save(tmp_path)
    tensors = read_tensors(file_of(tmp_path, "weights").read_bytes())
    running = {"1.running_mean", "1.running_variance"}
    assert set(tensors) == set(t.parameters()) | running
    for name, value in t.parameters().items():
        assert tensors[name].reshape(value.shape).tolist() == value.tolist()
    assert tensors["0.W"].shape == (FEATURES, 6)
    state = read_tensors(file_of(tmp_path, "optimizer").read_bytes())
    assert set(state) == {"m", "v"}


def test_arrays_in_another_order_of_axes_are_saved_right(tmp_path):
    t = trained("dense")
    views = t.model.buffers.views
    views[0, "W"] = np.asfortranarray(views[0, "W"])
    views[1, "W"] = np.repeat(views[1, "W"], 2, axis=1)[:, ::2]
    back = load(t.save(tmp_path))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            t.parameters().values(), back.parameters().values(), strict=True
        )
    )


def test_saving_over_a_model_replaces_it(tmp_path):
    trained("batch norm", "nesterov").save(tmp_path)
    t = trained("dropout", "adam")
    t.save(tmp_path)
    assert alike(load(tmp_path), t)
    assert_complete(tmp_path)


class Mine(xn.Layer):
    """A layer of one's own."""

    def forward(self, x, training):
        return x

    def backward(self, delta):
        return delta


class MyLoss(xn.MeanSquaredError):
    """A loss of one's own."""


class MyRule(xn.SGD):
    """A rule of one's own."""


class Dense(xn.Dense):
    """A layer of one's own with the name of another."""


def of(*layers, loss="mean_squared_error", rule=None):
    return xn.Trainer(xn.Sequential([*layers, xn.Dense(2)]), loss, rule or "sgd", "cpu")


OWN = {
    "layer": (lambda: of(Mine()), r"layer Mine is your own.*Activation, BatchNorm"),
    "namesake": (lambda: of(Dense(3)), r"layer Dense is your own"),
    "activation": (
        lambda: of(xn.Dense(3, activation=lambda z: z * z)),
        r"layer Dense: activation=<function .* is your own",
    ),
    "initializer": (
        lambda: of(xn.Dense(3, initializer=lambda rng, shape: np.ones(shape))),
        r"layer Dense: initializer=<function .* is your own",
    ),
    "loss": (lambda: of(loss=MyLoss()), r"loss MyLoss is your own"),
    "rule": (lambda: of(rule=MyRule(0.1)), r"optimizer MyRule is your own"),
    "schedule": (
        lambda: of(rule=xn.SGD(lambda step: 0.1)),
        r"learning rate <function .* cannot be saved",
    ),
    "inner schedule": (
        lambda: of(rule=xn.SGD(xn.WarmUp(lambda step: 0.1, 3))),
        r"learning rate <function .* cannot be saved",
    ),
}
NOTES = {
    "array": {"scale": np.ones(2)},
    "function": {"f": print},
    "NaN": {"scale": float("nan")},
    "too large": {"text": "x" * (17 << 20)},
    "keys": {1: "a", "b": 2},
}


@pytest.mark.parametrize("own", OWN)
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(own, tmp_path):
    make, message = OWN[own]
    t = make()
    t.build(FEATURES)
    with pytest.raises(ValueError, match=message):
        t.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("notes", NOTES)
def test_notes_that_a_file_cannot_hold_leave_the_old_model(notes, tmp_path):
    t = trained("dense")
    t.save(tmp_path)
    before = contents(tmp_path)
    other = trained("dense", seed=1)
    other.notes = NOTES[notes]
    with pytest.raises((ValueError, TypeError), match="notes"):
        other.save(tmp_path)
    assert contents(tmp_path) == before


# Files are forced to the disk before they get their names, and names after that.
WRITES = [*(("fsync", i) for i in range(6)), *(("replace", i) for i in range(3))]


@pytest.mark.parametrize(("name", "nth"), WRITES)
def test_an_error_while_writing_leaves_the_old_model(name, nth, tmp_path, monkeypatch):
    old = trained("dense")
    old.save(tmp_path)
    real, count = getattr(os, name), iter(range(100))

    def fail(*args, **kwargs):
        if next(count) == nth:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    new = trained("dense", seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(OSError, match="No space left"):
            new.save(tmp_path)
    renamed = (name, nth) == ("fsync", 5)  # the last name is there, perhaps on no disk
    assert alike(load(tmp_path), new if renamed else old)
    assert_complete(tmp_path)
    new.save(tmp_path)
    assert alike(load(tmp_path), new)
    assert_complete(tmp_path)


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
    for place in ("model", "nowhere", "a file"):
        with pytest.raises(FileNotFoundError, match=r"no saved model in .*xpnet train"):
            load(tmp_path / place)


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


def test_widths_whose_product_fills_the_memory_are_told(tmp_path):
    trained("deep").save(tmp_path)
    edit(tmp_path, "layers", 0, "units", value=HUGE)
    edit(tmp_path, "layers", 1, "units", value=HUGE)  # 1 PiB of weights between them
    damaged(tmp_path, " is damaged or no xpnet model: ")


@pytest.mark.parametrize("version", [3, 0, "1", None, 1.0, True, [1]])
def test_another_format_is_told(version, tmp_path):
    trained().save(tmp_path)
    edit(tmp_path, "format", value=version)
    damaged(tmp_path, "model.json: format: expected format 1 or 2", repr(version))


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
