"""The command line: `xpnet train`, `xpnet search`, `xpnet predict`, `xpnet doctor`.

Only argparse is imported here, so that `xpnet --help` answers at once. A command is a
module of `xpnet.commands` with `run(arguments) -> exit status`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from xpnet import __version__, menu

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 is success, 1 that `doctor` or `compare` has found something, 2 bad input or a
    device that is not there (one line on standard error), 130 a training that Ctrl-C
    has ended.
    """
    options = _parser().parse_args(arguments)
    try:
        command = import_module(f"xpnet.commands.{options.command.replace('-', '_')}")
        status: int = command.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        return _fail(error)
    except (RuntimeError, MemoryError) as error:
        return _fail(error)
    return status


def _fail(error: BaseException) -> int:
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"xpnet: error: {text}", file=sys.stderr)
    return USAGE_ERROR


class Parser(argparse.ArgumentParser):
    """Complains in one line, like every other error here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Print `message` and end with status 2."""
        self.exit(USAGE_ERROR, f"xpnet: error: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="xpnet",
        description="Neural networks by matrix-form backpropagation on NumPy or CuPy.",
    )
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    menu.add_commands(commands)
    return parser
