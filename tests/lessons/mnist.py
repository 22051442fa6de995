"""Files in MNIST's form: the built-in digits, three times as large, framed by zeros."""

import struct

import numpy as np

from xpnet.data import datasets
from xpnet.data.idx import FILES


def write_mnist(folder):
    """The four files: 3,000 images of 28 x 28 (1,500, twice) and 297 to test."""
    x, y = datasets.digits()
    large = np.kron(x.reshape(-1, 8, 8) * 15, np.ones((3, 3)))
    images = np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(x))
    parts = {"": np.tile(order[:1500], 2), "_test": order[1500:]}
    for part, rows in parts.items():
        head = struct.pack(">4i", 2051, len(images[rows]), 28, 28)
        (folder / FILES["x" + part]).write_bytes(head + images[rows].tobytes())
        labels = y[rows].astype(np.uint8)
        head = struct.pack(">2i", 2049, len(labels))
        (folder / FILES["y" + part]).write_bytes(head + labels.tobytes())
