"""Running lessons: from `xpnet gallery`, and as `python lessons/NAME.py`."""

import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from xpnet.arguments import Parser, add_gallery_options
from xpnet.common import check_file, check_folder
from xpnet.common.console import command_streams
from xpnet.data import load_mnist
from xpnet.lessons.support.lesson import Lesson
from xpnet.training.plots import need_matplotlib

FOLDER = "xpnet-gallery"  # where pictures go by default
DATA = "XPNET_MNIST"
FAILED, BAD_INPUT = 1, 2


@dataclass(frozen=True)
class Ready:
    """Checked paths: where pictures and numbers go, where data comes from."""

    folder: Path
    json_file: Path | None
    data: Path | None


def prepare(
    folder: str | Path = FOLDER,
    json_file: str | Path | None = None,
    data: str | Path | None = None,
) -> Ready:
    """Check the paths before any work, and make `folder`.

    Args:
        folder: for the PNG files.
        json_file: for the numbers, {name: record}.
        data: a folder with MNIST's files, for the lesson `digits`; by default the
            environment variable XPNET_MNIST.

    Raises:
        ImportError: matplotlib is missing; the message has the install line.
        ValueError: a folder or file cannot be written, or `data` is no folder.
        FileNotFoundError: `data` lacks some of MNIST's files.
    """
    need_matplotlib()
    data = data or os.environ.get(DATA) or None
    if data is not None and not Path(data).is_dir():
        raise ValueError(f"--data: there is no folder {data} with MNIST's files")
    if data is not None:
        load_mnist(data)
    return Ready(
        check_folder(folder, "--out"),
        None if json_file is None else check_file(json_file, "--json"),
        None if data is None else Path(data),
    )


def run(
    lessons: Mapping[str, Callable[[Lesson], None]], ready: Ready, quick: bool = False
) -> int:
    """Run `lessons`; returns 0 if all their checks held, else 1.

    Args:
        lessons: name: function.
        ready: see `prepare`.
        quick: smaller experiments, for tests.
    """
    records = {}
    for name, lesson in lessons.items():
        out = Lesson(name, ready.folder, title_of(lesson), quick, ready.data)
        print(f"{name}: {out.title}")
        start = time.perf_counter()
        lesson(out)
        seconds = time.perf_counter() - start
        print(f"\n{name}: {verdict(out)} ({seconds:.1f} s)\n", flush=True)
        records[name] = out.record() | {"seconds": seconds}
    if ready.json_file is not None:
        text = json.dumps(records, indent=1, allow_nan=False, ensure_ascii=False)
        ready.json_file.write_text(text + "\n", encoding="utf-8")
    failed = [name for name, record in records.items() if not record["held"]]
    if len(records) > 1:
        held = len(records) - len(failed)
        rest = f"; not {', '.join(failed)}" if failed else ""
        print(f"{held} of {len(records)} lessons hold{rest}")
    return FAILED if failed else 0


def verdict(out: Lesson) -> str:
    """How many of the checks held, as text."""
    held = sum(check["held"] for check in out.checks)
    if not out.checks:
        return "nothing was checked"
    every = "the claim holds" if held == 1 else f"all {held} claims hold"
    return every if out.held else f"{len(out.checks) - held} did not hold"


def main(lesson: Callable[[Lesson], None]) -> NoReturn:
    """Run `lesson` as `python lessons/NAME.py` and exit with its status."""
    name = Path(lesson.__code__.co_filename).stem
    parser = Parser(prog=f"{name}.py", description=title_of(lesson))
    add_gallery_options(parser)
    with command_streams(keeps=True):
        options = parser.parse_args()
        try:
            ready = prepare(options.out, options.json, options.data)
        except (ValueError, OSError, ImportError) as error:
            parser.exit(BAD_INPUT, f"{name}: error: {error}\n")
        sys.exit(run({name: lesson}, ready, options.quick))


def title_of(lesson: Callable[[Lesson], None]) -> str:
    """The first line of the docstring of the lesson's file, without the full stop."""
    text = inspect.getdoc(inspect.getmodule(lesson)) or lesson.__name__
    return text.splitlines()[0].removesuffix(".")
