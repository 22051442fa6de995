"""docs/backprop.md: its links hold, its formulas are the code's, its blocks run."""

import importlib.util
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import xpnet as xn
from xpnet.layers import ACTIVATIONS, INITIALIZERS, LAYERS, LOSSES, get_loss
from xpnet.optim import SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
BOOK = (ROOT / "docs" / "backprop.md").read_text(encoding="utf-8")
SPEC = importlib.util.spec_from_file_location("relink", ROOT / "docs" / "relink.py")
relink = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(relink)
LINKS = relink.links(BOOK)
HINT = "run `python docs/relink.py`"


# Links.


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.file}: {link.code}")
def test_a_link_points_to_the_line_that_it_shows(link):
    lines = (ROOT / link.file).read_text(encoding="utf-8").splitlines()
    assert link.code in lines[link.line - 1], HINT
    assert link.found(ROOT) == [link.line], "the code stands there twice; name a scope"


def test_every_link_into_code_is_one_that_is_checked():
    assert len(LINKS) > 60
    assert len(LINKS) == len(re.findall(r"\]\([^)\s]+\.py#L", BOOK))
    shown = re.findall(r"^→ (.*)$", BOOK, re.M)
    assert len(shown) > 40
    assert all(relink.LINK.fullmatch(line.removesuffix("\\")) for line in shown)


def test_the_other_files_and_sections_that_the_book_names_are_there():
    targets = re.findall(r"\]\(([^)\s]+)\)", BOOK)
    headings = re.findall(r"^##+ (.*)$", BOOK, re.M)
    slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    assert len(targets) > 90
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in slugs
        elif "#L" not in target:
            assert (ROOT / "docs" / target).resolve().is_file(), target


@pytest.fixture
def house(tmp_path):
    """A page with two links, and the two files that they point into."""
    for folder in ("docs", "layers", "optim"):
        (tmp_path / folder).mkdir()
    (tmp_path / "layers" / "a.py").write_text(
        "class A:\n    def f(x):\n        return x\n"
        "    def g(x):\n        y = 2 * x\n        return x\n"
    )
    (tmp_path / "docs" / "page.md").write_text(
        '→ [`y = 2 * x`](../layers/a.py#L1) [`return x`](../layers/a.py#L9 "A.g")\n'
    )
    return tmp_path


def pages(house):
    return (house / "docs" / "page.md").read_text()


def test_relink_puts_line_numbers_right(house, capsys):
    assert relink.main(["--check"], house) == 1
    assert "#L1)" in pages(house)
    assert relink.main([], house) == 0
    assert pages(house) == (
        '→ [`y = 2 * x`](../layers/a.py#L5) [`return x`](../layers/a.py#L6 "A.g")\n'
    )
    assert relink.main(["--check"], house) == 0
    assert "layers/a.py#L5" in capsys.readouterr().out


def test_relink_follows_code_into_another_file(house):
    shutil.move(house / "layers" / "a.py", house / "optim" / "b.py")
    assert relink.main([], house) == 0
    assert "../optim/b.py#L5" in pages(house)


def test_relink_names_code_that_is_gone_or_ambiguous_and_mends_the_rest(house, capsys):
    page = house / "docs" / "page.md"
    page.write_text(page.read_text() + "[`3 * x`](../layers/a.py#L1)\n")
    page.write_text(page.read_text() + "[`return x`](../layers/a.py#L3)\n")
    assert relink.main([], house) == 1
    errors = capsys.readouterr().err
    assert "`3 * x` (layers/a.py ): expected one line that has it, got none" in errors
    assert "got layers/a.py:3, layers/a.py:6" in errors
    assert "a.py#L5" in pages(house)


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
    (tex,) = table("initialiser")[name]
    n_in, n_out = 200, 350
    expected = formula(tex)(n_in=n_in, n_out=n_out)
    w = INITIALIZERS[name](np.random.default_rng(0), (n_in, n_out))
    assert w.var() == pytest.approx(expected, rel=0.03)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", BOOK, re.M | re.S)


@pytest.mark.parametrize("block", blocks("python"))
def test_a_block_of_python_runs_as_it_stands(block):
    assert "assert" in block
    exec(compile(block, "backprop.md", "exec"), {"__name__": "book"})


# What GitHub renders: https://docs.github.com/get-started/writing-on-github


@pytest.mark.parametrize("tex", [*blocks("math"), *re.findall(r"\$`(.*?)`\$", BOOK)])
def test_mathematics_is_well_formed(tex):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", tex):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\begin\{(\w+)\}", tex) == re.findall(r"\\end\{(\w+)\}", tex)
    assert len(re.findall(r"\\[Bb]igl\b", tex)) == len(re.findall(r"\\[Bb]igr\b", tex))
    assert not re.search(r"\\(operatorname|newcommand|def|label|tag|left|right)\b", tex)
    assert "$" not in tex


def test_mathematics_is_fenced_where_markdown_would_change_it():
    prose = re.sub(r"^```.*?^```$", "", BOOK, flags=re.M | re.S)
    assert "$" not in re.sub(r"\$`[^`]*`\$", "", prose)
    # GitHub takes inline mathematics only where no letter or digit touches it.
    assert not re.search(r"[\w-]\$`|`\$\w", prose)
    for line in prose.splitlines():
        if line.startswith("|"):
            assert not any("|" in tex for tex in re.findall(r"\$`[^`]*`\$", line))
    assert len(blocks("math")) > 50
