"""Minima and saddles of smooth functions, by eigenvector following, with a certificate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quenched.numerics.checks import ConvergenceError, ParameterError


class CriticalPoint(NamedTuple):
    """Where, how high, the Hessian there, and the norm of the gradient that is left."""

    position: Float[np.ndarray, " d"]
    value: float
    hessian: Float[np.ndarray, "d d"]
    residual: float

    @property
    def falling(self) -> int:
        """The number of negative eigenvalues: 0 at a minimum, 1 at a saddle."""
        return int(np.sum(np.linalg.eigvalsh(self.hessian) < 0))


@functools.lru_cache(maxsize=32)
def _derivatives(function: Callable[[Array], Array]) -> Callable[[Array], tuple[Array, Array, Array]]:
    """Value, gradient and Hessian, compiled once for equal functions (a method of a component equals that of an equal one)."""
    return jax.jit(lambda u: (function(u), jax.grad(function)(u), jax.hessian(function)(u)))


def critical_point(
    function: Callable[[Array], Array], start: Any, index: int = 0, *, tolerance: float = 1e-10, radius: float = 0.2
) -> CriticalPoint:
    """The critical point with ``index`` negative eigenvalues that is reached from ``start`` (d,), in float64.

    Every step is Newton's with the signs chosen so that it climbs along the ``index`` lowest eigenvectors and descends along
    the others, of length at most ``radius``. Raises ``ConvergenceError`` with the gradient that is left if 200 steps do not
    bring it below ``tolerance``, or if the point that is found has another index.
    """
    x = np.atleast_1d(np.asarray(start, float))
    if not 0 <= index <= len(x):
        raise ParameterError(f"index must lie in [0, {len(x)}], got {index}")
    with jax.enable_x64(True):
        derivatives = _derivatives(function)
        for _ in range(200):
            value, gradient, hessian = (np.asarray(a, float) for a in derivatives(jnp.asarray(x)))
            left = float(np.linalg.norm(gradient))
            if not np.isfinite(left) or left < tolerance:
                break
            rates, vectors = np.linalg.eigh(hessian)
            signs = np.where(np.arange(len(x)) < index, 1.0, -1.0)
            step = vectors @ (signs * (vectors.T @ gradient) / np.maximum(np.abs(rates), 1e-3))
            x = x + step * min(1.0, radius / np.linalg.norm(step))
    point = CriticalPoint(x, float(value), hessian, left)
    if not left < tolerance:
        raise ConvergenceError(f"no critical point was reached from {np.asarray(start)}: gradient {left:.3g} at {x}")
    if point.falling != index:
        raise ConvergenceError(f"the critical point at {x} has {point.falling} negative eigenvalues, {index} were asked for")
    return point
