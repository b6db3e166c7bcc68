"""Gradient descent on the logistic loss as one writes it in PyTorch: autograd, ``torch.optim.SGD``, a loop over replicas."""

from __future__ import annotations

import numpy as np
import torch


def train(x: np.ndarray, y: np.ndarray, starts: np.ndarray, lr: float, ridge: float, fraction: float, steps: int) -> np.ndarray:
    """Weights (replica, d) after ``steps`` steps of (S)GD; float32, i.i.d. batches of the given fraction."""
    data, labels = torch.from_numpy(x), torch.from_numpy(y)
    d = x.shape[1]
    final = np.empty_like(starts)
    for replica, start in enumerate(starts):
        w = torch.from_numpy(start.copy()).requires_grad_()
        optimiser = torch.optim.SGD([w], lr=lr, weight_decay=ridge)
        for _ in range(steps):
            optimiser.zero_grad()
            losses = torch.nn.functional.softplus(-labels * (data @ w) / d**0.5)
            if fraction < 1:
                losses = losses * (torch.rand(len(labels)) < fraction)
            losses.sum().backward()
            optimiser.step()
        final[replica] = w.detach().numpy()
    return final
