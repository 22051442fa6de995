"""Names that a file imports, read from its text: nothing else is imported for them."""

from os.path import dirname
from typing import Any


def names_of(path: str) -> dict[str, str]:
    """{name: module} of each line `from MODULE import NAME as NAME` of a file of xpnet.

    `from MODULE import *` stands for the names of that list of lines.
    """
    loader: Any = __spec__.loader
    source: bytes = loader.get_data(f"{dirname(__file__)}/{path}")
    found: dict[str, str] = {}
    for line in source.decode().splitlines():
        if line.startswith("from "):
            _, module, *_, name = line.split()
            listed = module.removeprefix("xpnet.").replace(".", "/")
            found |= names_of(f"{listed}.py") if name == "*" else {name: module}
    return found
