"""Looks at a training: the doctor, the gradient check, lock-step comparison."""

from xpnet.diagnosis.gradient_check import check_gradients

__all__ = [
    "check_gradients",
]
