"""The public names: all there, described, and handed on by their packages."""

import ast
import inspect
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import xpnet as xn
from xpnet.layers import LAYERS, LOSSES
from xpnet.optim import OPTIMIZERS, SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
LINKS = {path.name for path in (ROOT / "xpnet").iterdir() if path.is_symlink()}
# The others are internal, for measurements, for teaching, and for scikit-learn.
INNER = {"common", "compiler", "execution", "estimators"}
ROOMS = sorted(LINKS - INNER - {"benchmarks", "lessons"})


def modules():
    """The dotted name of every module of the package."""
    found = ["xpnet"]
    rooms = ("lessons/support", *sorted({*INNER, *ROOMS}))
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


def test_every_public_name_is_there_and_described():
    missing = [name for name in xn.__all__ if name not in dir(xn)]
    for name in set(xn.__all__) - {"__version__"}:
        value = getattr(xn, name)
        assert getattr(xn, name) is value
        if len(inspect.getdoc(value) or "") <= 10:
            missing.append(name)
    assert missing == []
    with pytest.raises(AttributeError, match=r"module 'xpnet' has no attribute 'Dens'"):
        _ = xn.Dens


def test_a_room_is_an_attribute_whose_names_are_there():
    for room in ROOMS:
        module = import_module(f"xpnet.{room}")
        assert getattr(xn, room) is module
        assert room in dir(xn)
        assert sorted(set(module.__all__)) == sorted(module.__all__), room
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_stub_is_a_list_of_names_that_their_packages_hand_on():
    tree = ast.parse((ROOT / "xpnet" / "__init__.pyi").read_text(encoding="utf-8"))
    *imports, version = tree.body
    assert ast.unparse(version) == "__version__: str"
    packages, names = [], []
    for line in imports:
        assert isinstance(line, ast.ImportFrom)
        (alias,) = line.names  # type checkers hand on what has an `as`
        if alias.name == "*":
            kinds = vars(import_module(line.module))
            names += [name for name, kind in kinds.items() if isinstance(kind, type)]
            continue
        assert alias.asname == alias.name
        if line.module == "xpnet":
            packages.append(alias.name)
        else:
            names.append(alias.name)
            module = import_module(line.module)
            assert alias.name in module.__all__
            assert getattr(module, alias.name) is getattr(xn, alias.name)
    assert sorted(packages) == ROOMS
    assert sorted([*names, "__version__"]) == xn.__all__
    assert len(set(names)) == len(names)


def test_every_layer_loss_rule_and_schedule_is_a_public_name():
    tables = (LAYERS, LOSSES, OPTIMIZERS, SCHEDULES)
    kinds = {kind.__name__: kind for table in tables for kind in table.values()}
    assert {name: getattr(xn, name, None) for name in kinds} == kinds


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


def test_everything_public_has_a_docstring():
    found = {name: import_module(name) for name in modules()}
    found |= {key: value for name in modules() for key, value in public(name)}
    assert [name for name, value in found.items() if not inspect.getdoc(value)] == []


def test_the_versions_agree_and_no_room_is_a_module_of_its_own_name():
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["version"] == xn.__version__
    for name in modules():
        import_module(name)
    assert "xpnet.layers.dense" in sys.modules
    assert not set(ROOMS) & set(sys.modules)
