"""The house: folders, links and lists agree, and the arrows go one way."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACE = ROOT / "xpnet"
OTHERS = {"docs", "tests", "xpnet"}
with open(ROOT / "pyproject.toml", "rb") as file:
    SETTINGS = tomllib.load(file)
SETUPTOOLS = SETTINGS["tool"]["setuptools"]

# What each room may import, besides itself and what is no part of xpnet.
ARROWS = {
    "common": set(),
    "backend": {"common"},
    "layers": {"common", "backend"},
    "optim": {"common", "backend"},
    "data": {"common", "backend"},
    "training": {"common", "backend", "layers", "optim", "data"},
    "selection": {"common", "backend", "layers", "optim", "data", "training"},
    "estimators": {"common", "backend", "layers", "optim", "training"},
    "benchmarks": {
        *("common", "backend", "layers", "optim", "data", "training", "selection"),
        *("xpnet", "commands", "sklearn"),
    },
    "gallery": {
        "common",
        "backend",
        "layers",
        "optim",
        "data",
        "training",
        "cli",
        "menu",
    },
    "examples": {"gallery", "optim", "xpnet"},
    "xpnet": {
        "common",
        "backend",
        "layers",
        "optim",
        "data",
        "training",
        "selection",
        "commands",
        "estimators",
        "benchmarks",
        "gallery",
    },
}


def rooms():
    """The top-level folders that are packages of the library."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return sorted(found - OTHERS)


ROOMS = [room for room in ARROWS if room in {*rooms(), "xpnet"}]


def sources(room):
    """The Python files of a room; for xpnet, the face and its commands."""
    if room == "xpnet":
        return sorted([*FACE.glob("*.py"), *(FACE / "commands").glob("*.py")])
    return sorted((ROOT / room).rglob("*.py"))


def imports(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    assert set(ARROWS) - {"xpnet", "benchmarks"} <= set(rooms()) <= set(ARROWS)


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


def room_of(module):
    """The room of a module of xpnet, "xpnet" for the face; None for others."""
    parts = module.split(".")
    if parts[0] != "xpnet":
        return None
    return parts[1] if len(parts) > 1 else "xpnet"


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_go_one_way(room):
    files = sources(room)
    assert len(files) > 2
    for path in files:
        for module in imports(path):
            where = room_of(module)
            inside = where == room or (room == "xpnet" and where not in ARROWS)
            assert where is None or inside or where in ARROWS[room], f"{path}: {module}"


def test_no_room_is_imported_by_its_bare_name():
    everywhere = [path for room in ROOMS for path in sources(room)]
    everywhere += ROOT.glob("tests/**/*.py")
    for path in everywhere:
        tops = {module.split(".")[0] for module in imports(path)}
        assert not tops & set(rooms()), path


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "xpnet"])
def test_the_door_of_a_room_defines_nothing(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)
    assert all(isinstance(node, kinds) for node in tree.body)


def test_nothing_in_the_library_evaluates_text_or_unpickles():
    forbidden = {"eval", "exec", "compile", "__import__"}
    for room in ROOMS:
        for path in sources(room):
            names = set(imports(path))
            assert not names & {"pickle", "marshal", "shelve", "dill"}, path
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in forbidden, path


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
