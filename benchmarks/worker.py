"""The process of a measurement: it reads a request per line and writes an answer.

    python -m xpnet.benchmarks.worker MODULE ARGUMENT...

imports xpnet.benchmarks.MODULE and calls its `serve(*arguments)`, which returns a
greeting and, if it takes requests, a function from a request to its answer. Greeting,
requests and answers are JSON objects, one per line. A failure is an answer too:
{"missing": why} where a package is not installed, {"failed": why} otherwise.

This file imports little, because the start of a process is measured too.
"""

import importlib
import json
import os
import sys
from typing import Any

from xpnet.benchmarks.answers import Served, explained


def start(module: str, *arguments: str) -> Served:
    """The greeting and the handler; the handler is None if there is nothing to ask."""
    try:
        found: Any = importlib.import_module(f"xpnet.benchmarks.{module}")
        served: Served = found.serve(*arguments)
    except ImportError as error:
        return {"missing": str(error)}, None
    except Exception as error:
        return {"failed": explained(error)}, None
    return served


def main(arguments: list[str]) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    greeting, handler = start(*arguments)
    print(json.dumps(greeting), file=answers)
    if handler is None:
        return
    for line in sys.stdin:
        try:
            answer = handler(json.loads(line))
        except Exception as error:
            answer = {"failed": explained(error)}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1:])
