"""A layer, a loss and an update rule of xpnet take three places each.

They are added to a copy of the sources: a class in a file of its own, a line in the
list of kinds, and a row in tests/cases.py. Nothing else is touched.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {
    "layers/scale.py": '''"""A gain a feature."""

from typing import Any

from xpnet.backend import Array, Shape
from xpnet.layers.layer import Layer
from xpnet.trace import batch_sum


class Scale(Layer):
    """a = c s ⊙ x,  ∂J/∂s = Σ_batch c x ⊙ grad."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def build(self, shape: Shape) -> Shape:
        """One s a feature."""
        self.declare("s", (1, shape[-1]), "ones")
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        """c s ⊙ x."""
        self._x = x
        return self.factor * self.s * x

    def backward(self, grad: Array) -> Array:
        """c s ⊙ grad."""
        self.ds[...] = batch_sum(self.factor * self._x * grad)
        return self.factor * self.s * grad
''',
    "layers/log_cosh.py": '''"""A smooth absolute error."""

import math

import numpy as np

from xpnet.backend import Array
from xpnet.layers.losses import Loss
from xpnet.trace import feature_mean


class LogCosh(Loss):
    """l = (1/n) Σⱼ ln cosh eⱼ,  ∂l/∂z = (1/n) tanh e,  e = z - t."""

    def rows(self, z: Array, t: Array) -> Array:
        """|e| + ln(1 + e^(-2|e|)) - ln 2, of the mean."""
        size = abs(z - t)
        return feature_mean(size + np.log1p(np.exp(-2.0 * size)) - math.log(2.0))

    def gradient(self, z: Array, t: Array) -> Array:
        """(1/n) tanh e."""
        return np.tanh(z - t) * (1.0 / z.shape[-1])
''',
    "optim/signum.py": '''"""Steps of one length."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.optim.optimizer import Optimizer


class Signum(Optimizer):
    """v ← μ v + (1 - μ) g,  p ← p - η sign(v)."""

    slots = ("v",)

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.9, **common: Any):
        super().__init__(learning_rate, **common)
        self.momentum = self._check("momentum", momentum, 1.0)

    def update(self, p: Array, g: Array, *slots: Array, rate: Array, **scalars: Array):
        """The equations above."""
        v = self.momentum * slots[0] + (1.0 - self.momentum) * g
        return p - rate * np.sign(v), v
''',
}
LINES = {
    "layers/kinds.py": "from xpnet.layers.scale import Scale as Scale\n"
    "from xpnet.layers.log_cosh import LogCosh as LogCosh\n",
    "optim/kinds.py": "from xpnet.optim.signum import Signum as Signum\n",
    "tests/cases.py": """
LAYERS["scale"] = lambda i: [xn.Dense(6, "tanh"), xn.Scale(1.0 + i)]
LOSSES["log_cosh"] = (lambda i: "log_cosh", "values")
RULES["signum"] = lambda i: xn.Signum(0.01, momentum=0.1 * i, l2=1e-3)
CASES["scale"] = Case("scale", "log_cosh", "signum")
""",
}
# What goes by the tables, asked of a copy that has the three.
ASKED = """
import sys
import numpy as np
import xpnet as xn
import xpnet.arguments
assert "numpy" in sys.modules
assert {"Scale", "LogCosh", "Signum"} <= {*xn.__all__}, "public names"
assert {"Scale", "LogCosh"} <= {*xn.layers.__all__} and "Signum" in xn.optim.__all__
from xpnet.layers import LAYERS, LOSSES
from xpnet.optim import OPTIMIZERS
assert LAYERS["Scale"] is xn.Scale and LOSSES["log_cosh"] is xn.LogCosh
assert OPTIMIZERS["signum"] is xn.Signum
assert xpnet.arguments.OPTIMIZERS.endswith("lion signum"), "help of the command line"
from xpnet.commands.network import Settings
assert type(Settings(optimizer="signum").rule(9)) is xn.Signum
from xpnet.cli import main
assert main(["train", "xor", "--optimizer", "signum", "--epochs", "2", "--json"]) == 0
from xpnet.sklearn import MLPRegressor
x = np.linspace(-1.0, 1.0, 60).reshape(30, 2)
MLPRegressor(solver="signum", loss="log_cosh", max_iter=400, tol=1.0).fit(x, x[:, 0])
from xpnet.benchmarks.gpu import cases
found = {case.name for table in cases.TABLES.values() for case in table}
assert {"layer Scale", "loss log_cosh", "optimizer signum"} <= found, found
model = xn.Sequential([xn.Dense(4, "tanh"), xn.Scale(2.0), xn.Dense(1)])
errors = xn.check_gradients(model, "log_cosh", x, x[:, :1])
assert max(errors.values()) < 1e-6, errors
print("all there")
"""


def run(folder, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The copy."""
    folder = tmp_path_factory.mktemp("three") / "places"
    left = shutil.ignore_patterns(".*", "__pycache__", "results", "*.npz", "build")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=left)
    for path, text in CLASSES.items():
        (folder / path).write_text(text, encoding="utf-8")
    for path, lines in LINES.items():
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(lines)
    return folder


@pytest.mark.slow
def test_every_name_goes_by_the_list_of_kinds(sources):
    assert run(sources, "-c", ASKED).splitlines()[-1] == "all there"


@pytest.mark.slow
def test_every_way_of_training_takes_them(sources):
    asked = "(test_a_case_gives_the_same and scale) or every_layer_loss_and_rule"
    options = ("-q", "-n", "0", "-p", "no:cacheprovider", "-k", asked)
    out = run(sources, "-m", "pytest", *options, "tests/test_cases.py")
    assert "passed" in out.splitlines()[-1]
    assert "skipped" not in out.splitlines()[-1] or shutil.which("g++") is None
