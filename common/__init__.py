"""What every room needs: argument checks, files, the cache folder."""

from xpnet.common.checks import (
    check_file,
    check_flag,
    check_folder,
    check_number,
    check_path,
    check_whole,
    choose,
    nearest,
    parameters,
)

__all__ = [
    "check_file",
    "check_flag",
    "check_folder",
    "check_number",
    "check_path",
    "check_whole",
    "choose",
    "nearest",
    "parameters",
]
