"""The command line: `xpnet train`, `xpnet search`, `xpnet predict`, `xpnet doctor`.

Only argparse is imported here, so that `xpnet --help` answers at once. A command is a
module of `xpnet.commands` with `run(arguments) -> exit status`.
"""

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from xpnet import __version__
from xpnet.arguments import USAGE_ERROR, Parser, add_commands

if TYPE_CHECKING:
    from xpnet.common.console import Output

KEEPS = ("save", "plot", "file", "html", "out", "checkpoint")  # files to write
# What other programs call an option, and its name here.
ALIASES = {
    "--lr": "--learning-rate",
    "--eta": "--learning-rate",
    "--bs": "--batch-size",
    "--layers": "--hidden",
    "--units": "--hidden",
    "--gpu": "--device",
    "--output": "--save",
    "--wd": "--l2",
    "--label": "--target",
    "--proba": "--probabilities",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 is success, 1 a finding of `doctor` or `compare` or a lesson that does not hold,
    2 bad input or a missing device (one line on standard error), 130 a training that
    Ctrl-C has ended.
    """
    options = _options(sys.argv[1:] if arguments is None else list(arguments))
    from xpnet.common.console import command_streams

    with command_streams() as out, warnings.catch_warnings():
        warnings.showwarning = _show_warning
        json_file = isinstance(getattr(options, "json", None), str)
        out.strict = not (json_file or any(getattr(options, n, None) for n in KEEPS))
        return _run(options, out)


def _run(options: argparse.Namespace, out: "Output") -> int:
    """Run a command; returns its exit status, also for an exception."""
    status = 0
    try:
        status = import_module(f"xpnet.commands.{_module(options)}").run(options)
        out.flush()
    except KeyboardInterrupt:
        return 130
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        if error is not out.error:
            return _fail(error)
    except (RuntimeError, MemoryError) as error:
        return _fail(error)
    if isinstance(out.error, OSError) and not isinstance(out.error, BrokenPipeError):
        reason = out.error.strerror or out.error
        return _fail(OSError(f"standard output cannot be written: {reason}"))
    return status  # also if the reader of a pipe (head, less) has exited


def _module(options: argparse.Namespace) -> str:
    """The module of `xpnet.commands` that runs the command."""
    if getattr(options, "ensemble", None) is not None:
        return "ensemble"
    name: str = options.command
    return name.replace("-", "_")


def _fail(error: BaseException) -> int:
    _print_error("error", str(error) or type(error).__name__)
    return USAGE_ERROR


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _print_error("warning", str(message))


def _print_error(what: str, text: str) -> None:
    """One line on standard error, safe on a terminal."""
    from xpnet.common.console import complain, printable

    complain(f"xpnet: {what}: {printable(' '.join(text.split()))}")


def _options(arguments: list[str]) -> argparse.Namespace:
    """The parsed arguments; ends with status 2 and a hint for an unknown option."""
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    options.arguments = arguments
    if unknown:
        command = parser.commands[options.command]
        command.error(_unknown(unknown, command._option_string_actions))
    return options


def _unknown(arguments: list[str], flags: Iterable[str]) -> str:
    """The message for arguments that no option takes."""
    first = next((a for a in arguments if a.startswith("-")), None)
    if first is None:
        return f"expected no more arguments, got {' '.join(arguments)!r}"
    from difflib import get_close_matches

    name, names = first.partition("=")[0], [f for f in flags if f.startswith("--")]
    alias = [ALIASES[name]] if ALIASES.get(name) in names else []
    longer = [flag for flag in names if flag.startswith(f"{name}-")]
    close = alias or longer or get_close_matches(name, names, 1, 0.6)
    guess = f"; did you mean {close[0]}?" if close else ""
    return f"unknown option {name!r}{guess}"


def _parser() -> Parser:
    parser = Parser(
        prog="xpnet",
        description="Neural networks by matrix-form backpropagation on NumPy or CuPy.",
    )
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_commands(commands)
    parser.commands = commands.choices
    return parser
