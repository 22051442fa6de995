"""JAX: the whole step under one jit, its buffers donated."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xpnet.benchmarks.cases import Array, Case, Data, Learner, Task

PACKAGES = ("jax", "jaxlib")
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
tree = jax.tree_util


class Net:
    """Functions of a network, not yet compiled, and its initial state.

    Args:
        weights: (W, b) per layer.
        rate: the learning rate.
        optimizer: "sgd" or "adam".
        activation: of the hidden layers.

    Attributes:
        state: (parameters, m, v, t) for Adam, (parameters,) for SGD.
    """

    def __init__(
        self,
        weights: Sequence[tuple[Array, Array]],
        rate: float,
        optimizer: str = "adam",
        activation: Callable[[Any], Any] = jax.nn.relu,
    ) -> None:
        self.rate, self.activation = rate, activation
        params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in weights]
        zeros = [tree.tree_map(jnp.zeros_like, params) for _ in range(2)]
        adam = optimizer == "adam"
        self.state: Any = (params, *zeros, jnp.zeros(())) if adam else (params,)
        self.rule = self.adam if adam else self.sgd

    def forward(self, params: Any, x: Any) -> Any:
        """The logits."""
        for W, b in params[:-1]:
            x = self.activation(x @ W + b)
        W, b = params[-1]
        return x @ W + b

    def loss(self, params: Any, x: Any, y: Any) -> Any:
        """The mean cross-entropy."""
        z = self.forward(params, x)
        picked = jnp.take_along_axis(z, y[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(z, axis=1) - picked).mean()

    def sgd(self, state: Any, g: Any) -> Any:
        """One step of gradient descent."""
        return (tree.tree_map(lambda p, g: p - self.rate * g, state[0], g),)

    def adam(self, state: Any, g: Any) -> Any:
        """Adam's update, with its corrections in two numbers."""
        params, m, v, t = state
        m = tree.tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = tree.tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        # 1 - β^t in float32 would be off by 1e-5 in the first steps.
        root = jnp.sqrt(-jnp.expm1((t + 1) * math.log(BETA2)))
        rate = self.rate * root / -jnp.expm1((t + 1) * math.log(BETA1))
        new = tree.tree_map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPS * root), params, m, v
        )
        return new, m, v, t + 1

    def update(self, state: Any, x: Any, y: Any) -> Any:
        """(the next state, the loss before)."""
        value, g = jax.value_and_grad(self.loss)(state[0], x, y)
        return self.rule(state, g), value


def parts(case: Case) -> tuple[Any, ...]:
    """(update, initial state, x, y, loss of a state), not yet compiled.

    update(state, x, y) returns (new state, loss).
    """
    net = Net(case.weights(), case.rate, case.optimizer)
    x, y = map(jnp.asarray, case.data())
    return net.update, net.state, x, y, lambda s: float(net.loss(s[0], x, y))


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """value_and_grad of the loss, and the update, in one compiled function."""
    update, state, x, y, loss = parts(case)
    compiled = jax.jit(update, donate_argnums=0)
    holder = [state]

    def step() -> None:
        holder[0], value = compiled(holder[0], x, y)
        value.block_until_ready()

    return step, lambda: loss(holder[0])


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of a jitted step."""
    rng = np.random.default_rng(seed)
    activation = jnp.tanh if task.activation == "tanh" else jax.nn.relu
    net = Net(task.weights(rng), task.rate, activation=activation)
    step, state = jax.jit(net.update, donate_argnums=0), [net.state]
    classify = jax.jit(lambda params, x: net.forward(params, x).argmax(axis=1))

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            for x, y in data.batches(task.batch, rng):
                state[0], _ = step(state[0], x, y)
        jax.block_until_ready(state[0])

    return fit, lambda x: np.asarray(classify(state[0][0], x))
