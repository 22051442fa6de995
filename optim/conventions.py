"""Where the update rules differ between xpnet, PyTorch, Keras and optax.

One row a rule of the table. As of PyTorch 2.13, Keras 3 and optax 0.2, read in their
sources. "Inside" is √(v + eps), "outside" √v + eps; "coupled" decay joins the gradient,
"decoupled" shrinks the parameter beside the rule.
"""

from dataclasses import dataclass

COUPLED = "coupled"
DECOUPLED = "decoupled, times η"
CHAIN = "by add_decayed_weights: coupled before the rule, decoupled after it"


@dataclass(frozen=True)
class Convention:
    """How one library writes a rule.

    Attributes:
        library: "xpnet", "PyTorch", "Keras" or "optax".
        name: the rule's name there; empty where there is none.
        rate: the default learning rate; empty where it must be given.
        eps: its default, and where it stands.
        correction: of the running means for their start at 0.
        momentum: its form.
        decay: what `weight_decay` means.
        other: what else is different.
    """

    library: str
    name: str = ""
    rate: str = ""
    eps: str = ""
    correction: str = ""
    momentum: str = ""
    decay: str = ""
    other: str = ""


Row = tuple[Convention, ...]


def _own(name: str, rate: str, **rest: str) -> Convention:
    rest = {"decay": "l2 coupled; weight_decay decoupled, times η", **rest}
    return Convention("xpnet", name, rate, **rest)


def _torch(name: str, rate: str, decay: str = COUPLED, **rest: str) -> Convention:
    return Convention("PyTorch", f"torch.optim.{name}", rate, decay=decay, **rest)


def _keras(name: str, rate: str, **rest: str) -> Convention:
    rest = {"decay": DECOUPLED, **rest}
    return Convention("Keras", f"keras.optimizers.{name}", rate, **rest)


def _optax(name: str, **rest: str) -> Convention:
    rest = {"decay": CHAIN, **rest}
    return Convention("optax", f"optax.{name}", **rest)


BOTH = "m and v"
TORCH_ADAM = {"eps": "1e-08, outside, after the correction", "correction": BOTH}
KERAS_ADAM = {"eps": "1e-07, outside, before the correction", "correction": BOTH}
OPTAX_ADAM = {
    "eps": "1e-08, outside, after the correction; eps_root = 0 inside",
    "correction": BOTH,
}

