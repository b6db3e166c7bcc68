"""Importance sampling along a flow as one writes it in PyTorch: batches of points, loops over Runge-Kutta steps, autograd."""

from __future__ import annotations

import math

import numpy as np
import torch

Field = dict[str, torch.Tensor]


def field(parameters: dict[str, np.ndarray]) -> Field:
    """The gradient field's parameters, to be trained; float64."""
    return {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in parameters.items()}


def motion(given: Field, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """b(x) and div b(x), with the closed form of the divergence."""
    s = torch.sigmoid(x @ given["w1"].T + given["b1"])
    hidden = given["w2"] * s
    return hidden @ given["w1"], (hidden * (1 - s)) @ torch.sum(given["w1"] ** 2, dim=1)


def orbit(given: Field, x: torch.Tensor, h: float, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (step, n, d) and ln J (step, n), the start first."""
    log_jacobian = torch.zeros(len(x), dtype=x.dtype)
    points, logs = [x], [log_jacobian]
    for _ in range(steps):
        b1, d1 = motion(given, x)
        b2, d2 = motion(given, x + h / 2 * b1)
        b3, d3 = motion(given, x + h / 2 * b2)
        b4, d4 = motion(given, x + h * b3)
        x = x + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
        log_jacobian = log_jacobian + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        points.append(x)
        logs.append(log_jacobian)
    return torch.stack(points), torch.stack(logs)


def log_two_modes(x: torch.Tensor) -> torch.Tensor:
    """ln of the density of the first example, without its constant."""
    centres = torch.tensor([[5.0, 0.0], [0.0, -5.0]], dtype=x.dtype)
    squares = torch.sum((x[..., None, :] - centres) ** 2, dim=-1)
    return torch.logsumexp(torch.tensor([0.2, 0.8], dtype=x.dtype).log() - squares / 0.2, dim=-1)


def log_integral(logs: torch.Tensor, h: float) -> torch.Tensor:
    """ln of the cumulative trapezoidal integral of exp(logs) from the first node on, without the first."""
    return torch.logcumsumexp(torch.logaddexp(logs[:-1], logs[1:]) + math.log(h / 2), dim=0)


def log_weights(given: Field, x: torch.Tensor, steps: int) -> torch.Tensor:
    """ln A (n,) over the window [0, 1], ``steps`` Runge-Kutta steps each way."""
    h = 1 / steps
    forward, ahead = orbit(given, x, h, steps)
    backward, behind = orbit(given, x, -h, steps)
    f0_forward = -torch.sum(forward**2, dim=-1) / 2 + ahead
    f0_backward = -torch.sum(backward**2, dim=-1) / 2 + behind
    f1 = log_two_modes(forward) + ahead
    later, earlier = log_integral(f0_forward, h), log_integral(f0_backward, h)
    # B at time j: j steps forward of the base point and N - j backward
    whole = torch.cat([earlier[-1:], torch.logaddexp(later[:-1], earlier[:-1].flip(0)), later[-1:]])
    rule = torch.full((steps + 1, 1), h, dtype=x.dtype)
    rule[0], rule[-1] = h / 2, h / 2
    return torch.logsumexp(f1 - whole + rule.log(), dim=0)


def train(parameters: dict[str, np.ndarray], steps: int, samples: int, lr: float, ratio: float, nodes: int) -> Field:
    """Normalised-gradient descent on ln mean A^2, fresh points every step."""
    given = field(parameters)
    for i in range(steps):
        x = torch.randn(samples, 2, dtype=torch.float64)
        objective = torch.logsumexp(2 * log_weights(given, x, nodes), dim=0) - math.log(samples)
        gradients = torch.autograd.grad(objective, list(given.values()))
        length = torch.sqrt(sum(torch.sum(g**2) for g in gradients))
        rate = lr / (1 + (1 / ratio - 1) / steps * i)
        with torch.no_grad():
            for parameter, gradient in zip(given.values(), gradients, strict=True):
                parameter -= rate * gradient / length
    return given
