"""The table of lessons. A new one is a file lessons/NAME.py and its row here."""

from collections.abc import Callable
from importlib import import_module

from xpnet.common import choose
from xpnet.lessons.support import Lesson

# name: the module with its `lesson(out)`, in the order to read them in.
LESSONS = {
    "line": "xpnet.lessons.line",
    "xor": "xpnet.lessons.xor",
    "curse": "xpnet.lessons.curse",
    "batches": "xpnet.lessons.batches",
    "race": "xpnet.lessons.race",
    "overfit": "xpnet.lessons.overfit",
    "remedies": "xpnet.lessons.remedies",
    "digits": "xpnet.lessons.digits",
    "spirals": "xpnet.lessons.spirals",
    "worked": "xpnet.lessons.worked",
    "gradients": "xpnet.lessons.gradients",
    "momentum": "xpnet.lessons.momentum",
    "vanishing": "xpnet.lessons.vanishing",
}


def get_lesson(name: str) -> Callable[[Lesson], None]:
    """The function `lesson(out)` of that name.

    Raises:
        ValueError: an unknown name; the message has the nearest and all.
    """
    module = import_module(choose(name, LESSONS, "lesson"))
    lesson: Callable[[Lesson], None] = module.lesson
    return lesson
