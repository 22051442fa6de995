"""Many networks of one shape, trained at once."""

from xpnet.stack.stack import Stack

__all__ = [
    "Stack",
]
