"""What trials share: threads whose answers are compared, a cache of their own."""

import os
import subprocess
import sys
from itertools import count

from xpnet.benchmarks.trials.libraries import own_cache
from xpnet.benchmarks.trials.threads import wrong_answers
from xpnet.common import cache


def test_wrong_answers_of_threads_are_counted():
    calls = count()
    found = wrong_answers("wrong", lambda x: next(calls), ["a", "b"], 3)
    assert list(found) == ["wrong"] * 6
    assert list(wrong_answers("wrong", lambda x: x, ["a", "b"], 3)) == []


def test_a_cache_of_its_own_ends_with_the_block(tmp_path):
    before, place = os.environ.get("XPNET_CACHE_DIR"), cache.cache_directory()
    with own_cache(tmp_path / "own") as own:
        assert own == cache.cache_directory()
        assert tmp_path in own.parents
        assert own != place
    assert os.environ.get("XPNET_CACHE_DIR") == before
    assert cache.cache_directory() == place


def test_the_command_runs_a_trial_in_a_process_of_its_own():
    command = [
        sys.executable,
        "-m",
        "xpnet.benchmarks.trials",
        "targets",
        "--scale",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("targets: 140 tries, 0 counts as classification")
