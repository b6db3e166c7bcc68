"""The DMFT of SGD solved the usual way: guess the kernels, simulate, re-estimate, damp, repeat.

The equations and the estimators are those of the library's sampled solver (two balanced clusters, logistic loss, i.i.d.
batches), written in NumPy with float32 trajectories and float64 kernels. Random numbers are common to all iterations, so that
the iteration converges to a fixed point whose distance from the exact answer is the Monte-Carlo error of ``samples``
trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Two balanced clusters, logistic loss, SGD with i.i.d. batches."""

    alpha: float = 2.0
    noise: float = 0.5
    ridge: float = 0.1
    lr: float = 0.2
    fraction: float = 0.3
    variance: float = 0.1


@dataclass
class Draws:
    """Random numbers shared by all iterations: labels, latents, start, batches, noise, probes."""

    c: np.ndarray
    zeta: np.ndarray
    start: np.ndarray
    selected: np.ndarray
    noise: np.ndarray
    probes: np.ndarray


def draw(problem: Problem, steps: int, samples: int, seed: int) -> Draws:
    rng = np.random.default_rng(seed)
    c = np.where(rng.random(samples) < 0.5, 1.0, -1.0).astype(np.float32)
    h0 = rng.standard_normal(samples, dtype=np.float32)
    return Draws(
        c=c,
        zeta=c + np.float32(problem.noise**0.5) * h0,
        start=rng.standard_normal(samples, dtype=np.float32),
        selected=(rng.random((steps, samples), dtype=np.float32) < problem.fraction),
        noise=rng.standard_normal((steps, samples), dtype=np.float32),
        probes=np.where(rng.random((steps, samples), dtype=np.float32) < 0.5, -1, 1).astype(np.float32),
    )


def order_parameters(problem: Problem, mu: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """m(t) and R(t, s) from the kernels mu(t) and Gamma(t, s)."""
    steps = len(mu)
    keep, lr, noise = 1 - problem.lr * problem.ridge, problem.lr, problem.noise
    m, response = np.zeros(steps + 1), np.zeros((steps + 1, steps))
    for t in range(steps):
        m[t + 1] = keep * m[t] - lr * mu[t]
        response[t + 1] = keep * response[t] - lr * noise * gamma[t, : t + 1] @ response[: t + 1]
        response[t + 1, t] += 1
    return m, response


def one_pass(problem: Problem, draws: Draws, mu: np.ndarray, gamma: np.ndarray, kernel: np.ndarray):
    """Simulate all trajectories in given kernels; return new estimates of (mu, Gamma, M) and of (m, C(T, T))."""
    steps, samples = draws.probes.shape
    p = problem
    m, response = order_parameters(p, mu, gamma)
    values, vectors = np.linalg.eigh(kernel)
    # the symmetric root is a continuous function of the kernel, as convergence with common random numbers needs
    g = ((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T).astype(np.float32) @ draws.noise
    omega = np.zeros((steps + 1, samples), np.float32)
    omega[0] = p.variance**0.5 * draws.start
    f, tangent = np.zeros((steps, samples), np.float32), np.zeros((steps, samples), np.float32)
    new_mu, new_gamma = np.zeros(steps), np.zeros((steps, steps))
    root = np.float32(p.noise**0.5)
    for t in range(steps):
        row = (p.lr * response[t, :t]).astype(np.float32)
        r = np.float32(m[t]) * draws.zeta + root * (omega[t] - root * (row @ f[:t]))
        sigma = 1 / (1 + np.exp(draws.c * r))
        f[t] = -(draws.selected[t] * draws.c) * sigma
        curvature = draws.selected[t] * sigma * (1 - sigma)
        shift = -np.float32(p.noise) * (row @ tangent[:t])
        tangent[t] = curvature * (shift + draws.probes[t])
        new_mu[t] = p.alpha * np.mean(f[t] * draws.zeta)
        new_gamma[t, :t] = p.alpha * (draws.probes[:t] @ (curvature * shift)) / samples
        new_gamma[t, t] = p.alpha * np.mean(curvature)
        memory = gamma[t, : t + 1].astype(np.float32) @ omega[: t + 1]
        force = root * g[t] + np.float32(p.noise) * memory
        omega[t + 1] = np.float32(1 - p.lr * p.ridge) * omega[t] - np.float32(p.lr) * force
    new_kernel = p.alpha * (f @ f.T).astype(float) / samples
    return new_mu, new_gamma, new_kernel, m, float(np.mean(omega[-1] ** 2) + m[-1] ** 2)


def solve(problem: Problem, steps: int, samples: int, seed: int, damping=0.6, tolerance=1e-3, most=200):
    """(m(T), C(T, T), iterations), iterated until kernels change by less than ``tolerance``, below the Monte-Carlo error."""
    draws = draw(problem, steps, samples, seed)
    mu, gamma, kernel = np.zeros(steps), np.zeros((steps, steps)), np.zeros((steps, steps))
    for iteration in range(1, most + 1):
        new_mu, new_gamma, new_kernel, m, norm = one_pass(problem, draws, mu, gamma, kernel)
        change = max(
            np.abs(new_mu - mu).max() / np.abs(new_mu).max(),
            np.abs(new_kernel - kernel).max() / np.abs(new_kernel).max(),
            np.abs(new_gamma - gamma).max() / np.abs(new_gamma).max(),
        )
        mu = damping * new_mu + (1 - damping) * mu
        gamma = damping * new_gamma + (1 - damping) * gamma
        kernel = damping * new_kernel + (1 - damping) * kernel
        if change < tolerance:
            return m[-1], norm, iteration
    raise ArithmeticError(f"the damped iteration did not converge: relative change {change:.2g} after {most} iterations")
