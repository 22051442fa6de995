"""JAX: the whole step under one jit, its buffers donated."""

import math
from collections.abc import Callable
from typing import Any

from xpnet.benchmarks.cases import Case

PACKAGES = ("jax", "jaxlib")
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def parts(case: Case) -> tuple[Any, ...]:
    """(update, initial state, x, y, loss of a state), not yet compiled.

    update(state, x, y) returns (new state, loss).
    """
    import jax
    import jax.numpy as jnp

    tree = jax.tree_util
    x, y = map(jnp.asarray, case.data())

    def objective(params: Any, x: Any, y: Any) -> Any:
        for i, (W, b) in enumerate(params):
            x = x @ W + b
            if i < len(params) - 1:
                x = jnp.maximum(x, 0)
        picked = jnp.take_along_axis(x, y[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(x, axis=1) - picked).mean()

    def sgd(state: Any, g: Any) -> Any:
        params, *rest = state
        return tree.tree_map(lambda p, g: p - case.rate * g, params, g), *rest

    def adam(state: Any, g: Any) -> Any:
        params, m, v, t = state
        m = tree.tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = tree.tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        # 1 - β^t in float32 would be off by 1e-5 in the first steps.
        root = jnp.sqrt(-jnp.expm1((t + 1) * math.log(BETA2)))
        rate = case.rate * root / -jnp.expm1((t + 1) * math.log(BETA1))
        new = tree.tree_map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPS * root), params, m, v
        )
        return new, m, v, t + 1

    rule = sgd if case.optimizer == "sgd" else adam

    def update(state: Any, x: Any, y: Any) -> Any:
        value, g = jax.value_and_grad(objective)(state[0], x, y)
        return rule(state, g), value

    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in case.weights()]
    zeros = [tree.tree_map(jnp.zeros_like, params) for _ in range(2)]
    state = (params, *zeros, jnp.zeros(())) if rule is adam else (params,)
    return update, state, x, y, lambda state: float(objective(state[0], x, y))


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """value_and_grad of the loss, and the update, in one compiled function."""
    import jax

    update, state, x, y, loss = parts(case)
    compiled = jax.jit(update, donate_argnums=0)
    holder = [state]

    def step() -> None:
        holder[0], value = compiled(holder[0], x, y)
        value.block_until_ready()

    return step, lambda: loss(holder[0])
