"""The house: folders, links and lists agree, and the arrows go one way."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from docs.import_graph import (
    ROOMS,
    circles,
    import_graph,
    modules,
    upwards,
)

ROOT = Path(__file__).resolve().parents[2]
FACE = ROOT / "xpnet"
OTHERS = {"docs", "tests", "xpnet"}
with open(ROOT / "pyproject.toml", "rb") as file:
    SETTINGS = tomllib.load(file)
SETUPTOOLS = SETTINGS["tool"]["setuptools"]


def rooms():
    """The top-level folders that are packages of the library."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return sorted(found - OTHERS)


GRAPH = import_graph()


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            if node.module == "xpnet":
                yield from (f"xpnet.{alias.name}" for alias in node.names)


def test_every_room_has_its_link_in_the_face():
    links = {path.name: path.readlink() for path in FACE.iterdir() if path.is_symlink()}
    assert links == {room: Path("..") / room for room in rooms()}
    assert {*rooms(), "xpnet", "commands"} == {*ROOMS}


def test_every_package_is_listed_and_lies_where_the_list_says():
    inner = {path.parent.name for path in FACE.glob("*/__init__.py")}
    inner -= set(rooms())  # the links
    expected = {"xpnet": "xpnet"}
    expected |= {f"xpnet.{name}": f"xpnet/{name}" for name in inner}
    for room in rooms():
        for path in (ROOT / room).rglob("__init__.py"):
            folder = path.parent.relative_to(ROOT)
            expected[".".join(("xpnet", *folder.parts))] = folder.as_posix()
    assert SETUPTOOLS["package-dir"] == expected
    assert sorted(SETUPTOOLS["packages"]) == sorted(expected)


def test_the_data_of_packages_is_there():
    for package, names in SETUPTOOLS["package-data"].items():
        folder = ROOT / SETUPTOOLS["package-dir"][package]
        for name in names:
            assert (folder / name).is_file(), f"{package}: {name}"
    assert "py.typed" in SETUPTOOLS["package-data"]["xpnet"]
    for name in SETTINGS["project"]["license-files"]:
        assert (ROOT / name).is_file()


def test_lint_reads_a_file_once():
    assert set(SETTINGS["tool"]["ruff"]["extend-exclude"]) == {
        f"xpnet/{room}" for room in rooms()
    }


def test_rooms_import_downwards_only_and_in_no_circle():
    """In functions, for type checkers, by name: the graph sees each kind."""
    assert upwards(GRAPH) == set()
    assert circles(GRAPH) == []
    assert "xpnet.compiler.cuda.cupy_driver" in GRAPH["xpnet.compiler.drivers"]
    assert "xpnet.compiler.cuda.driver" in GRAPH["xpnet.compiler.drivers"]
    assert "xpnet.commands.info" in GRAPH["xpnet.cli"]


@pytest.mark.slow
def test_no_file_imports_a_bare_room_and_none_evaluates_text_or_unpickles():
    library, bare = set(modules().values()), set(rooms())
    forbidden = {"eval", "exec", "compile", "__import__"}
    for path in [*library, *ROOT.glob("tests/**/*.py")]:
        names = set(imports(path))
        assert not {name.split(".")[0] for name in names} & bare, path
        if path not in library:
            continue
        assert not names & {"pickle", "marshal", "shelve", "dill"}, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden, path


@pytest.mark.parametrize("room", rooms())
def test_the_door_of_a_room_defines_nothing(room):
    kinds = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)
    names = "__all__ = exports.public_names(vars())"
    for node in tree(ROOT / room / "__init__.py").body:
        derived = isinstance(node, ast.If) and ast.unparse(node.body) == names
        assert derived or isinstance(node, kinds)


def pins(lines, sign):
    """{package: version} of lines such as "numpy>=2.1" """
    found = [line.partition(sign) for line in lines]
    return {name: version for name, at, version in found if at and name[0] != "#"}


def test_the_oldest_dependencies_are_those_that_are_tested():
    project = SETTINGS["project"]
    extras = project["optional-dependencies"]
    names = ("jit", "sklearn", "plot", "test")
    lines = [*project["dependencies"], *(line for n in names for line in extras[n])]
    allowed = pins(lines, ">=")
    tested = pins((ROOT / ".ci" / "oldest.txt").read_text().splitlines(), "==")
    assert allowed.keys() | {"scipy", "pyparsing"} == tested.keys()
    for line in lines:  # in every extra
        name, _, bound = line.partition(">=")
        assert (tested[name] + ".").startswith(bound + "."), line


def test_an_array_of_the_host_has_one_name():
    alias = re.compile(r"^(\w+) = np\.ndarray\[Any, Any\]", re.M)
    found = {
        (module, name)
        for module, path in modules().items()
        if ".benchmarks." not in module
        for name in alias.findall(path.read_text(encoding="utf-8"))
    }
    assert found == {("xpnet.common.arrays", "NDArray")}
