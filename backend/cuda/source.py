"""The text of the hand-written kernels."""

from functools import cache
from pathlib import Path


@cache
def kernels() -> str:
    """CUDA C, plain extern "C" functions: kernels.cu."""
    return (Path(__file__).parent / "kernels.cu").read_text(encoding="utf-8")
