"""Every name of CuPy that the library uses exists there, with those parameters.

Nothing here needs a GPU. Without CuPy the names are those that `cupy_names.json` keeps;
with it they are CuPy's own, and the file must agree.
"""

import ast
from importlib.util import find_spec

import numpy as np
import pytest

from docs.import_graph import ROOT, modules
from tests import standin
from tests.cuda.cupy_names import accepts, kept, look_up, parameters, table
from tests.cuda.uses import used_in, uses

FILES = sorted(modules().values())
needs_cupy = pytest.mark.skipif(
    find_spec("cupy") is None, reason="CuPy is not installed: nothing to compare with"
)
NAMES = kept()["names"]


def problems(found):
    """What of the uses `found` CuPy does not have, as the file knows it."""
    for use in found:
        if use.name not in NAMES:
            yield f"{use}: there is no such name"
            continue
        for what in accepts(NAMES[use.name], use.positional, use.keywords):
            yield f"{use} does not take {what}"


@pytest.mark.slow
def test_the_library_uses_only_what_cupy_has():
    found = used_in(FILES, ROOT)
    assert len({use.name for use in found}) > 10
    assert {"take", "copyto", "cuda.Device"} <= {use.name for use in found}
    assert list(problems(found)) == []


PLANTED = {
    "self.xp.errstate(all='ignore')": "errstate: there is no such name",
    "backend.xp.sum(a, axes=1)": "sum does not take the keyword axes",
    "cupy.take(a, i, 0, out, 'clip')": "5 positional arguments, of 4",
    "xp.add(a, b, where=c)": "add does not take the keyword where",
    "f = xp.copyto, (out, a, 'unsafe', True, 1)": "5 positional arguments, of 4",
    "r = cupy.cuda.runtime\nr.getDeviceCounts()": "getDeviceCounts: there is no such",
    "def f(xp):\n    s = xp.cuda\n    s.Stream(nonblocking=True)": "nonblocking",
}


@pytest.mark.parametrize("source", PLANTED)
def test_what_cupy_does_not_have_is_found(source):
    (problem,) = problems(uses(source, "planted.py"))
    assert PLANTED[source] in problem
    assert problem.startswith(f"planted.py:{1 + source.count(chr(10))}: ")


GOOD = [
    "np.errstate(all='ignore')",
    "self.xp.sum(a, axis=0, keepdims=True)",
    "xp.add(a, b, out)",
    "xp.take(*arguments)",
    "cupy.cuda.Stream(non_blocking=True)",
]


@pytest.mark.parametrize("source", GOOD)
def test_what_cupy_has_is_let_be(source):
    assert list(problems(uses(source, "good.py"))) == []


@pytest.mark.slow
def test_the_ufuncs_of_recorded_steps_exist():
    """The compiler asks CuPy for a ufunc by NumPy's name."""
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                value = getattr(np, node.attr, None) if node.value.id == "np" else None
                if isinstance(value, np.ufunc):
                    found.add(value.__name__)
    assert {"exp", "maximum", "tanh"} <= found
    assert sorted(name for name in found if name not in NAMES) == []


def offered(module, prefix=""):
    """(dotted name, value) of everything public that the stand-in offers."""
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        yield f"{prefix}{name}", value
        if isinstance(value, type(standin.cupy.cuda)):
            yield from offered(value, f"{prefix}{name}.")
        elif isinstance(value, type) and (value.__module__, value.__name__) == (
            standin.__name__,
            name,
        ):
            own = {k: v for k, v in vars(value).items() if not k.startswith("_")}
            yield from ((f"{prefix}{name}.{key}", v) for key, v in own.items())


def test_the_stand_in_offers_nothing_that_cupy_lacks():
    found = dict(offered(standin.cupy))
    assert {"matmul", "cuda.Device.synchronize", "ndarray.set"} <= set(found)
    assert sorted(name for name in found if name not in NAMES) == []


def test_the_functions_of_the_stand_in_take_no_parameter_that_cupys_do_not():
    for name, value in offered(standin.cupy):
        known = NAMES[name]
        if known is None or not callable(value) or "." in name:
            continue
        own = (parameters(value) or "...").split()
        extra = set(own) - set(known.split()) - {"*", "..."}
        assert not extra or "..." in known, f"{name}: {extra}"


@needs_cupy
def test_the_list_is_what_cupy_has():
    import cupy

    assert table(cupy) == kept(), "python -m tests.cuda.cupy_names writes it anew"


@needs_cupy
def test_every_name_in_use_is_really_there():
    import cupy

    for use in used_in(FILES, ROOT):
        look_up(cupy, use.name)


@needs_cupy
def test_a_ufunc_takes_no_other_keyword():
    import cupy

    for keyword in ("where", "keepdims", "axis", "signature"):
        with pytest.raises(TypeError, match="Wrong arguments"):
            cupy.add(1.0, 2.0, **{keyword: None})
