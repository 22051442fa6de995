"""docs/backprop.md: its links hold, its formulas are the code's, its blocks run."""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import xpnet as xn
from tests.layers.test_initializers import LAWS
from xpnet.layers import ACTIVATIONS, INITIALIZERS, LAYERS, LOSSES, get_loss
from xpnet.optim import SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
BOOK = (ROOT / "docs" / "backprop.md").read_text(encoding="utf-8")


# Links: [`symbol`: `a piece of its code`](../file.py).

CODE_LINK = re.compile(r"\[`([\w.]+)`: `([^`]+)`\]\(\.\./([\w/]+\.py)\)")


@cache
def parsed(path):
    text = path.read_text(encoding="utf-8")
    return text.splitlines(), ast.parse(text)


def source_of(path, symbol):
    """The lines of a function, a class, a method or a table of a file, or None."""
    lines, node = parsed(path)
    for name in symbol.split("."):
        inner = {}
        for child in ast.iter_child_nodes(node):
            targets = getattr(child, "targets", [getattr(child, "target", child)])
            for target in targets:
                inner[getattr(target, "name", getattr(target, "id", ""))] = child
        if name not in inner:
            return None
        node = inner[name]
    return "\n".join(lines[node.lineno - 1 : node.end_lineno])


def broken(page, root=ROOT):
    """What is wrong with a page's links into code, one line per link."""
    found = []
    for symbol, code, file in CODE_LINK.findall(page):
        path = root / file
        source = source_of(path, symbol) if path.is_file() else None
        if not path.is_file():
            found.append(f"{file}: no such file, for {symbol}: {code}")
        elif source is None:
            found.append(f"{file}: no {symbol}, for {code}")
        elif code not in source:
            found.append(f"{file}: {symbol} does not have: {code}")
    return found


def test_every_link_into_code_names_a_symbol_that_has_the_code(tmp_path):
    assert broken(BOOK) == []
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / "a.py").write_text(
        "T = {\n    1: 2,\n}\nclass A:\n    def f(x):\n        return x\n"
        "    def g(x):\n        y = 2 * x\n        return y\n"
    )
    good = "[`A.g`: `y = 2 * x`](../layers/a.py) [`T`: `1: 2`](../layers/a.py)"
    bad = (
        "[`A.f`: `y = 2 * x`](../layers/a.py) [`A.h`: `return x`](../layers/a.py)\n"
        "[`B`: `return x`](../layers/a.py) [`A.f`: `return x`](../layers/b.py)"
    )
    assert broken(good + bad, tmp_path) == [
        "layers/a.py: A.f does not have: y = 2 * x",
        "layers/a.py: no A.h, for return x",
        "layers/a.py: no B, for return x",
        "layers/b.py: no such file, for A.f: return x",
    ]


def test_every_line_that_shows_code_is_a_link_that_is_checked():
    shown = re.findall(r"^→ (.*)$", BOOK, re.M)
    assert len(shown) > 40
    assert [s for s in shown if not CODE_LINK.fullmatch(s.removesuffix("\\"))] == []
    to_code = re.findall(r"\]\(\.\./(?!lessons/)[\w/]+\.py\)", BOOK)
    assert len(to_code) == len(CODE_LINK.findall(BOOK)) > 60
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert "#L" not in page.read_text(encoding="utf-8"), page


def test_the_other_files_and_sections_that_the_book_names_are_there():
    targets = re.findall(r"\]\(([^)\s]+)\)", BOOK)
    headings = re.findall(r"^##+ (.*)$", BOOK, re.M)
    slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    assert len(targets) > 90
    inner = {target for target in targets if target.startswith("#")}
    assert {target[1:] for target in inner} <= slugs
    files = (target for target in targets if target not in inner)
    assert [f for f in files if not (ROOT / "docs" / f).is_file()] == []


# Formulas: a small part of TeX, read as Python.

FUNCTIONS = {
    "exp": np.exp,
    "ln": np.log,
    "tanh": np.tanh,
    "sign": np.sign,
    "min": np.minimum,
    "max": np.maximum,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "sigma": lambda z: 1 / (1 + np.exp(-z)),
}


