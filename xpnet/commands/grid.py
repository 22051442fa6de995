"""The text of `--grid` as settings: "learning_rate=1e-3,3e-3 hidden=64;128,64"."""

from collections.abc import Callable
from typing import Any

from xpnet.commands.network import widths
from xpnet.common import choose
from xpnet.selection import LogUniform, Uniform

KINDS: dict[str, Callable[[str], Any]] = {
    "hidden": widths,
    "activation": str,
    "optimizer": str,
    "schedule": str,
    **dict.fromkeys(("learning_rate", "dropout", "label_smoothing"), float),
    **dict.fromkeys(("l1", "l2", "weight_decay", "momentum", "clip_norm"), float),
    **dict.fromkeys(("epochs", "batch_size"), int),
}
NAMES = {widths: "widths such as 128,64", float: "numbers", int: "whole numbers"}


def parse(text: str) -> dict[str, Any]:
    """{name: values or range}.

    Commas separate alternatives, semicolons those of `hidden`; a..b is a range, on a
    logarithmic scale if a > 0.

    Raises:
        ValueError: an unknown name, the same name twice, values of another kind.
    """
    found: dict[str, Any] = {}
    for item in text.split():
        name, equals, values = item.partition("=")
        if not equals:
            raise ValueError(
                f"--grid: expected name=values, got {item!r}; several are separated by "
                "spaces, with none around = and commas"
            )
        kind = choose(name, KINDS, "setting")
        if name in found:
            raise ValueError(f"--grid: expected {name} once, got it twice")
        try:
            found[name] = _values(values, kind)
        except ValueError:
            what = NAMES.get(kind, "names")
            raise ValueError(
                f"--grid: {name}: expected {what}, got {values!r}"
            ) from None
    if not found:
        raise ValueError(
            '--grid: expected settings such as "learning_rate=1e-3,3e-3", got none'
        )
    return found


def _values(text: str, kind: Callable[[str], Any]) -> Any:
    low, dots, high = text.partition("..")
    if dots and kind in (float, int):
        ends = kind(low), kind(high)
        return (LogUniform if ends[0] > 0 else Uniform)(*ends, whole=kind is int)
    parts = text.split(";" if kind is widths else ",")
    if any(not part for part in parts) and kind is not widths:
        raise ValueError(text)
    return [kind(part) for part in parts]
