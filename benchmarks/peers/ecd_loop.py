"""Born-Infeld dynamics with bounces as one writes it in PyTorch: autograd, a loop over steps, one run at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch


def ackley(x: torch.Tensor) -> torch.Tensor:
    waves = torch.exp(torch.mean(torch.cos(2 * math.pi * x)))
    return -20 * torch.exp(-0.02 * torch.sqrt(torch.mean(x**2))) - waves + 20 + math.e


def zakharov(x: torch.Tensor) -> torch.Tensor:
    b = torch.sum(torch.arange(1, len(x) + 1, dtype=x.dtype) * x) / 2
    return torch.sum(x**2) + b**2 + b**4


def run(
    function: Callable[[torch.Tensor], torch.Tensor],
    start: np.ndarray,
    steps: int,
    dt: float,
    offset: float,
    extra_energy: float = 0.0,
    fixed_interval: int | None = None,
    fixed_bounces: int = 0,
    progress_interval: int | None = None,
) -> float:
    """The lowest loss of one run of ``steps`` steps, float64."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    momentum = torch.zeros_like(x)
    energy, lowest, best = 0.0, math.inf, math.inf
    since_fixed, since_progress, bounced = 0, 0, 0
    for step in range(steps):
        loss = function(x)
        (gradient,) = torch.autograd.grad(loss, x)
        potential = loss.item() - offset
        best = min(best, loss.item())
        if step == 0:
            energy = potential + extra_energy
            momentum = -gradient / gradient.norm() * math.sqrt(max(energy**2 / potential - potential, 0.0))
        if potential <= 1e-40:
            continue
        if since_fixed == fixed_interval or since_progress == progress_interval:
            direction = torch.randn_like(momentum)
            momentum = direction * (momentum.norm() / direction.norm())
            if since_fixed == fixed_interval:
                bounced += 1
                since_fixed = 0 if bounced < fixed_bounces else fixed_interval + 1
            since_progress = 0
            continue
        square, shell = torch.sum(momentum**2).item(), energy * (energy / potential) - potential
        if abs(square - shell) >= 1e-10 and shell >= 0 and square > 0:
            momentum = momentum * math.sqrt(shell / square)
        momentum = momentum - dt / 2 * (potential / energy + energy / potential) * gradient
        with torch.no_grad():
            x += dt * (potential / energy) * momentum
        since_fixed, since_progress = since_fixed + 1, since_progress + 1
        if potential < lowest:
            lowest, since_progress = potential, 0
    return best
