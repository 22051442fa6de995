"""Lessons: a claim, the experiment that measures it, and its pictures."""
