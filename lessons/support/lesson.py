"""Lesson: what an experiment reports: text, JSON and pictures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xpnet.common.plain import plain
from xpnet.lessons.support.pictures import (
    panels,
    picture_style,
    plain_ticks,
    unlabelled,
)

SHOWN = 8  # values of a list that are printed


class Lesson:
    """Records claims, numbers, checks and figures, and prints each at once.

    Args:
        name: the lesson's name; its files begin with it.
        folder: an existing folder for the PNG files.
        title: one line.
        quick: run a smaller experiment, for tests: see `size`.
        data: a folder with MNIST's four files, or None.

    Attributes:
        claims, checks, numbers, figures, notes: what was recorded.
    """

    def __init__(
        self,
        name: str,
        folder: str | Path,
        title: str = "",
        quick: bool = False,
        data: str | Path | None = None,
    ):
        self.name, self.title, self.folder = name, title, Path(folder)
        self.quick, self.data = quick, None if data is None else Path(data)
        self.claims: list[str] = []
        self.checks: list[dict[str, Any]] = []
        self.numbers: dict[str, Any] = {}
        self.figures: list[str] = []
        self.notes: list[str] = []

    def size(self, full: int, quick: int) -> int:
        """`full`, or `quick` if the lesson runs as a test."""
        return quick if self.quick else full

    def claim(self, text: str) -> None:
        """State what the experiment is to show."""
        self.claims.append(text)
        print(f"\nclaim    {text}")

    def number(self, name: str, value: Any) -> None:
        """Record a measured number, list or table under a new name with its unit.

        Raises:
            ValueError: the name is in use.
        """
        if name in self.numbers:
            raise ValueError(f"{self.name}: the number {name!r} is there already")
        self.numbers[name] = plain(value)
        print(f"  {name:<42} {shown(self.numbers[name])}")

    def check(self, statement: str, held: Any) -> None:
        """Record whether a claim held; the statement has the measured numbers."""
        self.checks.append({"statement": statement, "held": bool(held)})
        print(f"{'holds' if held else 'FAILS':<8} {statement}")

    def note(self, text: str) -> None:
        """Record a remark."""
        self.notes.append(text)
        print(f"note     {text}")

    @contextmanager
    def figure(
        self,
        name: str,
        rows: int = 1,
        columns: int = 1,
        size: tuple[float, float] = (4.6, 3.7),
        bowls: Sequence[int] = (),
    ) -> Iterator[Any]:
        """Axes to draw on, saved as `<lesson>-<name>.png` at the end of the block.

        Args:
            name: of the picture.
            rows, columns: of panels. Yields the axes, or a list of several.
            size: of one panel, inches.
            bowls: indices of the three-dimensional panels.

        Raises:
            ImportError: matplotlib is missing; the message has the install line.
            ValueError: some axes have no labels.
        """
        path = self.folder / f"{self.name}-{name}.png"
        with picture_style():
            fig, found = panels(rows, columns, size, bowls)
            yield found[0] if len(found) == 1 else found
            missing = unlabelled(fig)
            if missing:
                raise ValueError(
                    f"{self.name}: figure {name!r}: panels {missing} have axes without "
                    "labels; set_xlabel, set_ylabel, or set_axis_off for images"
                )
            plain_ticks(fig)
            fig.savefig(path, dpi=130)
        self.figures.append(path.name)
        print(f"figure   {path}")

    @property
    def held(self) -> bool:
        """Whether there were checks and all of them held."""
        return bool(self.checks) and all(check["held"] for check in self.checks)

    def record(self) -> dict[str, Any]:
        """Everything recorded, as values that JSON has."""
        return {
            "name": self.name,
            "title": self.title,
            "held": self.held,
            "quick": self.quick,
            "claims": self.claims,
            "checks": self.checks,
            "numbers": self.numbers,
            "figures": self.figures,
            "notes": self.notes,
        }


def shown(value: Any) -> str:
    """A plain value on one line."""
    if value is None:
        return "not finite"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_inner(part)}" for key, part in value.items())
    if isinstance(value, list):
        rest = f", ... ({len(value)} in all)" if len(value) > SHOWN else ""
        return ", ".join(map(_inner, value[:SHOWN])) + rest
    return str(value)


def _inner(value: Any) -> str:
    """An item of a list or table; nested lists and tables get brackets."""
    return f"[{shown(value)}]" if isinstance(value, list | dict) else shown(value)
