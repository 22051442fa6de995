"""How to install what xpnet's extras bring.

The packages themselves are named, not xpnet's extra: that is right wherever xpnet came
from, a checkout, a wheel or a package index.
"""

NEEDS = {  # as in pyproject.toml
    "cuda12": "cupy-cuda12x[ctk]>=14.2,<15",
    "cuda13": "cupy-cuda13x[ctk]>=14.2,<15",
    "jit": "ziglang>=0.13",
    "sklearn": "scikit-learn>=1.6",
    "plot": "matplotlib>=3.9",
}


def install(extra: str) -> str:
    """The command that installs what an extra brings."""
    return f"pip install '{NEEDS[extra]}'"
