"""What linear theory predicts from the measured Hessian and noise, through quadratures and without a matrix.

With f_k(rho) the mean squared displacement of a mode of curvature rho for unit noise, the network moves by sum_l q_l f_k(rho_l) =
tr(Sigma f_k(H)). Lanczos of H from a random vector u of covariance Sigma gives nodes and weights with sum_j w_j f(rho_j) =
u.f(H) u, whose mean is that trace: the whole spectrum is in it, bulk included. The drift is the same with u = g, the gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.observables import curvature
from quenched.observables.loss_on_data import LossOnData
from quenched.theory import ornstein_uhlenbeck as ou


class Quadrature(NamedTuple):
    """Curvatures and weights, one row per probe: sum_j weight_j f(curvature_j) estimates u.f(H) u; ``total`` its exact value at
    f = 1."""

    curvature: Float[np.ndarray, "probe node"]
    weight: Float[np.ndarray, "probe node"]
    total: float

    def mean(self, each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean over probes of sums with f, (probe, ...), and its standard error.

        A probe that drew a long vector is too large by the same factor for every f: the ratio to the sum of weights, whose mean
        is known, is free of that.
        """
        lengths = self.weight.sum(axis=1)
        if len(lengths) == 1 or self.total == 0:
            return np.asarray(each.mean(axis=0)), np.full(each.shape[1:], np.nan)
        ratio = each.mean(axis=0) / lengths.mean()
        left = each - ratio * lengths.reshape(-1, *[1] * (each.ndim - 1))
        error = left.std(axis=0, ddof=1) / np.sqrt(len(lengths)) / lengths.mean()
        return np.asarray(self.total * ratio), np.asarray(self.total * error)


@eqx.filter_jit
def _noise_draw(problem: LossOnData, key: Array) -> Array:
    return problem.noise_draw(jax.random.normal(key, (problem.samples,)))


def noise_quadrature(problem: LossOnData, trace: float, probes: int, depth: int, seed: int) -> Quadrature:
    """The joint law of curvature and noise, from ``probes`` draws of the noise, whose ``trace`` is known."""
    keys = jax.random.split(jax.random.key(seed), probes)
    rows = [quadrature(problem, _noise_draw(problem, key), depth) for key in keys]
    return Quadrature(np.concatenate([r.curvature for r in rows]), np.concatenate([r.weight for r in rows]), trace)


def quadrature(problem: LossOnData, start: Array, depth: int) -> Quadrature:
    """Nodes and weights of Lanczos from one vector, a single row; weights sum to its squared norm."""
    squares = float(np.sum(np.asarray(start, float) ** 2))
    depth = min(depth, problem.size)
    if squares == 0:
        return Quadrature(np.zeros((1, depth)), np.zeros((1, depth)), 0.0)
    nodes, weights = curvature.gauss_quadrature(problem, curvature.hessian, start, depth)
    return Quadrature(nodes[None], squares * weights[None], squares)


class Predicted(NamedTuple):
    """Displacements (step,) with the standard error over the probes, and the squared length of a step."""

    drift: Float[np.ndarray, " step"]
    spread: Float[np.ndarray, " step"]
    spread_error: Float[np.ndarray, " step"]


def displacement(rule: ou.MomentumSGD, noise: Quadrature, slope: Quadrature, steps: np.ndarray) -> Predicted:
    """Squared distance from the start after each step: drift^2 down the slope, and diffusion, exact in discrete time.

    Raises ``ParameterError`` where the largest curvature makes the step unstable.
    """
    largest = float(noise.curvature.max())
    if largest + rule.ridge >= rule.stability_limit():
        bound = 2 * (1 + rule.momentum) / (largest + rule.ridge)
        raise checks.ParameterError(
            f"lr must be < {bound:.4g} for a stable step at the measured largest curvature {largest:.4g}, got {rule.lr!r}"
        )
    rows = zip(noise.curvature, noise.weight, strict=True)
    spread, error = noise.mean(np.stack([ou.displacement(rule, c, w, steps, start="fixed")["spread"].values for c, w in rows]))
    moved = ou.displacement(
        rule, slope.curvature[0], np.zeros_like(slope.weight[0]), steps, start="fixed", slope=np.sqrt(slope.weight[0])
    )
    return Predicted(moved["drift"].values, spread, error)


def step_length(rule: ou.MomentumSGD, noise: Quadrature, slope: Quadrature, first: int, last: int) -> tuple[float, float]:
    """E|theta_k - theta_{k-1}|^2 averaged over steps first < k <= last, with its error over the probes.

    The noise gives eta^2 tr(Sigma 2/((1-beta)(2(1+beta) - eta (H+ridge))))/S, stationary in velocity, which forgets within
    1/(1-beta) steps: valid also where positions still wander. The slope g adds eta^2 a_k^2 |g|^2 at step k, a_k the response to
    a unit kick.
    """
    below = (1 - rule.momentum) * (2 * (1 + rule.momentum) - rule.lr * (noise.curvature + rule.ridge))
    each = rule.lr**2 / rule.batch_size * np.sum(noise.weight * 2 / below, axis=1)
    # the squared steps down a slope add up to what kicks of variance |g|^2 at every step would have added up to
    kicks = rule.batch_size * slope.weight[0]
    sums = ou.displacement(rule, slope.curvature[0], kicks, [first, last], start="fixed")["spread"].values
    drift = float(sums[1] - sums[0]) / (last - first)
    mean, error = noise.mean(each)
    return float(mean) + drift, float(error)


def excess_loss(rule: ou.MomentumSGD, noise: Quadrature, seen: float = 1e-3) -> float:
    """tr(H C)/2 of the stationary state: what the noise costs in training loss. NaN unless all curvature is positive.

    Directions whose curvature is below ``seen`` times the largest are left out of the check for sign: they cost nothing.
    """
    h = noise.curvature + rule.ridge
    if np.any((h < -seen * h.max()) & (noise.weight > 1e-9 * noise.weight.sum())):
        return float("nan")
    flat = np.maximum(h, 1e-30)
    variance = rule.lr * (1 + rule.momentum) / (flat * (1 - rule.momentum) * (2 * (1 + rule.momentum) - rule.lr * flat))
    each = np.sum(noise.weight * np.maximum(noise.curvature, 0) * variance, axis=1)
    return float(noise.mean(each)[0] / (2 * rule.batch_size))
