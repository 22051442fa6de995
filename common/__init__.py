"""What every room needs: argument checks, files, the cache folder."""

from xpnet.common.arrays import as_host, as_labels, as_numbers, refuse_masked
from xpnet.common.checks import (
    check_file,
    check_flag,
    check_folder,
    check_number,
    check_optional_flag,
    check_whole,
    choose,
    parameters,
    shown,
)
from xpnet.common.words import explains_arguments, nearest

__all__ = [
    "as_host",
    "as_labels",
    "as_numbers",
    "check_file",
    "check_flag",
    "check_folder",
    "check_number",
    "check_optional_flag",
    "check_whole",
    "choose",
    "explains_arguments",
    "nearest",
    "parameters",
    "refuse_masked",
    "shown",
]
