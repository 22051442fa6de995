"""What a measurement's process answers, and how it tells of a failure."""

import os
import traceback
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]
Handler = Callable[[Answer], Answer]
Served = tuple[Answer, Handler | None]


def explained(error: Exception) -> str:
    """The error's type, its message, and the last line of xpnet that it passed."""
    words = " ".join(str(error).split())[:300]
    caught, *inner = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in inner if "xpnet" in frame.filename.split(os.sep)]
    last = (own or inner or [caught])[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"{type(error).__name__}: {words} ({place})"
