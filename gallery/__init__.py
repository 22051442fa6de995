"""Lessons: a claim, the experiment that measures it, and its pictures."""

from xpnet.gallery.fields import FIELDS, Field
from xpnet.gallery.lesson import Lesson
from xpnet.gallery.pictures import (
    bowl,
    confusion,
    contour,
    curves,
    decision,
    images,
    path,
    points,
)
from xpnet.gallery.run import main, prepare, run
from xpnet.gallery.style import COLORS
from xpnet.gallery.table import LESSONS, get_lesson, title_of

__all__ = [
    "COLORS",
    "FIELDS",
    "LESSONS",
    "Field",
    "Lesson",
    "bowl",
    "confusion",
    "contour",
    "curves",
    "decision",
    "get_lesson",
    "images",
    "main",
    "path",
    "points",
    "prepare",
    "run",
    "title_of",
]
