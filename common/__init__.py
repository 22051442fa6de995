"""What every room needs: argument checks, files, the cache folder."""

from xpnet.common.checks import (
    check_file,
    check_flag,
    check_folder,
    check_number,
    check_whole,
    choose,
    nearest,
    parameters,
    shortened,
)
from xpnet.common.console import printable

__all__ = [
    "check_file",
    "check_flag",
    "check_folder",
    "check_number",
    "check_whole",
    "choose",
    "nearest",
    "parameters",
    "printable",
    "shortened",
]
