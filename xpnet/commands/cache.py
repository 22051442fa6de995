"""`xpnet cache`: what is kept between processes, how much it is, and clearing it."""

import json
from argparse import Namespace
from typing import Any

from xpnet.common import cache


def run(options: Namespace) -> int:
    """Show the cache or clear it; see `xpnet cache --help`."""
    gone = cache.clear() if options.clear else []
    facts = collect()
    facts["removed"] = {"files": len(gone), "bytes": sum(e.size for e in gone)}
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    if options.clear:
        print(f"removed     {_amount(facts['removed'])}")
    print(f"folder      {facts['folder']}")
    for kind, found in facts["kinds"].items():
        if found["files"]:
            print(f"{kind:<12}{_amount(found)}")
    total = f"{_amount(facts['total'])} of at most {_size(facts['limit'])}"
    print(f"together    {total} (XPNET_CACHE_SIZE, in MB)")
    return 0


def collect() -> dict[str, Any]:
    """The facts as plain values."""
    kinds = {kind: {"files": 0, "bytes": 0} for kind in cache.KINDS}
    for entry in cache.entries():
        kinds[entry.kind]["files"] += 1
        kinds[entry.kind]["bytes"] += entry.size
    total = {
        what: sum(found[what] for found in kinds.values())
        for what in ("files", "bytes")
    }
    return {
        "folder": str(cache.cache_directory()),
        "kinds": kinds,
        "total": total,
        "limit": cache.limit(),
    }


def _amount(found: dict[str, int]) -> str:
    count = found["files"]
    return f"{count} file{'' if count == 1 else 's'}, {_size(found['bytes'])}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
