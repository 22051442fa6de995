"""`xpnet gpu-check`: is the GPU right, and how fast is it; one record of both."""

import math
from argparse import Namespace
from functools import partial
from pathlib import Path

from xpnet.backend import get_backend
from xpnet.benchmarks.gpu.check import GpuCheck
from xpnet.common import check_file


def run(options: Namespace) -> int:
    """Check the first GPU; see `xpnet gpu-check --help`.

    0 where every comparison came out right, 1 where one did not; without a GPU a
    DeviceError, one line and status 2.
    """
    if not 0.0 < options.minutes < math.inf:
        raise ValueError(f"--minutes: expected more than 0, got {options.minutes:g}")
    if options.out:
        check_file(options.out, "--out")
    backend = get_backend("cuda")
    out = Path(options.out) if options.out else None
    show = partial(print, flush=True)
    check = GpuCheck(backend, out, options.minutes, options.quick, show=show)
    return 0 if check.run() else 1
