"""Which of CuPy's names the library uses, read from its sources.

Found are `cupy.a.b`, `xp.a`, `anything.xp.a`, also through a local name for one of
them (`runtime = cupy.cuda.runtime`), with the arguments where it is called or stands
in a recorded call `(function, (arguments))`. A name computed at run time is not.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOTS = ("cupy", "xp")


@dataclass(frozen=True)
class Use:
    """`name` of CuPy at `line` of `file`, with what it is called with."""

    name: str
    file: str
    line: int
    positional: int = 0
    keywords: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: cupy.{self.name}"


def uses(source: str, file: str) -> list[Use]:
    """Every use in the text `source`."""
    tree = ast.parse(source)
    found: list[Use] = []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    scopes = [tree, *(n for n in ast.walk(tree) if isinstance(n, functions))]
    for scope in scopes:
        own = list(_own(scope))
        found += _in_scope(own, _aliases(own), file)
    return found


def used_in(files: list[Path], root: Path) -> list[Use]:
    """Every use in `files`, named from `root`."""
    return [
        use
        for path in files
        for use in uses(path.read_text(encoding="utf-8"), str(path.relative_to(root)))
    ]


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _own(child)


def _aliases(nodes: list[ast.AST]) -> dict[str, str]:
    """Local names that stand for a name of CuPy."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, name = node.targets[0], _dotted(node.value, found)
            if isinstance(target, ast.Name) and name:
                found[target.id] = name
    return found


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """ "cuda.Device" for `cupy.cuda.Device`; None for what is not CuPy's."""
    if isinstance(node, ast.Name):
        return "" if node.id in ROOTS else aliases.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr == "xp":
        return ""
    owner = _dotted(node.value, aliases)
    return None if owner is None else f"{owner}.{node.attr}".lstrip(".")


def _in_scope(nodes: list[ast.AST], aliases: dict[str, str], file: str) -> list[Use]:
    found, inner = [], set()
    for node in nodes:
        called, positional, keywords = _call(node)
        if called is not None:
            name = _dotted(called, aliases)
            if name:
                inner.add(called)
                found.append(Use(name, file, called.lineno, positional, keywords))
    for node in nodes:
        if isinstance(node, ast.Attribute) and node not in inner:
            name = _dotted(node, aliases)
            if name:
                found.append(Use(name, file, node.lineno))
    return found


def _call(node: ast.AST) -> tuple[ast.expr | None, int, list[str]]:
    """The function that `node` calls or records, and its arguments."""
    if isinstance(node, ast.Call):
        starred = any(isinstance(a, ast.Starred) for a in node.args)
        keywords = [k.arg for k in node.keywords if k.arg]
        return node.func, 0 if starred else len(node.args), keywords
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        function, arguments = node.elts
        if isinstance(function, ast.Attribute) and isinstance(arguments, ast.Tuple):
            return function, len(arguments.elts), []
    return None, 0, []
