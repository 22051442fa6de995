"""A loaded data set: its arrays, and what its columns and classes are called."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from xpnet.common import check_flag, printable
from xpnet.data.target import Classes, Target, Task


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a loader gives: x (samples, features), its target, and their names.

    Attributes:
        x: (samples, features).
        y: (samples,) int64 class codes that count into `classes`, or (samples, outputs)
            float32 where `classes` is None; None for a file to predict on.
        name: of the source.
        feature_names: of the columns of x, where they have names.
        classes: what the codes stand for.
        x_test, y_test: the test part of a source that comes with one.
        multilabel: whether y holds yes/no labels, 0 and 1, rather than numbers.
        taken: what y was taken for, in a sentence, and how to say otherwise.

    Raises ValueError when x and y, or the two parts, do not fit together.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    name: str
    feature_names: tuple[str, ...] | None = None
    classes: Classes | None = None
    x_test: NDArray[Any] | None = None
    y_test: NDArray[Any] | None = None
    multilabel: bool = False
    taken: str = ""

    @staticmethod
    def of(
        x: NDArray[Any],
        target: Target,
        name: str,
        feature_names: tuple[str, ...] | None = None,
        x_test: NDArray[Any] | None = None,
        y_test: NDArray[Any] | None = None,
    ) -> "Dataset":
        """The data set of an encoded target."""
        return Dataset(
            x,
            target.y,
            name,
            feature_names,
            target.classes,
            x_test,
            y_test,
            target.task == "multilabel",
            target.taken,
        )

    def __post_init__(self) -> None:
        check_flag("Dataset", "multilabel", self.multilabel)
        _check_lengths(self.name, "x", self.x, "y", self.y)
        if self.x_test is None:
            return
        _check_lengths(self.name, "x_test", self.x_test, "y_test", self.y_test)
        if self.x_test.shape[1:] != self.x.shape[1:]:
            raise ValueError(
                f"{printable(self.name)}: expected x_test with {self.x.shape[1]} "
                f"features as x, got {self.x_test.shape[1]}; hint: both must be made "
                "alike"
            )

    @property
    def task(self) -> Task | None:
        """What `y` asks for; None for a file to predict on."""
        if self.y is None:
            return None
        if self.multilabel:
            return "multilabel"
        return "regression" if self.classes is None else "classification"


def _check_lengths(
    name: str, x_name: str, x: NDArray[Any], y_name: str, y: NDArray[Any] | None
) -> None:
    if y is not None and len(x) != len(y):
        raise ValueError(
            f"{printable(name)}: expected one target a sample, got {len(x)} rows in "
            f"{x_name} and {len(y)} in {y_name}; hint: check that both come from the "
            "same samples"
        )
