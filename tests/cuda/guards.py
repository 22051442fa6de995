"""Device memory between guard words, which a kernel must not touch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests import standin
from xpnet.backend import Backend

GUARD, EMPTY = 0xA5, 0xFF
WIDTH = 64  # bytes on either side


class Guards:
    """What was allocated, with its guard words."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray[Any, Any]] = []
        self._empty = standin.cupy.empty

    def empty(self, shape: Any, dtype: Any = float) -> Any:
        """`cupy.empty`; what it holds is NaN in every floating-point dtype."""
        plain = self._empty(shape, dtype)
        whole = np.full(plain.nbytes + 2 * WIDTH, GUARD, np.uint8)
        inner = whole[WIDTH : WIDTH + plain.nbytes]
        inner.fill(EMPTY)
        self._arrays.append(whole)
        return standin.ndarray(inner.view(plain.dtype).reshape(plain.shape))

    def check(self) -> None:
        """Raises AssertionError if a guard word was overwritten."""
        for whole in self._arrays:
            edges = np.concatenate([whole[:WIDTH], whole[-WIDTH:]])
            damaged = np.flatnonzero(edges != GUARD)
            assert not damaged.size, f"guard words were overwritten at {damaged}"


@contextmanager
def guarded() -> Iterator[Guards]:
    """Every allocation of the block has guard words, checked at its end."""
    guards = Guards()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standin.cupy, "empty", guards.empty)
        yield guards
    guards.check()


def on_device(backend: Backend, values: Any) -> Any:
    """A copy of host `values` between guard words."""
    values = np.asarray(values)
    array = backend.empty(values.shape, values.dtype)
    backend.upload(array, values)
    return array
