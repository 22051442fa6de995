"""xpnet without compilation: its steps are NumPy calls."""

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.rivals.xpnet_ import Prepared
from xpnet.benchmarks.rivals.xpnet_ import prepare as prepare_xpnet

PACKAGES = ("numpy",)


def prepare(case: Case) -> Prepared:
    """As `xpnet_`, with jit=False."""
    return prepare_xpnet(case, jit=False)
