"""The shapes that a run of the tape gives its kernel: frame, lines, tail."""

import numpy as np

from xpnet.backend import Shape
from xpnet.compiler.loop_nest import REDUCTIONS, reduced_axes
from xpnet.trace import Traced


def padded(shape: Shape, ndim: int) -> Shape:
    """`shape` with axes of 1 in front."""
    return (1,) * (ndim - len(shape)) + tuple(shape)


def frame_of(run: list[Traced]) -> Shape:
    """The shape that a kernel of `run` goes over."""
    shapes = [n.args[0].shape if n.op in REDUCTIONS else n.shape for n in run]
    return np.broadcast_shapes(*shapes)


def run_axes(run: list[Traced]) -> tuple[int, ...]:
    """The axes that the reductions of `run` share."""
    return next((reduced_axes(n) for n in run if n.op in REDUCTIONS), ())


def tail_of(run: list[Traced]) -> set[Traced]:
    """Nodes smaller than the frame that nothing but the end of the kernel needs.

    One thread computes each of their elements, after the last pass and in order. So
    they may read what they write. Where there are lines, they are one number a line.
    """
    frame, axes = frame_of(run), run_axes(run)
    tail: set[Traced] = set()
    for node in reversed(run):
        shape = padded(node.shape, len(frame))
        if node.op in REDUCTIONS or any(shape[i] != 1 for i in axes):
            continue
        if shape == frame and not axes:
            continue
        users = [n for n in run if any(a is node for a in n.args)]
        if all(n in tail and n.shape == node.shape for n in users):
            tail.add(node)
    return tail
