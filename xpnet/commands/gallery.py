"""`xpnet gallery NAME`: a lesson, its numbers and its pictures."""

from argparse import Namespace

from xpnet.common import choose
from xpnet.lessons import support
from xpnet.lessons.support import prepare, title_of
from xpnet.lessons.table import LESSONS, get_lesson

ALL = "all"


def run(options: Namespace) -> int:
    """Run one lesson or all; without a name, list them. See `xpnet gallery --help`."""
    if options.name is None:
        _list()
        return 0
    choose(options.name, dict.fromkeys((*LESSONS, ALL)), "lesson")
    ready = prepare(options.out, options.json, options.data)
    names = list(LESSONS) if options.name == ALL else [options.name]
    lessons = {name: get_lesson(name) for name in names}
    return support.run(lessons, ready, options.quick)


def _list() -> None:
    width = max(map(len, LESSONS))
    for name in LESSONS:
        print(f"{name:<{width}}  {title_of(get_lesson(name))}")
    print("\nrun one with `xpnet gallery NAME`, or `xpnet gallery all`")
