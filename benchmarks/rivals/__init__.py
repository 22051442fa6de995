"""The rivals: a module each with `prepare(case) -> (step, loss)`.

`step()` does one update on the case's batch; `loss()` gives the mean loss of that batch
at the weights of now; a third function may say what state the rival is in. Each runs in
a process of its own. The modules `train_...` train a whole network instead: `learner`
gives `fit(epochs)` and `predict(x)` for a `Task`.
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
