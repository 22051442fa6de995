"""A worker of `gpu-check` whose device is the stand-in, its kernels run by fibers.

    python -m tests.benchmarks.gpu_worker gpu.serve part NAME quick

Of every part it has the first checks alone, so that all parts take seconds.
"""

import sys
from dataclasses import replace

from tests.cuda.fibers import fiber_backend
from xpnet.benchmarks import worker
from xpnet.benchmarks.gpu import parts, serve
from xpnet.benchmarks.gpu.rivals import xpnet_

COMMAND = (sys.executable, "-m", "tests.benchmarks.gpu_worker")
KEPT = {"products": 3, "copies": 1, "launches": 2}


def few(name):
    """The part with its first checks, or one."""
    part = parts.PARTS[name]

    def checks(backend, quick):
        print("what a library prints", flush=True)
        return part.checks(backend, quick)[: KEPT.get(name, 1)]

    return replace(part, checks=checks)


def main(arguments):
    """As `worker.main`, on another device."""
    backend = fiber_backend()
    serve.first_gpu = xpnet_.device = lambda: backend
    serve.PARTS = {name: few(name) for name in parts.PARTS}
    xpnet_.LONGEST = 20
    worker.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
