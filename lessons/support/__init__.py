"""What lessons share: claims, numbers and checks taken down, pictures."""

from xpnet.diagnosis.plots import COLORS
from xpnet.lessons.support.fields import FIELDS, Field
from xpnet.lessons.support.lesson import Lesson
from xpnet.lessons.support.pictures import (
    bowl,
    confusion,
    contour,
    curves,
    decision,
    images,
    path,
    points,
)
from xpnet.lessons.support.run import main, prepare, run, title_of

__all__ = [
    "COLORS",
    "FIELDS",
    "Field",
    "Lesson",
    "bowl",
    "confusion",
    "contour",
    "curves",
    "decision",
    "images",
    "main",
    "path",
    "points",
    "prepare",
    "run",
    "title_of",
]
