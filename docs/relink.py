"""Links from docs/*.md to lines of code: checked, and put right after an edit.

A link's text is a piece of the line that it points to,

    [`self.dW[...] = ...`](../layers/dense.py#L72)

so that the line is found again wherever it has moved. Where a file has that piece
twice, the link's title names the function: (../layers/noise.py#L64 "Dropout.backward").

    python docs/relink.py             # puts the line numbers right
    python docs/relink.py --check     # names the links that are wrong, and exits with 1
"""

import argparse
import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'\[`([^`]+)`\]\(\.\./([\w/]+\.py)#L(\d+)(?: "([\w.]+)")?\)')


@dataclass(frozen=True)
class Link:
    """A piece of code, the file and line it is said to stand on, and its function."""

    code: str
    file: str
    line: int
    scope: str = ""

    def __str__(self) -> str:
        title = f' "{self.scope}"' if self.scope else ""
        return f"[`{self.code}`](../{self.file}#L{self.line}{title})"

    def found(self, root: Path) -> list[int]:
        """The lines of the file, within the function, that have the code."""
        text = (root / self.file).read_text(encoding="utf-8")
        first, last = _span(text, self.scope)
        lines = enumerate(text.splitlines(), 1)
        return [i for i, line in lines if first <= i <= last and self.code in line]

    def moved(self, root: Path) -> "Link":
        """The link to where the code stands now, in its file or else in another.

        Raises:
            ValueError: it stands nowhere, or in several places.
        """
        home = root / self.file
        found = self._places(root, [home] if home.is_file() else [])
        found = found or self._places(root, sorted(root.glob("*/*.py")))
        if len(found) != 1:
            places = ", ".join(f"{link.file}:{link.line}" for link in found)
            raise ValueError(
                f"`{self.code}` ({self.file} {self.scope}): expected one line that has "
                f"it, got {places or 'none'}; change the link's text or title"
            )
        return found[0]

    def _places(self, root: Path, files: list[Path]) -> list["Link"]:
        names = [file.relative_to(root).as_posix() for file in files]
        links = [Link(self.code, name, 0, self.scope) for name in names]
        return [
            Link(self.code, link.file, line, self.scope)
            for link in links
            for line in link.found(root)
        ]


def _span(text: str, scope: str) -> tuple[int, int]:
    """First and last line of the function or class `scope`; (1, 0) without one."""
    if not scope:
        return 1, len(text.splitlines())
    node: ast.AST = ast.parse(text)
    for name in scope.split("."):
        inner = {getattr(n, "name", None): n for n in ast.iter_child_nodes(node)}
        if name not in inner:
            return 1, 0
        node = inner[name]
    return node.lineno, node.end_lineno or 0  # type: ignore[attr-defined]


def links(text: str) -> list[Link]:
    """The links of a page."""
    rows = LINK.finditer(text)
    return [Link(m[1], m[2], int(m[3]), m[4] or "") for m in rows]


def relink(text: str, root: Path = ROOT) -> tuple[str, list[str]]:
    """The page with its line numbers right, and what is wrong with the other links."""
    wrong = []
    for link in dict.fromkeys(links(text)):
        try:
            text = text.replace(str(link), str(link.moved(root)))
        except ValueError as error:
            wrong.append(str(error))
    return text, wrong


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """0 when every page is, or has been put, right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    failed = False
    for page in sorted((root / "docs").glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new, wrong = relink(old, root)
        for message in wrong:
            print(f"{page.name}: {message}", file=sys.stderr)
        for before, after in zip(links(old), links(new), strict=True):
            if before != after:
                print(f"{page.name}: {before} -> {after.file}#L{after.line}")
        failed |= bool(wrong) or (check and new != old)
        if new != old and not check:
            page.write_text(new, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
