"""Workers that answer as a test says."""

import sys


def script(body):
    """The command of a worker with `body`, given `arguments`, `requests` and `say`."""
    text = (
        "import json, os, sys, time\n"
        "arguments = sys.argv[1:]\n"
        "def say(answer): print(json.dumps(answer), flush=True)\n"
        "requests = (json.loads(line) for line in sys.stdin)\n"
        f"{body}"
    )
    return (sys.executable, "-c", text)
