"""Who imports whom in xpnet: read from the sources, nothing is imported.

Imports of type checkers and imports inside functions count, and so do names of modules
that are handed to `import_module`. A name that a package hands on is charged to the
file that defines it.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FACE = ROOT / "xpnet"

# Each room imports only from itself and from rooms above it.
ROOMS = (
    *("common", "backend", "trace", "compiler", "data", "layers", "optim"),
    *("execution", "training", "stack", "diagnosis", "selection", "estimators"),
    *("xpnet", "benchmarks", "lessons", "commands"),
)

FACE_MODULES = ("xpnet", "xpnet.arguments", "xpnet.names", "xpnet.sklearn")

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """{"xpnet.trace.tape": path...} of every file of the library."""
    found = {}
    for path in (
        *FACE.glob("*.py"),
        *(FACE / "commands").glob("*.py"),
        *(
            p
            for link in FACE.iterdir()
            if link.is_symlink()
            for p in link.rglob("*.py")
        ),
    ):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room_of(module: str) -> str:
    """The room of a module: a top-level folder, "xpnet" (public names), "commands"."""
    parts = module.split(".")
    if len(parts) > 1 and parts[1] in ROOMS:
        return parts[1]
    return "xpnet" if module in FACE_MODULES else "commands"


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of each import; the name is empty where a module is named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) == "import_module":
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, ""


def _handed_on(module: str, trees: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(module, name) of each import of a package; `*` stands for a list of imports."""
    for at, name in _imports(trees[module]):
        yield from _imports(trees[at]) if name == "*" else [(at, name)]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@cache
def import_graph() -> Graph:
    """{module: the modules that it imports}, without the packages' own files.

    The sources are read once per process.
    """
    paths = modules()
    trees = {m: ast.parse(p.read_text(encoding="utf-8")) for m, p in paths.items()}
    packages = {m for m, p in paths.items() if p.name == "__init__.py"}
    given = {(m, n): at for m in packages for at, n in _handed_on(m, trees) if n}

    def home(module: str, name: str) -> set[str]:
        while (module, name) in given and f"{module}.{name}" not in paths:
            module = given[module, name]
        if f"{module}.{name}" in paths:
            module, name = f"{module}.{name}", ""
        if module in packages - {"xpnet"} and not name:  # any of its modules
            module += "."
        if module.endswith("."):  # also import_module(f"xpnet.room.{...}")
            return {m for m in paths if m.startswith(module)} - packages
        return {module} & paths.keys()

    graph: Graph = {}
    for module in paths.keys() - packages:
        wanted = [home(*found) for found in _imports(trees[module])]
        graph[module] = set().union(*wanted) - packages - {module}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, directly or not (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(stack) > at + 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def upwards(graph: Graph) -> set[tuple[str, str]]:
    """(module, imported) wherever the imported one lies in a room further down."""
    return {
        (module, other)
        for module, others in graph.items()
        for other in others
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(module))
    }
