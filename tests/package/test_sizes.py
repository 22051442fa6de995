"""A file and a class can be read in one sitting."""

import ast

from docs.import_graph import modules

FILE, CLASS = 350, 250  # lines, at most


def test_files_and_classes_are_short():
    found = {}
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > FILE:
            found[name] = len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > CLASS:
                    found[f"{name}.{node.name}"] = lines
    assert not found
