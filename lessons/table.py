"""The table of lessons. A new one is a file lessons/NAME.py and its name here."""

from collections.abc import Callable
from importlib import import_module

from xpnet.common import choose
from xpnet.lessons.support import Lesson

# In the order to read them in; each is a module with `lesson(out)`.
LESSONS = (
    *("line", "xor", "curse", "batches", "race", "overfit", "remedies", "digits"),
    *("spirals", "worked", "gradients", "momentum", "vanishing"),
)


def get_lesson(name: str) -> Callable[[Lesson], None]:
    """The function `lesson(out)` of that name.

    Raises:
        ValueError: an unknown name; the message has the nearest and all.
    """
    choose(name, dict.fromkeys(LESSONS), "lesson")
    lesson: Callable[[Lesson], None] = import_module(f"xpnet.lessons.{name}").lesson
    return lesson
