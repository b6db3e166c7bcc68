"""SGD at finite learning rate in one dimension, without momentum, with Gaussian noise: the exact transfer operator.

A step takes x to a normal number of mean x - eta L'(x) and variance eta^2 Sigma(x)/S = 2 T eta noise(x). The
Fokker-Planck equation is its limit eta -> 0 at fixed T, and knows no eta.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import ArpackNoConvergence, eigs
from scipy.special import ndtr

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.theory.fokker_planck.line import _noise_at
from quenched.theory.fokker_planck.temperature import Temperature


class Transfer(NamedTuple):
    """Cell centres, matrix K with K_ij the probability to land in cell i from cell j, stationary probabilities, and the gap per
    unit of eta k, -ln(second eigenvalue)/eta."""

    x: Float[np.ndarray, " n"]
    matrix: Float[np.ndarray, "n n"]
    stationary: Float[np.ndarray, " n"]
    gap: float


def transfer_matrix(
    landscape: AbstractLandscape,
    temperature: Temperature,
    low: float | int,
    high: float | int,
    cells: int = 600,
    *,
    noise: Callable[[Any], Any] | None = None,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Cell centres and the matrix K of one step alone, whose powers move probabilities; errors as ``transfer``."""
    checks.instance("temperature", temperature, Temperature)
    if temperature.momentum > 0:
        raise checks.ParameterError(f"momentum must be 0 for the transfer operator, got {temperature.momentum!r}")
    checks.integer_at_least("cells", cells, 3)
    edges = np.linspace(low, high, cells + 1)
    x, h = (edges[1:] + edges[:-1]) / 2, (high - low) / cells
    eta, t = temperature.lr, temperature.value
    with jax.enable_x64(True):
        slope = np.asarray(jax.vmap(jax.grad(lambda p: landscape.potential(p[None])))(jnp.asarray(x)), float)
        level = np.asarray(jax.vmap(lambda p: landscape.potential(p[None]))(jnp.asarray(x)), float)
        spread = np.sqrt(2 * t * eta * _noise_at(noise, x))
    if spread.min() < 2 * h:
        raise checks.ParameterError(
            f"cells must be >= {int(np.ceil(2 * (high - low) / spread.min()))}, two per standard deviation of a step, got {cells}"
        )
    mean = x - eta * slope
    seen = level < level.min() + 15 * t
    if np.any((mean[seen] < low) | (mean[seen] > high)):
        raise checks.ParameterError(f"lr must keep a step inside the box, got lr={eta!r}: it leaves [{low:g}, {high:g}]")
    # cells far up the walls are hardly ever visited: where they would overshoot, they land at the wall
    landing = ndtr((edges[:, None] - np.clip(mean, low, high)) / spread)
    matrix = np.diff(landing, axis=0)
    matrix /= matrix.sum(axis=0)
    return x, matrix


def transfer(
    landscape: AbstractLandscape,
    temperature: Temperature,
    low: float | int,
    high: float | int,
    cells: int = 600,
    *,
    noise: Callable[[Any], Any] | None = None,
) -> Transfer:
    """The transfer operator on ``cells`` cells of [low, high], with its stationary law and gap; error O(h^2).

    Raises ``ParameterError`` with momentum, where the noise of a step is narrower than two cells, or where a step from inside
    leads far out of the box: eta is too large for it; ``ConvergenceError`` for a gap below rounding, where the stationary law
    cannot be told either: ``transfer_matrix`` still has its powers.
    """
    x, matrix = transfer_matrix(landscape, temperature, low, high, cells, noise=noise)
    try:
        # seeds the iteration, so that an answer is a function of its arguments
        values, vectors = eigs(matrix, k=2, which="LM", v0=np.ones(cells))
    except ArpackNoConvergence as error:
        raise checks.ConvergenceError(f"the second eigenvalue did not converge: {error}") from error
    order = np.argsort(-np.abs(values))
    first = np.abs(np.real(vectors[:, order[0]]))
    rate = float(-np.log(np.abs(values[order[1]])))
    if not rate > 1e-12:
        raise checks.ConvergenceError(f"the gap must be > 1e-12 per step to be seen in an eigenvalue, got {rate:.3g}")
    return Transfer(x, matrix, first / first.sum(), rate / temperature.lr)
