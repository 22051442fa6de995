"""The ways to take a step on a GPU; each module has `prepare(case, way) -> Subject`.

Each rival runs in its own process, in strict float32, on the same batch and from the
same weights. `RIVALS` gives its module and its way.
"""

RIVALS = {
    "xpnet, K steps a graph": ("xpnet_", "ksteps"),
    "xpnet, a graph a step": ("xpnet_", "graph"),
    "xpnet, own kernels": ("xpnet_", "kernels"),
    "xpnet, CuPy's calls": ("xpnet_", "calls"),
    "PyTorch, CUDA graph": ("torch_", "graph"),
    "PyTorch, compiled": ("torch_", "compiled"),
    "PyTorch, eager": ("torch_", "eager"),
    "JAX, K steps a scan": ("jax_", "scan"),
    "JAX, jit": ("jax_", "jit"),
}
