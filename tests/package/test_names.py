"""The public names: all there, all described, the same wherever they are listed."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import xpnet as xn

ROOT = Path(__file__).resolve().parents[2]
LINKS = {path.name for path in (ROOT / "xpnet").iterdir() if path.is_symlink()}
# The others are for xpnet itself, who measures, who reads, and scikit-learn.
INNER = {"common", "compiler", "execution", "gallery", "estimators"}
ROOMS = sorted(LINKS - INNER - {"benchmarks", "examples"})
FACE = ast.parse((ROOT / "xpnet" / "__init__.py").read_text(encoding="utf-8"))


def modules():
    """The dotted name of every module of the package."""
    found = ["xpnet"]
    rooms = sorted({*INNER, *ROOMS})
    for folder in ("xpnet", "xpnet/commands", *rooms):
        name = ".".join(Path(folder).parts)
        name = name if name.startswith("xpnet") else f"xpnet.{name}"
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.stem not in ("__main__", "__init__"):
                found.append(f"{name}.{path.stem}")
    return found


def test_there_are_rooms_and_modules():
    assert set(ROOMS) == {
        *("backend", "trace", "data", "layers", "optim", "training", "stack"),
        *("diagnosis", "selection"),
    }
    assert len(modules()) > 40
    assert "xpnet.training.loop" in modules()


@pytest.mark.parametrize("name", xn.__all__)
def test_a_public_name_is_there_and_described(name):
    value = getattr(xn, name)
    if name != "__version__":
        assert len(inspect.getdoc(value)) > 10
    assert name in dir(xn)
    assert getattr(xn, name) is value


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_an_attribute_whose_names_are_there(room):
    module = import_module(f"xpnet.{room}")
    assert getattr(xn, room) is module
    assert room in dir(xn)
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'xpnet' has no attribute 'Dens'"):
        _ = xn.Dens


def test_the_three_lists_of_the_face_agree():
    typed = {}
    for node in FACE.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom)
                assert all(alias.asname is None for alias in line.names)
                names = sorted(alias.name for alias in line.names)
                typed[line.module.removeprefix("xpnet.")] = names
    lazy = {room: sorted(names.split()) for room, names in xn._ROOMS.items()}
    assert typed == lazy
    everything = [name for names in lazy.values() for name in names]
    assert sorted([*everything, "__version__"]) == sorted(xn.__all__)
    assert len(set(xn.__all__)) == len(xn.__all__)


def test_a_public_name_is_handed_on_by_its_room():
    for room, names in xn._ROOMS.items():
        module = import_module(f"xpnet.{room}")
        assert set(names.split()) <= set(module.__all__)
        for name in names.split():
            assert getattr(module, name) is getattr(xn, name)


def public(name):
    """(dotted name, object) of every public class, function and method of a module."""
    module = import_module(name)
    for key, value in vars(module).items():
        own = getattr(value, "__module__", None) == name
        if key.startswith("_") or not own:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{name}.{key}", value
        if inspect.isclass(value):
            for method, member in vars(value).items():
                member = getattr(member, "__func__", member)
                member = getattr(member, "fget", member)
                named = inspect.isfunction(member) and member.__name__ == method
                if named and not method.startswith("_"):
                    yield f"{name}.{key}.{method}", member


@pytest.mark.parametrize("name", modules())
def test_everything_public_has_a_docstring(name):
    assert inspect.getdoc(import_module(name))
    found = dict(public(name))
    described = (inspect.getdoc(value) for value in found.values())
    missing = [k for k, doc in zip(found, described, strict=True) if not doc]
    assert missing == []


def test_no_room_is_a_module_of_its_own_name():
    code = (
        f"import sys\nfrom importlib import import_module\nimport xpnet\n"
        f"for name in {modules()}: import_module(name)\n"
        f"for name in xpnet.__all__: getattr(xpnet, name)\n"
        f"print(set({ROOMS}) & set(sys.modules), 'xpnet.layers.dense' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["set()", "True"]
    assert not set(ROOMS) & set(sys.modules)


def test_the_versions_agree():
    import tomllib

    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["version"] == xn.__version__
