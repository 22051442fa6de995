"""`__all__` of a package that hands on what its imports name."""

from types import ModuleType
from typing import Any


def public_names(namespace: dict[str, Any]) -> list[str]:
    """The names in it without an underscore that are no modules."""
    return sorted(
        name
        for name, value in namespace.items()
        if not (name.startswith("_") or isinstance(value, ModuleType))
    )
