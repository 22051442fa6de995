"""What every room needs: argument checks, files, the cache folder."""

from xpnet.common.checks import (
    check_directory,
    check_file,
    check_flag,
    check_folder,
    check_number,
    check_optional_flag,
    check_path,
    check_whole,
    choose,
    parameters,
    shortened,
    shown,
)
from xpnet.common.console import printable
from xpnet.common.words import explains_arguments, nearest

__all__ = [
    "check_directory",
    "check_file",
    "check_flag",
    "check_folder",
    "check_number",
    "check_optional_flag",
    "check_path",
    "check_whole",
    "choose",
    "explains_arguments",
    "nearest",
    "parameters",
    "printable",
    "shortened",
    "shown",
]
