"""The page of the update rules: `python -m xpnet.optim.page > docs/optimizers.md`."""

import inspect

from xpnet.optim.conventions import CONVENTIONS, Convention
from xpnet.optim.table import MINIMIZERS, OPTIMIZERS, VARIANTS

HEAD = """# Update rules

Generated from the table of rules by `python -m xpnet.optim.page > docs/optimizers.md`.

p is a parameter, g its gradient (clipped and penalised, see below), η the learning
rate, t = 1, 2, ... the step. Everything but p, g and the numbers of a step starts at 0.

A step clips the gradient, adds l1 sign(W) + l2 W (coupled: the rule sees it), shrinks
W ← (1 - η weight_decay) W (decoupled: the rule does not), then applies the rule.
Penalties and decay are of weights alone. PyTorch, Keras and optax decay whatever
parameters they are given, biases and gains too, unless those are left out.

Each rule follows PyTorch's trajectory over 100 steps to 1e-10 in float64, Lion that of
the paper's equations: [test_references.py](../tests/optim/test_references.py). The
columns were read in the sources of PyTorch 2.13, Keras 3 and optax 0.2.

## Side by side: eps

"Outside" is √v + eps, "inside" √(v + eps).
"""
TAIL = """## Methods that are no update rules

They look at the whole objective in every iteration: `xpnet.minimize(trainer, x, y,
"lbfgs")` on a network, `LBFGS().minimize(f, gradient, start)` on a plain function.
"""
ROWS = {
    "name": "name",
    "rate": "learning rate",
    "eps": "eps",
    "correction": "correction of the means",
    "momentum": "momentum",
    "decay": "weight decay",
    "other": "otherwise",
}


def page() -> str:
    """docs/optimizers.md, from the rules' docstrings and conventions."""
    sections = [section(row) for row in OPTIMIZERS]
    others = [f"### {_text(name, kind)}\n" for name, kind in MINIMIZERS.items()]
    return "\n".join([HEAD, overview(), variants(), *sections, TAIL, *others])


def overview() -> str:
    """One line a rule: where eps stands in each library."""
    libraries = [c.library for c in next(iter(CONVENTIONS.values()))]
    lines = [_line(["rule", *libraries]), _line(["---"] * (1 + len(libraries)))]
    for row, conventions in CONVENTIONS.items():
        if any(c.eps for c in conventions):
            lines.append(_line([f"`{row}`", *(_cell(c, "eps") for c in conventions)]))
    return "\n".join(lines) + "\n"


def variants() -> str:
    """The names that stand for a rule with some setting."""
    named = [f"`{name}` is {rule()!r}" for name, rule in VARIANTS.items()]
    return f"By name too: {', '.join(named)}.\n"


def section(row: str) -> str:
    """One rule: its docstring up to the arguments, then the libraries side by side."""
    conventions = CONVENTIONS[row]
    lines = [_line(["", *(c.library for c in conventions)])]
    lines.append(_line(["---"] * (1 + len(conventions))))
    for key, title in ROWS.items():
        if any(getattr(c, key) for c in conventions):
            lines.append(_line([title, *(_cell(c, key) for c in conventions)]))
    return f"## {_text(row, OPTIMIZERS[row])}\n\n" + "\n".join([*lines, ""])


def _text(name: str, kind: type) -> str:
    """Class, name, and the docstring up to the arguments."""
    text = (inspect.getdoc(kind) or "").split("\nArgs:")[0].rstrip()
    return f"{kind.__name__}\n\n`{name}`. {text}"


def _cell(convention: Convention, key: str) -> str:
    value: str = getattr(convention, key)
    if not convention.name:
        return "no such rule" if key == "name" else ""
    if key == "name":
        return f"`{value}`"
    return value or ("to be given" if key == "rate" else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(page(), end="")
