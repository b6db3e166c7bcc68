"""How large the four parts of the excess test loss have to be: the shift by sampling, the bias by the third derivative.

Two data sets of N_tr and N_te samples of one law have minima that differ by s with

    Cov s = (1/N_tr + 1/N_te) H^-1 Sigma H^-1,    E s.C s/2 = (1/N_tr + 1/N_te) tr(Sigma H^-1)/2

at leading order (Takeuchi's penalty): d/2 per sample where the likelihood is well specified, Sigma = H, whatever the
curvature. At stationarity E grad U = 0, hence H b + (U''':P)/2 = 0 at leading order, whatever the noise. Sources: Takeuchi
(1976); Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from quenched.numerics import checks


def shift_covariance(hessian: Any, noise: Any, train_samples: int, test_samples: int) -> Float[np.ndarray, "d d"]:
    """Cov s = (1/N_tr + 1/N_te) H^-1 Sigma H^-1 of two data sets of one law; H, Sigma (d, d)."""
    h, sigma = _matrices(hessian, noise)
    return _rate(train_samples, test_samples) * np.linalg.solve(h, np.linalg.solve(h, sigma).T)


def sampling_shift(hessian: Any, noise: Any, train_samples: int, test_samples: int) -> float:
    """The mean shift-curvature (1/N_tr + 1/N_te) tr(Sigma H^-1)/2 of two data sets of one law, at leading order in 1/N."""
    h, sigma = _matrices(hessian, noise)
    return _rate(train_samples, test_samples) * float(np.trace(np.linalg.solve(h, sigma))) / 2


def regression_shift(dimension: int, train_samples: int, test_samples: int, variance: float | int) -> float:
    """Exactly that of linear regression with Gaussian inputs and label noise of ``variance``: the curvature is not in it.

    sigma^2/2 (d/N_te + d/(N_tr - d - 1)), for U = mean (y - w.x)^2/2. Raises ``ParameterError`` for N_tr < d + 2, N_te < d.
    """
    checks.integer_at_least("dimension", dimension, 1)
    checks.integer_at_least("train_samples", train_samples, dimension + 2)
    checks.integer_at_least("test_samples", test_samples, dimension)
    checks.positive("variance", variance)
    return variance / 2 * (dimension / test_samples + dimension / (train_samples - dimension - 1))


def expected_shift_curvature(hessian: Any, covariance: Any) -> float:
    """tr(C V)/2: what curvature costs on average over shifts of covariance V, where the shift is not known."""
    c, v = _matrices(hessian, covariance)
    return float(np.sum(c * v)) / 2


def predicted_bias(loss: Callable[[Any], Any], minimum: Any, covariance: Any) -> Float[np.ndarray, " d"]:
    """b = -H^-1 (U''':P)/2 of a loss of (d,), exact in U''': the gradient of tr(H(theta) P), by d products with H.

    ``minimum`` (d,), ``covariance`` P (d, d). Raises ``ParameterError`` for shapes that do not fit.
    """
    with jax.enable_x64(True):
        x, p = jnp.asarray(minimum, float), np.asarray(covariance, float)
        if x.ndim != 1 or p.shape != (*x.shape, *x.shape):
            raise checks.ParameterError(f"covariance must be (d, d) for a minimum (d,), got {p.shape} and {x.shape}")
        rates, vectors = np.linalg.eigh((p + p.T) / 2)
        rows = jnp.asarray((vectors * np.sqrt(np.maximum(rates, 0.0))).T)
        third = jax.jit(jax.grad(lambda theta: jnp.sum(_bent(loss, theta, rows))))(x)
        return -0.5 * np.asarray(jnp.linalg.solve(jax.hessian(loss)(x), third), float)


def predicted_bias_from_samples(
    loss: Callable[[Any], Any], minimum: Any, samples: Any, *, tolerance: float = 1e-8
) -> Float[np.ndarray, " d"]:
    """The same from samples (..., d) in place of P, without a matrix: U''':P = grad E z.H z over z = theta - E theta, H^-1 by
    CG.

    Raises ``ParameterError`` for shapes that do not fit, ``ConvergenceError`` if the residual of CG stays above ``tolerance``.
    """
    with jax.enable_x64(True):
        x = jnp.asarray(minimum, float)
        rows = np.asarray(samples, float).reshape(-1, np.shape(samples)[-1])
        if x.ndim != 1 or rows.shape[1] != x.shape[0]:
            raise checks.ParameterError(f"samples must be (..., d) for a minimum (d,), got {np.shape(samples)} and {x.shape}")
        z = jnp.asarray(rows - rows.mean(axis=0))
        each = jax.grad(lambda theta, v: _bent(loss, theta, v[None])[0])
        third = jax.jit(lambda r: jnp.mean(lax.map(lambda v: each(x, v), r, batch_size=64), axis=0))(z)

        def product(v: Array) -> Array:
            return jax.jvp(jax.grad(loss), (x,), (v,))[1]

        solved, _ = cg(product, third, tol=tolerance / 10, maxiter=20 * len(x))
        left = float(jnp.linalg.norm(product(solved) - third) / jnp.maximum(jnp.linalg.norm(third), 1e-300))
        if not left < tolerance:
            raise checks.ConvergenceError(f"H b must equal U''':P/2 up to {tolerance:g}, got a residual {left:.3g}")
        return -0.5 * np.asarray(solved, float)


def _bent(loss: Callable[[Any], Any], theta: Array, rows: Float[Array, "row d"]) -> Float[Array, " row"]:
    """z.H(theta) z of every row z."""
    return jax.vmap(lambda v: jnp.dot(v, jax.jvp(jax.grad(loss), (theta,), (v,))[1]))(rows)


def _rate(train_samples: int, test_samples: int) -> float:
    checks.integer_at_least("train_samples", train_samples, 1)
    checks.integer_at_least("test_samples", test_samples, 1)
    return 1 / train_samples + 1 / test_samples


def _matrices(first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.atleast_2d(np.asarray(first, float)), np.atleast_2d(np.asarray(second, float))
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape != b.shape:
        raise checks.ParameterError(f"matrices must be (d, d) and alike, got {a.shape} and {b.shape}")
    return a, b
