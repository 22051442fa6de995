"""Numbers that differ from network to network in a stack.

An equation such as `v = self.momentum * v + g` reads its momentum as a Python number,
which a recorded step freezes. In a stack of k networks the same line meets a
`PerNetwork` in its place: k numbers that compute with other numbers on the host in
float64, as each network's own would, and enter the record as an array (k, 1, ...) of
the dtype of the array that they meet. So there is no second form of the equation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.trace.array import Traced


class PerNetwork(np.lib.mixins.NDArrayOperatorsMixin):
    """One number per network of a stack.

    It is true if the number of any network is: after `if self.l2:` there is something
    to compute. A comparison must have the same result for all networks.

    Args:
        values: (k, 1, ...) on the host, as many axes as what they meet.
        asarray: places an array on the stack's device.
    """

    def __init__(self, values: Any, asarray: Callable[[Any], Array]) -> None:
        self.values, self._asarray = np.asarray(values), asarray

    @classmethod
    def of(
        cls, values: Sequence[float], axes: int, asarray: Callable[[Any], Array]
    ) -> "PerNetwork":
        """The numbers of k networks, broadcast against arrays of `axes` axes."""
        column = np.array(values, np.float64).reshape(-1, *[1] * (axes - 1))
        return cls(column, asarray)

    def array(self, dtype: np.dtype[Any]) -> Array:
        """The numbers on the device, weak as Python's: `dtype` if it holds their kind.

        A float beside whole numbers is float64, as Python's is.
        """
        kinds = "biuf"
        if kinds.index(self.values.dtype.kind) > kinds.index(dtype.kind):
            dtype = self.values.dtype
        return self._asarray(self.values.astype(dtype))

    def __array_ufunc__(
        self, op: np.ufunc, method: str, *args: Any, **kwargs: Any
    ) -> Any:
        arrays = any(isinstance(a, Traced) or hasattr(a, "strides") for a in args)
        if method != "__call__" or kwargs or arrays:
            return NotImplemented
        values = [a.values if isinstance(a, PerNetwork) else a for a in args]
        return PerNetwork(op(*values), self._asarray)

    def __floor__(self) -> "PerNetwork":
        return PerNetwork(np.floor(self.values).astype(np.int64), self._asarray)

    def __bool__(self) -> bool:
        if self.values.dtype == np.bool_ and self.values.any() != self.values.all():
            raise TypeError(
                "a decision that differs among the members of a stack cannot be part "
                "of one program; expected settings that compute the same equations"
            )
        return bool(self.values.any())

    def __float__(self) -> float:
        raise TypeError(
            "a number that differs among the members of a stack cannot be read as one "
            "(float, int, math.*); expected arithmetic, np.* functions or math.floor"
        )

    __int__ = __index__ = __float__

    def __repr__(self) -> str:
        return f"PerNetwork({self.values.reshape(-1).tolist()})"
