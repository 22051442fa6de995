"""The lessons there are. A new one is a file examples/NAME.py and its row here."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from xpnet.common import choose
from xpnet.gallery.lesson import Lesson

# name: the module with its `lesson(out)`, in the order to read them in.
LESSONS = {
    "line": "xpnet.examples.line",
    "xor": "xpnet.examples.xor",
    "curse": "xpnet.examples.curse",
    "batches": "xpnet.examples.batches",
    "race": "xpnet.examples.race",
    "overfit": "xpnet.examples.overfit",
    "remedies": "xpnet.examples.remedies",
    "digits": "xpnet.examples.digits",
    "spirals": "xpnet.examples.spirals",
    "worked": "xpnet.examples.worked",
    "gradients": "xpnet.examples.gradients",
    "momentum": "xpnet.examples.momentum",
    "vanishing": "xpnet.examples.vanishing",
}


def get_lesson(name: str) -> Callable[[Lesson], None]:
    """The function `lesson(out)` of that name.

    Raises:
        ValueError: an unknown name, with the nearest and all.
    """
    module: Any = import_module(choose(name, LESSONS, "lesson"))
    lesson: Callable[[Lesson], None] = module.lesson
    return lesson


def title_of(lesson: Callable[[Lesson], None]) -> str:
    """The first line of the docstring of the lesson's file, without the full stop."""
    text = inspect.getdoc(inspect.getmodule(lesson)) or lesson.__name__
    return text.splitlines()[0].removesuffix(".")
