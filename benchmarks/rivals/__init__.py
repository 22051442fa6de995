"""The rivals; each is a module with `prepare(case) -> (step, loss)`.

`step()` does one update on the case's batch; `loss()` returns the mean loss of that
batch at the present weights; a third function may describe the state of the rival. Each
rival runs in its own process. The modules `train_...` train a whole network: `learner`
returns `fit(epochs)` and `predict(x)` for a `Task`. The modules `select_...` search the
grid of a `Study`.
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
TRAINERS = ("xpnet", "numpy", "torch", "jax", "sklearn")
