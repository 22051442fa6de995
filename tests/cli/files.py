"""Small data files, and the command line in this process and in one of its own."""

import csv
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xpnet.cli import main

ROOT = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n"
QUICK = ("--epochs", "3", "--device", "cpu")
FEW = ("--epochs", "2", "--hidden", "8", "--device", "cpu")


def xpnet(capsys, *arguments):
    """(exit status, standard output, standard error) of a command, here."""
    capsys.readouterr()
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as exit:
        status = exit.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, *arguments):
    """The one line that a command is refused with, before it has printed anything."""
    status, out, err = xpnet(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


def answered(capsys, *arguments):
    """The JSON object of a command that succeeds; NaN and infinity are none."""
    status, out, err = xpnet(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out, parse_constant=pytest.fail)


def printed(capsys, *arguments):
    """The text of a command that succeeds."""
    status, out, err = xpnet(capsys, *arguments)
    assert (status, err) == (0, "")
    return out


def command(*arguments, **options):
    """A process that runs `python -m xpnet`, with pipes to all its streams."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "xpnet", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def run(*arguments, **options):
    """(exit status, standard output, standard error) of a command in a process."""
    process = command(*arguments, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def flowers(path, samples=90):
    """Three kinds of flowers that a line or two tells apart; their kind is text."""
    rng = np.random.Generator(np.random.Philox(5))
    kinds = np.arange(samples) % 3
    x = rng.normal(0.0, 0.3, (samples, 3)) + 2.0 * np.eye(3)[kinds]
    names = np.array(["setosa", "iris, blue", "élan"])[kinds]
    rows = [
        [*map(repr, map(float, row)), name] for row, name in zip(x, names, strict=True)
    ]
    return write_csv(path, ["length", "width", "height", "kind"], rows), x, names


def prices(path, samples=120):
    """price = 1000 size - 50 age + 20000, in units far from 1."""
    rng = np.random.Generator(np.random.Philox(6))
    size, age = rng.uniform(20.0, 200.0, samples), rng.uniform(0.0, 90.0, samples)
    price = 1000.0 * size - 50.0 * age + 20000.0
    rows = np.stack([size, age, price], axis=1)
    write_csv(path, ["size", "age", "price"], rows.tolist())
    return path, rows


def mnist(directory):
    """A folder like MNIST: 4 × 4 images with the half bright that the label says."""
    directory.mkdir()
    rng = np.random.Generator(np.random.Philox(7))
    for part, count in (("train", 80), ("t10k", 40)):
        labels = np.arange(count) % 2
        images = rng.integers(0, 60, (count, 4, 4))
        images[labels == 1, :2] += 180
        images[labels == 0, 2:] += 180
        for kind, array in (("images", images), ("labels", labels)):
            header = bytes([0, 0, 8, array.ndim])
            header += struct.pack(f">{array.ndim}I", *array.shape)
            path = directory / f"{part}-{kind}-idx{array.ndim}-ubyte"
            path.write_bytes(header + array.astype("u1").tobytes())
    return directory
