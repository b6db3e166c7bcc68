"""Gradient descent on the logistic loss as one writes it in NumPy: a loop over replicas around a loop over steps."""

from __future__ import annotations

import numpy as np


def train(x: np.ndarray, y: np.ndarray, starts: np.ndarray, lr: float, ridge: float, fraction: float, steps: int) -> np.ndarray:
    """Weights (replica, d) after ``steps`` steps of (S)GD; float32 throughout, i.i.d. batches of the given fraction."""
    n, d = x.shape
    scale = np.float32(1 / np.sqrt(d))
    rng = np.random.default_rng(0)
    final = np.empty_like(starts)
    for replica, start in enumerate(starts):
        w = start.copy()
        for _ in range(steps):
            gap = y * (x @ w) * scale
            slope = -y / (1 + np.exp(gap))
            if fraction < 1:
                slope = slope * (rng.random(n, dtype=np.float32) < fraction)
            w = w - np.float32(lr) * (np.float32(ridge) * w + (slope @ x) * scale)
        final[replica] = w
    return final
