"""A loaded data set: its arrays, and what its columns and classes are called."""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from xpnet.data.target import Classes


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a loader gives: x (samples, features), its target, and their names.

    `y` is (samples,) int64 class codes that count into `classes`, or (samples, outputs)
    float32 where `classes` is None; it is None for a file to predict on. `x_test` and
    `y_test` are the test part of a source that comes with one.

    Raises ValueError when x and y, or the two parts, do not fit together.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    name: str
    feature_names: tuple[str, ...] | None = None
    classes: Classes | None = None
    x_test: NDArray[Any] | None = None
    y_test: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self.name, "x", self.x, "y", self.y)
        if self.x_test is None:
            return
        _check_lengths(self.name, "x_test", self.x_test, "y_test", self.y_test)
        if self.x_test.shape[1:] != self.x.shape[1:]:
            raise ValueError(
                f"{self.name}: expected x_test with {self.x.shape[1]} features as x, "
                f"got {self.x_test.shape[1]}; hint: both must be made alike"
            )

    @property
    def task(self) -> Literal["classification", "regression"] | None:
        """What `y` asks for; None for a file to predict on."""
        if self.y is None:
            return None
        return "regression" if self.classes is None else "classification"


def _check_lengths(
    name: str, x_name: str, x: NDArray[Any], y_name: str, y: NDArray[Any] | None
) -> None:
    if y is not None and len(x) != len(y):
        raise ValueError(
            f"{name}: expected one target a sample, got {len(x)} rows in {x_name} and "
            f"{len(y)} in {y_name}; hint: check that both come from the same samples"
        )
