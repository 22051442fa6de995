"""`xpnet info`: what this machine gives a network to run on."""

import json
from argparse import Namespace

from xpnet import __version__
from xpnet.backend import get_backend
from xpnet.backend.versions import cuda_versions
from xpnet.common.machine import collect
from xpnet.compiler import how_compiled


def run(options: Namespace) -> int:
    """Print it; see `xpnet info --help`."""
    facts = collect(__version__, get_backend("auto"), how_compiled(), cuda_versions())
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f"device      {facts['device']}: {facts['why']}")
    for blas in facts["blas"]:
        print(
            f"BLAS        {blas['name']} {blas['version']}, core type {blas['core']}, "
            f"{blas['threads']} threads"
        )
    print(f"programs    {facts['programs']}")
    print(f"processor   {facts['processor']}, {facts['cores']} cores for this process")
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    print(f"versions    {versions}")
    if facts["libraries"]:
        found = ", ".join(f"{k} {v}" for k, v in facts["libraries"].items())
        print(f"CUDA        {found}")
    for warning in facts["warnings"]:
        print(f"warning     {warning}")
    return 0
