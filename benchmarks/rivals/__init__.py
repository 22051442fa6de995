"""The rivals: a module each with `prepare(case) -> (step, loss)`.

`step()` does one update on the case's batch; `loss()` gives the mean loss of that batch
at the weights of now. Each runs in a process of its own.
"""

RIVALS = {
    "xpnet": "xpnet",
    "products": "the matrix products alone",
    "numpy": "hand-written NumPy",
    "torch": "PyTorch, eager",
    "torch_compiled": "PyTorch, compiled",
    "jax": "JAX, jit",
    "sklearn": "scikit-learn",
    "thinc": "thinc",
}