def python_of(tex):
    """`\\frac{1}{1 + e^{-z}}` as `((1)/(1+exp(-z)))`; products get their `*`."""
    text = re.sub(r"_\{(\w+)\}", r"_\1", tex.replace(r"\mathrm{sign}", "sign"))
    text = re.sub(r"\be\^\{([^{}]*)\}", r"exp(\1)", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", text)
    text = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", text)
    while "frac" in text:
        text, count = re.subn(
            r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text, count=1
        )
        assert count, f"cannot read {tex}"
    for old, new in (("\\lvert", "abs("), ("\\rvert", ")"), ("\\cdot", "*")):
        text = text.replace(old, new)
    text = text.replace("[", "(").replace("]", ")").replace("\\", "")
    tokens = re.findall(r"\*\*|[A-Za-z]\w*|\d+\.?\d*|[-+*/(),<>]", text)
    result = tokens[0]
    for left, right in pairwise(tokens):
        value = left == ")" or (left[0].isalnum() and left not in FUNCTIONS)
        result += "*" * (value and (right == "(" or right[0].isalnum())) + right
    return result


def formula(tex):
    """A function of named arrays from TeX."""
    code = compile(python_of(tex), tex, "eval")
    return lambda **names: eval(code, {"__builtins__": {}}, {**FUNCTIONS, **names})


def table(first):
    """The rows of the table whose first column has this heading: name -> TeX cells."""
    block = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", BOOK, re.M)[1]
    rows = {}
    for line in block.splitlines():
        names = line.split("|")[1].strip()
        for name in names.split(", "):
            rows[name] = re.findall(r"\$`(.*?)`\$", line)
    return rows


def test_tex_is_read_as_python():
    assert python_of(r"\frac{1}{1 + e^{-z}}") == "((1)/(1+exp(-z)))"
    assert python_of(r"2 (z - t)^{2} \sigma(z)") == "2*(z-t)**(2)*sigma(z)"
    assert formula(r"1[a > 0] + 0.5 c z")(a=1.0, c=2.0, z=3.0) == 4.0


POINTS = np.linspace(-4.0, 4.0, 80)  # 0, where some have a kink, is not among them
SLOPES = table("activation")
PENALTIES = table("loss")


def test_the_tables_have_every_name():
    assert set(SLOPES) == set(ACTIVATIONS) - {"softmax"}
    assert set(PENALTIES) == set(LOSSES) - {"softmax_cross_entropy"}
    assert set(table("initialiser")) == set(INITIALIZERS)
    assert set(table("schedule")) == set(SCHEDULES) - {"Constant"}
    # Dense and Activation are section 4.
    for layer in set(LAYERS) - {"Dense", "Activation", "GaussianNoise"}:
        assert layer in BOOK
    assert "Gaussian noise" in BOOK


@pytest.mark.parametrize("name", SLOPES)
def test_an_activation_and_its_derivative_are_the_codes(name):
    f, slope = map(formula, SLOPES[name])
    k = formula(re.search(r"\$`k = (.*?)`\$", BOOK)[1])(pi=np.pi)
    c = float(re.search(r"c = (0\.\d+)", BOOK)[1])
    inner = formula(re.search(r"\$`T = (.*?)`\$", BOOK)[1])
    names = {"k": k, "c": c, "T": inner(z=POINTS, k=k, c=c)}
    row = ACTIVATIONS[name]
    a = row.function(POINTS)
    np.testing.assert_allclose(f(z=POINTS, **names), a, rtol=1e-12, atol=1e-14)
    written = slope(z=POINTS, a=a, **names) * np.ones_like(POINTS)
    derived = xn.derivative(row.function)(POINTS)
    np.testing.assert_allclose(written, derived, rtol=1e-10, atol=1e-13)
    coded = row.derivative(POINTS, a)
    np.testing.assert_allclose(written, coded, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_loss_and_its_gradient_are_the_codes(name):
    h, slope = map(formula, PENALTIES[name])
    rng = np.random.default_rng(0)
    z = rng.uniform(-3.0, 3.0, (40, 3))
    binary = name == "binary_cross_entropy"
    t = rng.uniform(0.0, 1.0, z.shape) if binary else rng.uniform(-3.0, 3.0, z.shape)
    loss, d = get_loss(name), 1.0
    value = h(z=z, t=t, d=d)
    np.testing.assert_allclose(value.mean(axis=1)[:, None], loss.rows(z, t), rtol=1e-12)
    written = slope(z=z, t=t, d=d)
    np.testing.assert_allclose(written / 3, loss.gradient(z, t), rtol=1e-10, atol=1e-14)
    derived = xn.derivative(lambda z: h(z=z, t=t, d=d))(z)
    np.testing.assert_allclose(written, derived, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_start_with_the_variance_of_the_table(name):
    """Of the docstrings' laws, which tests/layers compares with what is drawn."""
    (tex,) = table("initialiser")[name]
    for n_in, n_out in ((200, 350), (350, 200)):
        expected = formula(tex)(n_in=n_in, n_out=n_out)
        assert LAWS[name](n_in, n_out)[0] == pytest.approx(expected, rel=1e-12)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", BOOK, re.M | re.S)


@pytest.mark.parametrize("block", blocks("python"))
def test_a_block_of_python_runs_as_it_stands(block):
    assert "assert" in block
    exec(compile(block, "backprop.md", "exec"), {"__name__": "book"})


# What GitHub renders: https://docs.github.com/get-started/writing-on-github


def malformed(tex):
    """What is wrong with a formula: the words of its faults."""
    depth, least = 0, 0
    for brace in re.findall(r"(?<!\\)[{}]", tex):
        depth += 1 if brace == "{" else -1
        least = min(least, depth)
    begun, ended = (re.findall(rf"\\{w}\{{(\w+)\}}", tex) for w in ("begin", "end"))
    left, right = (re.findall(rf"\\[Bb]ig{side}\b", tex) for side in "lr")
    unknown = r"\\(operatorname|newcommand|def|label|tag|left|right)\b"
    faults = {
        "braces": depth or least,
        "begin and end": begun != ended,
        "bigl and bigr": len(left) != len(right),
        "a command that GitHub does not render": re.search(unknown, tex),
        "a dollar": "$" in tex,
    }
    return [name for name, fault in faults.items() if fault]


def test_mathematics_is_well_formed():
    for tex in ("}{", "{a", r"\begin{a}\end{b}", r"\Bigl(x)", r"\left(x", r"\tag{1}"):
        assert len(malformed(tex)) == len(malformed("$")) == 1
    formulas = [*blocks("math"), *re.findall(r"\$`(.*?)`\$", BOOK)]
    assert len(formulas) > 100
    assert {tex: malformed(tex) for tex in formulas if malformed(tex)} == {}


def test_mathematics_is_fenced_where_markdown_would_change_it():
    prose = re.sub(r"^```.*?^```$", "", BOOK, flags=re.M | re.S)
    assert "$" not in re.sub(r"\$`[^`]*`\$", "", prose)
    # GitHub takes inline mathematics only where no letter or digit touches it.
    assert not re.search(r"[\w-]\$`|`\$\w", prose)
    for line in prose.splitlines():
        if line.startswith("|"):
            assert not any("|" in tex for tex in re.findall(r"\$`[^`]*`\$", line))
    assert len(blocks("math")) > 50
