"""Curvature of a network in PyTorch as it is usually done: double backward, power iteration with deflation, Lanczos in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch


class Problem(NamedTuple):
    params: list[torch.Tensor]
    x: torch.Tensor
    y: torch.Tensor


def problem(params: dict[str, np.ndarray], data: tuple[np.ndarray, np.ndarray]) -> Problem:
    leaves = [torch.tensor(params[name], requires_grad=True) for name in ("w1", "b1", "w2", "b2", "w3")]
    return Problem(leaves, *(torch.tensor(a) for a in data))


def loss(params: Sequence[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    w1, b1, w2, b2, w3 = params
    hidden = torch.tanh(x @ w1 + b1)
    return 0.5 * torch.mean(((torch.tanh(hidden @ w2 + b2) @ w3)[:, 0] - y) ** 2)


class Hessian:
    """Products by a second backward pass through a graph that is built once."""

    def __init__(self, given: Problem):
        self.params = given.params
        self.gradient = torch.autograd.grad(loss(given.params, given.x, given.y), given.params, create_graph=True)

    def __call__(self, v: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(torch.autograd.grad(self.gradient, self.params, grad_outputs=v, retain_graph=True))


def dot(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
    return sum(torch.sum(x * y) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def normalised(v: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    norm = torch.sqrt(dot(v, v)) + 1e-6
    return [x / norm for x in v]


def orthogonal(v: list[torch.Tensor], others: Sequence[list[torch.Tensor]]) -> list[torch.Tensor]:
    for w in others:
        overlap = dot(v, w)
        v = [x - overlap * y for x, y in zip(v, w, strict=True)]
    return v


def top(given: Problem, count: int, iterations: int = 500, tolerance: float = 1e-5) -> list[float]:
    """Power iteration with deflation until the eigenvalue moves by less than ``tolerance``, relative."""
    hessian = Hessian(given)
    values: list[float] = []
    vectors: list[list[torch.Tensor]] = []
    for _ in range(count):
        v = normalised([torch.randn_like(p) for p in given.params])
        value = 0.0
        for _ in range(iterations):
            v = normalised(orthogonal(v, vectors))
            hv = hessian(v)
            before, value = value, float(dot(hv, v))
            v = normalised(hv)
            if before and abs(value - before) / (abs(before) + 1e-6) < tolerance:
                break
        values.append(value)
        vectors.append(v)
    return values


def density(given: Problem, probes: int, depth: int) -> float:
    """Lanczos with full reorthogonalisation from random signs; returns the trace that it gives."""
    hessian = Hessian(given)
    size = sum(p.numel() for p in given.params)
    traces = []
    for _ in range(probes):
        v = normalised([torch.randint_like(p, high=2) * 2.0 - 1.0 for p in given.params])
        basis, diagonal, off = [v], [], []
        w = hessian(v)
        diagonal.append(float(dot(w, v)))
        w = [x - diagonal[-1] * y for x, y in zip(w, v, strict=True)]
        for _ in range(depth - 1):
            w = orthogonal(w, basis)
            off.append(float(torch.sqrt(dot(w, w))))
            v = normalised(w)
            basis.append(v)
            w = hessian(v)
            diagonal.append(float(dot(w, v)))
            w = [x - diagonal[-1] * y - off[-1] * z for x, y, z in zip(w, v, basis[-2], strict=True)]
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
        traces.append(size * float(np.sum(values * vectors[0] ** 2)))
    return float(np.mean(traces))


def chains(given: Problem, count: int, steps: int, lags: Sequence[int]) -> float:
    """Momentum SGD, one chain after the other, with |theta_k - theta_0|^2 and the step length; returns the last displacement."""
    wanted = set(lags)
    last = []
    for _ in range(count):
        params = [p.detach().clone().requires_grad_() for p in given.params]
        start = [p.detach().clone() for p in params]
        optimiser = torch.optim.SGD(params, lr=0.05, momentum=0.9)
        moved: dict[int, float] = {}
        strides = torch.zeros(())
        for step in range(1, steps + 1):
            chosen = torch.randint(len(given.x), (32,))
            before = [p.detach().clone() for p in params]
            optimiser.zero_grad()
            loss(params, given.x[chosen], given.y[chosen]).backward()
            optimiser.step()
            strides += sum(torch.sum((p.detach() - b) ** 2) for p, b in zip(params, before, strict=True))
            if step in wanted:
                moved[step] = float(sum(torch.sum((p.detach() - s) ** 2) for p, s in zip(params, start, strict=True)))
        last.append(moved[steps])
    return float(np.mean(last))
