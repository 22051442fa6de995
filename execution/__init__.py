"""Runs recorded steps: many of them, epochs of them, with or without Python."""
