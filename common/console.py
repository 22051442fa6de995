"""What is printed reaches its stream, or is lost; it never ends the work.

A standard stream may be None (pythonw, `>&-`), closed, without `isatty`, on a full
disk, or of an encoding without δ. `Output` stands before such a stream. A command runs
within `command_streams`, where every `print` goes through one.
"""

import codecs
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

# A character and its spelling, for streams that cannot encode it.
SPELLINGS = """
α alpha  β beta  γ gamma  δ delta  ε epsilon  η eta  θ theta  κ kappa  λ lambda  μ mu
µ u  π pi  ρ rho  σ sigma  φ phi  ψ psi  ω omega  Δ Delta  Σ Sum  Π Product  Φ Phi
₀ 0  ₁ 1  ₂ 2  ₃ 3  ₄ 4  ₅ 5  ₆ 6  ₇ 7  ₈ 8  ₉ 9  ₊ +  ₋ -  ᵢ i  ⱼ j  ₖ k  ₘ m  ₜ t
⁰ ^0  ¹ ^1  ² ^2  ³ ^3  ⁴ ^4  ⁵ ^5  ⁶ ^6  ⁷ ^7  ⁸ ^8  ⁹ ^9  ⁺ ^+  ⁻ ^-
ⁿ ^n  ᵏ ^k  ᵗ ^t  ʲ ^j  ᶻ ^z  ᵀ ^T  ∂ d  ∇ grad  √ sqrt  ∞ inf  ∈ in
½ 1/2  ¼ 1/4  ⅔ 2/3
≤ <=  ≥ >=  ≠ !=  ± +-  ≈ ~  ∝ ~  → ->  ← <-  − -  – -  — -  × x  · *  ⊙ *  ‖ ||
⟨ <  ⟩ >  ⌈ [  ⌉ ]  ⌊ [  ⌋ ]  ‘ '  ’ '  “ "  ” "  … ...
│ |  ─ -  ┌ +  ┐ +  └ +  ┘ +  ├ +  ┤ +  ┬ +  ┴ +  ┼ +
"""
_WORDS = SPELLINGS.split()
ASCII = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
ASCII |= dict.fromkeys("\u0302\u0304", "")  # a hat and a bar over a letter


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a codec writes in place of characters that it does not know."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(ASCII[c] if c in ASCII else escaped(c) for c in lost), error.end


codecs.register_error("xpnet.spell", _spell)


def readable(text: str, encoding: str = "ascii") -> str:
    """`text` in characters of `encoding`: δ as delta where it has no δ."""
    try:
        return text.encode(encoding, "xpnet.spell").decode(encoding)
    except LookupError:  # an encoding that Python does not know
        return text.encode("ascii", "xpnet.spell").decode("ascii")


def escaped(text: str) -> str:
    """`text` as backslash escapes."""
    return text.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    r"""`text` from a file, safe on a terminal and in one line.

    Control characters, such as those that begin an escape sequence, line ends and marks
    of the direction of writing become backslash escapes: `\x1b`, `\n`, `\u202e`.
    """
    return "".join(c if c.isprintable() else escaped(c) for c in text)


class Output:
    """A text stream that takes whatever is written to it.

    Args:
        stream: to write to; None or a closed one loses what is written.
        strict: raise OSError where the stream fails, such as BrokenPipeError where its
            reader has gone; otherwise what follows is lost.

    Attributes:
        error: why the stream takes nothing any more; None while it does.
    """

    def __init__(self, stream: Any, strict: bool = False) -> None:
        self.stream, self.strict = stream, strict
        self.error: Exception | None = None

    @property
    def encoding(self) -> str:
        """The stream's; ASCII where it has none."""
        return getattr(self.stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        """Write `text`, in characters that the stream has."""
        try:
            self._do("write", text)
        except UnicodeEncodeError:
            self._do("write", readable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        """Write what the stream has kept back."""
        if hasattr(self.stream, "flush"):
            self._do("flush")

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return bool(self.stream.isatty())
        except Exception:  # None, closed, of a kind of its own
            return False

    def _do(self, name: str, *arguments: str) -> None:
        if self.stream is None or self.error is not None:
            return
        try:
            getattr(self.stream, name)(*arguments)
        except UnicodeEncodeError:
            raise
        except Exception as error:
            self.error = error
            if self.strict and isinstance(error, OSError):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def output(stream: Any = None) -> Output:
    """`stream`, or standard output as it is now, as an `Output`."""
    stream = sys.stdout if stream is None else stream
    return stream if isinstance(stream, Output) else Output(stream)


def say(text: str, stream: Any = None) -> None:
    """Print a line, on standard output unless a stream is given; it never fails."""
    to = output(stream)
    to.write(f"{text}\n")
    to.flush()


def complain(text: str) -> None:
    """Print a line on standard error."""
    if sys.stderr is not None:
        say(text, sys.stderr)


def warn(
    message: str, category: type[Warning] = UserWarning, stacklevel: int = 1
) -> None:
    """`warnings.warn`, also where standard error is closed.

    Raises:
        Warning: where a filter makes errors of warnings.
    """
    try:
        warnings.warn(message, category, stacklevel + 1)
    except Warning:
        raise
    except Exception:  # the stream's, from inside `warnings`
        pass


def bar(
    total: int, verbose: bool | None = None, stream: Any = None, **options: Any
) -> AbstractContextManager[Callable[[int], object]]:
    """What counts work done: a bar on a terminal.

    Args:
        total: of what is counted.
        verbose: True shows it on other streams too, False never.
        stream: where; standard error if None.
        options: of tqdm.
    """
    if verbose is False:
        return nullcontext(_uncounted)
    stream = sys.stderr if stream is None else stream
    to = Output(None) if stream is None else output(stream)
    if not (to.isatty() if verbose is None else verbose) or to.stream is None:
        return nullcontext(_uncounted)
    return _tqdm(total=total, leave=False, file=to, dynamic_ncols=True, **options)


def _uncounted(count: int) -> None:
    """What no bar shows."""


@contextmanager
def _tqdm(**options: Any) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    with tqdm(**options) as shown:
        yield shown.update


@contextmanager
def command_streams(keeps: bool = False) -> Iterator[Output]:
    """Standard output and error of a command, made robust; the first is yielded.

    Args:
        keeps: the command writes files too and must reach its end: what it prints is
            lost where the reader of a pipe has gone, rather than raising.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    ours = Output(before[0], strict=not keeps), Output(before[1])
    sys.stdout, sys.stderr = ours
    try:
        yield ours[0]
    finally:
        for to in ours:
            to.strict = False
            to.flush()
            if to.error is not None:
                _silence(to.stream)
        sys.stdout, sys.stderr = before


def _fill_closed() -> None:
    """Open what is closed of 0, 1 and 2: else the next file gets the number, and what a
    library prints is written into it.
    """
    handle = os.open(os.devnull, os.O_RDWR)
    while handle <= 2:
        handle = os.open(os.devnull, os.O_RDWR)
    os.close(handle)


def _silence(stream: Any) -> None:
    """Let the interpreter's last flush of a broken stream go nowhere."""
    with suppress(Exception):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)
