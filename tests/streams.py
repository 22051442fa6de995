"""Standard streams as programs find them: none, closed, full, or without a δ."""

import errno
import io


class Bare:
    """Can write and nothing else, as the replacements of many programs."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Failing(Bare):
    """Every use of it fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    flush = isatty = fileno = write


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def encoded(encoding, kind=io.TextIOWrapper):
    return kind(io.BytesIO(), encoding=encoding, errors="strict", newline="")


STREAMS = {
    "none": lambda: None,
    "closed": closed,
    "bare": Bare,
    "full disk": lambda: Failing(OSError(errno.ENOSPC, "No space left on device")),
    "reader has gone": lambda: Failing(BrokenPipeError(errno.EPIPE, "Broken pipe")),
    "broken": lambda: Failing(RuntimeError("main thread is not in main loop")),
    "ascii": lambda: encoded("ascii"),
    "cp1252": lambda: encoded("cp1252"),
    "ascii terminal": lambda: encoded("ascii", Terminal),
}


def text_of(stream):
    """What has arrived."""
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        return stream.buffer.getvalue().decode(stream.encoding)
    return stream.text if isinstance(stream, Bare) else ""
