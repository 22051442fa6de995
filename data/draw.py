"""Drawing from a seed: the same numbers on every machine."""

import numpy as np


def generator(seed: int) -> np.random.Generator:
    """A counter-based generator (Philox) for `seed`; ValueError unless it is >= 0."""
    check_integer("seed", seed, 0)
    return np.random.Generator(np.random.Philox(seed))


def check_integer(name: str, value: int, least: int) -> None:
    """Raise ValueError, by name, unless `value` is an integer of at least `least`."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < least:
        raise ValueError(
            f"{name}: expected an integer of at least {least}, got {value!r}; hint: "
            f"try {name}={least}"
        )
