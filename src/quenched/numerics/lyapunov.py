"""Lyapunov equations: the stationary covariance of linear maps and of linear stochastic differential equations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from scipy.linalg import solve_continuous_lyapunov

from quenched.numerics.checks import ConvergenceError, ParameterError

DOUBLINGS = 60
"""2^60 steps of the map: a radius of 1 - 1e-15 has died out by then."""


def doubling(m: Float[Array, "n n"], q: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
    """C = sum_k M^k Q M^kT by doubling, C <- C + P C P^T, P <- P P, and |P| at the end (0 where it has converged).

    A pure function, O(n^3 log): it compiles, maps and differentiates in forward mode.
    """

    def more(carry: tuple[Array, Array, Array]) -> Array:
        step, _, power = carry
        size = jnp.max(jnp.abs(power))
        return (step < DOUBLINGS) & (size > 1e-17) & (size < 1e100)

    def double(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        step, c, power = carry
        return step + 1, c + power @ c @ power.T, power @ power

    _, c, power = lax.while_loop(more, double, (jnp.zeros((), jnp.int32), q, m))
    return c, jnp.max(jnp.abs(power))


_doubling = jax.jit(doubling)


def discrete_lyapunov(m: Any, q: Any, what: str = "the linear map") -> np.ndarray:
    """The solution of C = M C M^T + Q, float64.

    Raises ``ConvergenceError`` with the spectral radius if it is not below 1: there is no stationary state then.
    """
    m, q = _square("M", m), _square("Q", q)
    with jax.enable_x64(True):
        c, left = _doubling(jnp.asarray(m), jnp.asarray(q))
    if not float(left) < 1e-8 or not np.all(np.isfinite(c)):
        radius = np.abs(np.linalg.eigvals(m)).max()
        raise ConvergenceError(f"{what} has no stationary state: its spectral radius must be < 1, got {radius:.6g}")
    return np.asarray(c)


def continuous_lyapunov(a: Any, q: Any, what: str = "the drift") -> np.ndarray:
    """The solution of A B + B A^T = Q for a drift -A x, float64 (Bartels-Stewart, by SciPy).

    Raises ``ConvergenceError`` unless all eigenvalues of A have a positive real part.
    """
    a, q = _square("A", a), _square("Q", q)
    slowest = np.linalg.eigvals(a).real.min()
    if not slowest > 0:
        raise ConvergenceError(f"{what} has no stationary state: eigenvalues of A must have real part > 0, got {slowest:.6g}")
    return np.asarray(solve_continuous_lyapunov(a, q))


def _square(name: str, matrix: Any) -> np.ndarray:
    array = np.asarray(matrix, float)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ParameterError(f"{name} must be a square matrix, got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ParameterError(f"{name} must be finite, got an entry that is not")
    return array
