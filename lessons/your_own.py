"""A layer, an activation and a learning rate of your own.

A layer is a class with a forward and a backward equation; an activation is a function
of z. They need no registration. `check_gradients` compares their gradients with finite
differences before the training.

    python lessons/your_own.py
"""

import numpy as np

import xpnet as xn


class Scale(xn.Layer):
    """a = s ⊙ x with one gain s a feature: ∂J/∂s = Σ_batch x ⊙ grad, grad = ∂J/∂a."""

    def build(self, shape):
        self.declare("s", (1, shape[-1]), "ones")
        return shape

    def forward(self, x, training):
        self.x = x
        return x * self.s

    def backward(self, grad):
        self.ds[...] = (self.x * grad).sum(axis=-2, keepdims=True)
        return grad * self.s


def softsign(z):
    """z / (1 + |z|); its derivative is derived from this line."""
    return z / (1.0 + abs(z))


def triangle(step):
    """A learning rate that rises for 300 steps and falls for 600."""
    return 1e-4 + 4e-3 * max(0.0, min(step / 300, (900 - step) / 600))


def main():
    """Check the gradients, then train."""
    x, y = xn.datasets.digits()
    model = xn.Sequential([Scale(), xn.Dense(64, activation=softsign), xn.Dense(10)])
    errors = xn.check_gradients(model, "softmax_cross_entropy", x[:20] / 16, y[:20])
    print("relative error of each gradient:")
    for name, error in errors.items():
        print(f"  {name:5} {error:.1e}")
    train, test = xn.split(x / np.float32(16), y, (0.8, 0.2), stratify=True)
    trainer = xn.Trainer(model, "softmax_cross_entropy", xn.Adam(triangle))
    trainer.fit(*train, epochs=20, batch_size=32)
    print(f"test accuracy: {trainer.evaluate(*test)['accuracy']:.2%}")
    return errors


if __name__ == "__main__":
    main()
