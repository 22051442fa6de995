"""CuPy's names and parameters, kept in cupy_names.json so that CI needs no CuPy.

    python -m tests.cuda.cupy_names     # where CuPy is installed: writes the file anew

A line a name: "sum": "a axis dtype out keepdims". What follows a "*" may be given by
keyword alone, "..." stands for anything more, null for what says nothing of its
parameters. Nothing here needs a GPU or a driver.
"""

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_names.json")
UFUNC_KEYWORDS = ("dtype", "casting")  # besides `out`; it takes no others
# Modules and classes whose public names are listed, "" for `cupy` itself.
LISTED = (
    "",
    "cuda",
    "cuda.runtime",
    "cuda.driver",
    "cuda.memory",
    "cuda.nvrtc",
    "ndarray",
    "RawModule",
    "RawKernel",
    "cuda.Device",
    "cuda.Event",
    "cuda.ExternalStream",
    "cuda.MemoryPool",
    "cuda.MemoryPointer",
    "cuda.Stream",
    "cuda.Graph",
)


def parameters(value: Any) -> str | None:
    """The parameters of a function or class in one line; None where it is silent."""
    if type(value).__name__ == "ufunc":
        inputs = [f"x{i + 1}" for i in range(value.nin)]
        return " ".join([*inputs, "out", "*", *UFUNC_KEYWORDS])
    try:
        return _signed(inspect.signature(value))
    except (TypeError, ValueError):
        return _documented(value)


def _signed(signature: inspect.Signature) -> str:
    words, starred = [], False
    for p in signature.parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            words.append("...")
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            words, starred = [*words, "*"], True
        words.append(p.name)
    return " ".join(words)


def _documented(value: Any) -> str | None:
    """Cython writes the parameters of what it compiled into the docstring."""
    first = (getattr(value, "__doc__", None) or "").strip().partition("\n")[0]
    match = re.fullmatch(r"[\w.]+\((.*?)\)(?: ->.*)?", first)
    if match is None:
        return None
    words = []
    for part in re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", match[1]).split(","):
        name = part.partition("=")[0].partition(":")[0].strip()
        if name:
            words.append("..." if name != "*" and name[0] == "*" else name.split()[-1])
    return " ".join(words)


def look_up(cupy: Any, name: str) -> Any:
    """`cupy.name`, through submodules that have to be imported first too."""
    value = cupy
    for part in name.split(".") if name else ():
        if inspect.ismodule(value) and not hasattr(value, part):
            import_module(f"{value.__name__}.{part}")
        value = getattr(value, part)
    return value


def names(cupy: Any) -> dict[str, str | None]:
    """Every public name of what is listed, with its parameters."""
    found = {}
    for place in LISTED:
        owner = look_up(cupy, place)
        for key in dir(owner):
            if not key.startswith("_") or key == "__version__":
                value = getattr(owner, key, None)
                name = f"{place}.{key}" if place else key
                found[name] = parameters(value) if callable(value) else None
    return dict(sorted(found.items()))


def table(cupy: Any) -> dict[str, Any]:
    """What the file holds."""
    return {"version": cupy.__version__, "names": names(cupy)}


def kept() -> dict[str, Any]:
    """What the file held when it was last written."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def accepts(known: str | None, positional: int, keywords: list[str]) -> Iterator[str]:
    """What of a call its parameters, as `parameters` gives them, do not take."""
    if known is None:
        return
    words = known.split()
    anything = "..." in words
    plain = words[: words.index("*")] if "*" in words else words
    if positional > len(plain) and not anything:
        yield f"{positional} positional arguments, of {len(plain)}"
    for keyword in keywords:
        if keyword not in words and not anything:
            yield f"the keyword {keyword}"


if __name__ == "__main__":
    text = json.dumps(table(import_module("cupy")), indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
