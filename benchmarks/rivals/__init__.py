"""The rivals, a module per library, which the rival's own process imports.

`prepare(case)` returns (step, loss): `step()` does one update on the case's batch,
`loss()` returns the mean loss of that batch at the present weights. A third function
may describe the state of the rival. `learner(task, data, seed)` trains a whole network:
it returns `fit(epochs)` and `predict(x)`. The modules `select_...` search the grid of a
`Study`.
"""

RIVALS = {
    "xpnet": "xpnet",
    "xpnet_nojit": "xpnet, no jit",
    "products": "the matrix products alone",
    "numpy": "hand-written NumPy",
    "torch": "PyTorch, eager",
    "torch_compiled": "PyTorch, compiled",
    "jax": "JAX, jit",
    "sklearn": "scikit-learn",
    "thinc": "thinc",
}
# Those whose step is not that of `prepare` in a module of their own name.
STEPS = {
    "xpnet_nojit": ("xpnet_", "prepare_without_jit"),
    "products": ("numpy_", "prepare_products"),
    "torch_compiled": ("torch_", "prepare_compiled"),
}
TRAINERS = ("xpnet", "numpy", "torch", "jax", "sklearn")