CONVENTIONS: dict[str, Row] = {
    "sgd": (
        _own("SGD", "0.01", momentum="v ← μ v + g, p ← p - η v"),
        _torch(
            "SGD",
            "0.001",
            momentum="v ← μ v + (1 - dampening) g, p ← p - η v",
            other="dampening = 0",
        ),
        _keras("SGD", "0.01", momentum="v ← μ v - η g, p ← p + v"),
        _optax("sgd", momentum="v ← μ v + g, p ← p - η v"),
    ),
    "adagrad": (
        _own(
            "Adagrad",
            "0.01",
            eps="1e-10, outside",
            correction="none",
            other="s starts at 0",
        ),
        _torch(
            "Adagrad",
            "0.01",
            eps="1e-10, outside",
            correction="none",
            other="s starts at 0; η / (1 + (t - 1) lr_decay), lr_decay = 0",
        ),
        _keras(
            "Adagrad",
            "0.001",
            eps="1e-07, inside",
            correction="none",
            other="s starts at 0.1",
        ),
        _optax(
            "adagrad",
            eps="1e-07, inside",
            correction="none",
            other="s starts at 0.1; no step where s = 0",
        ),
    ),
    "adadelta": (
        _own("Adadelta", "1", eps="1e-06, inside both roots", correction="none"),
        _torch("Adadelta", "1", eps="1e-06, inside both roots", correction="none"),
        _keras(
            "Adadelta",
            "0.001",
            eps="1e-07, inside both roots",
            correction="none",
            other="ρ = 0.95",
        ),
        _optax(
            "adadelta",
            eps="1e-06, inside both roots",
            correction="none",
            decay=COUPLED,
        ),
    ),
    "rmsprop": (
        _own(
            "RMSprop",
            "0.01",
            eps="1e-08, outside",
            correction="none",
            momentum="b ← μ b + d, p ← p - η b",
            other="ρ = 0.99; v - m² is kept from falling below 0",
        ),
        _torch(
            "RMSprop",
            "0.01",
            eps="1e-08, outside",
            correction="none",
            momentum="b ← μ b + d, p ← p - η b",
            other="ρ is alpha = 0.99",
        ),
        _keras(
            "RMSprop",
            "0.001",
            eps="1e-07, inside",
            correction="none",
            momentum="b ← μ b + η d, p ← p - b",
            other="ρ = 0.9",
        ),
        _optax(
            "rmsprop",
            eps="1e-08, inside; outside with eps_in_sqrt=False",
            correction="none; v (and m) with bias_correction=True",
            momentum="b ← μ b + η d, p ← p - b; Nesterov's with nesterov=True",
            other="ρ is decay = 0.9",
        ),
    ),
    "adam": (
        _own("Adam", "0.001", **TORCH_ADAM),
        _torch("Adam", "0.001", **TORCH_ADAM),
        _keras("Adam", "0.001", **KERAS_ADAM),
        _optax("adam", **OPTAX_ADAM),
    ),
    "amsgrad": (
        _own(
            "AMSGrad",
            "0.001",
            eps=TORCH_ADAM["eps"],
            correction="m, and v after the maximum",
        ),
        _torch(
            "Adam(amsgrad=True)",
            "0.001",
            eps=TORCH_ADAM["eps"],
            correction="m, and v after the maximum",
        ),
        _keras(
            "Adam(amsgrad=True)",
            "0.001",
            eps=KERAS_ADAM["eps"],
            correction="m, and v after the maximum",
        ),
        _optax(
            "amsgrad",
            eps=OPTAX_ADAM["eps"],
            correction="m, and v before the maximum",
        ),
    ),
    "adamw": (
        _own("AdamW", "0.001", decay=f"{DECOUPLED}, 0.01", **TORCH_ADAM),
        _torch("AdamW", "0.001", f"{DECOUPLED}, 0.01", **TORCH_ADAM),
        _keras("AdamW", "0.001", decay=f"{DECOUPLED}, 0.004", **KERAS_ADAM),
        _optax("adamw", decay=f"{DECOUPLED}, 0.0001", **OPTAX_ADAM),
    ),
    "adamax": (
        _own("Adamax", "0.002", eps="1e-08, max(β₂ u, |g| + eps)", correction="m"),
        _torch("Adamax", "0.002", eps="1e-08, max(β₂ u, |g| + eps)", correction="m"),
        _keras("Adamax", "0.001", eps="1e-07, m̂ / (u + eps)", correction="m"),
        _optax("adamax", eps="1e-08, max(β₂ u, |g| + eps)", correction="m"),
    ),
    "nadam": (
        _own(
            "Nadam",
            "0.002",
            eps=TORCH_ADAM["eps"],
            correction="m by Π μₜ, v by 1 - β₂ᵗ",
            momentum="μₜ = β₁ (1 - ½ 0.96^(t ψ)), ψ = 0.004",
        ),
        _torch(
            "NAdam",
            "0.002",
            f"{COUPLED}; decoupled with decoupled_weight_decay=True",
            eps=TORCH_ADAM["eps"],
            correction="m by Π μₜ, v by 1 - β₂ᵗ",
            momentum="μₜ = β₁ (1 - ½ 0.96^(t ψ)), ψ = 0.004",
        ),
        _keras(
            "Nadam",
            "0.001",
            eps="1e-07, outside, after the correction",
            correction="m by Π μₜ, v by 1 - β₂ᵗ",
            momentum="μₜ = β₁ (1 - ½ 0.96^t)",
        ),
        _optax(
            "nadam",
            eps=OPTAX_ADAM["eps"],
            correction="m by 1 - β₁ᵗ⁺¹, g by 1 - β₁ᵗ, v by 1 - β₂ᵗ",
            momentum="μₜ = β₁",
        ),
    ),
    "radam": (
        _own(
            "RAdam",
            "0.001",
            eps="1e-08, outside, before the correction",
            correction=BOTH,
            other="adaptive from ρₜ > 5",
        ),
        _torch(
            "RAdam",
            "0.001",
            f"{COUPLED}; decoupled with decoupled_weight_decay=True",
            eps="1e-08, outside, before the correction",
            correction=BOTH,
            other="adaptive from ρₜ > 5",
        ),
        Convention("Keras"),
        _optax("radam", **OPTAX_ADAM, other="adaptive from ρₜ ≥ 5"),
    ),
    "lion": (
        _own("Lion", "0.0001", correction="none"),
        Convention("PyTorch"),
        _keras("Lion", "0.001", correction="none"),
        _optax("lion", correction="none", decay=f"{DECOUPLED}, 0.001"),
    ),
}
