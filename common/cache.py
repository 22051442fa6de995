"""The folder where generated code and measured facts are kept between processes."""

import os
from functools import cache
from pathlib import Path


@cache
def cache_directory() -> Path:
    """XPNET_CACHE_DIR, `xpnet` in the user's cache, or a temporary folder where neither
    can be written.
    """
    try:
        wanted = _wanted()
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK):
            return wanted
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        pass
    import tempfile

    return Path(tempfile.mkdtemp(prefix="xpnet-"))


def _wanted() -> Path:
    named = os.environ.get("XPNET_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xpnet"
