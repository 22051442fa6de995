"""JAX trains a network: each step under one jit, its buffers donated."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xpnet.benchmarks.tasks import Data, Learner, Task

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
tree = jax.tree_util


def initial(task: Task, rng: np.random.Generator) -> tuple[Any, ...]:
    """(parameters, m, v, t)."""
    gain = 1 if task.activation == "tanh" else 2
    params = [
        (
            jnp.asarray(rng.standard_normal((n, m)) * np.sqrt(gain / n), jnp.float32),
            jnp.zeros(m),
        )
        for n, m in zip(task.sizes, task.sizes[1:], strict=False)
    ]
    zeros = [tree.tree_map(jnp.zeros_like, params) for _ in range(2)]
    return params, *zeros, jnp.zeros(())


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of a jitted step."""
    rng = np.random.default_rng(seed)
    activation: Any = jnp.tanh if task.activation == "tanh" else jax.nn.relu

    def forward(params: Any, x: Any) -> Any:
        (W1, b1), (W2, b2) = params
        return activation(x @ W1 + b1) @ W2 + b2

    def objective(params: Any, x: Any, y: Any) -> Any:
        z = forward(params, x)
        picked = jnp.take_along_axis(z, y[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(z, axis=1) - picked).mean()

    def update(state: Any, x: Any, y: Any) -> Any:
        params, m, v, t = state
        g = jax.grad(objective)(params, x, y)
        t = t + 1
        m = tree.tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = tree.tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        root = jnp.sqrt(1 - BETA2**t)
        rate = task.rate * root / (1 - BETA1**t)
        params = tree.tree_map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPS * root), params, m, v
        )
        return params, m, v, t

    step, state = jax.jit(update, donate_argnums=0), [initial(task, rng)]
    classify = jax.jit(lambda params, x: forward(params, x).argmax(axis=1))

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            order = rng.permutation(len(data.x))
            for at in range(0, len(order), task.batch):
                rows = order[at : at + task.batch]
                state[0] = step(state[0], data.x[rows], data.y[rows])
        state[0][3].block_until_ready()

    return fit, lambda x: np.asarray(classify(state[0][0], x))
