"""Linear regression: its quadratic loss, and the exact second moment of SGD with the noise that depends on the state."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.theory.ornstein_uhlenbeck.general import step_matrices
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD


class Quadratic(NamedTuple):
    """Hessian H (d, d) without ridge, minimiser mu (d,) of the regularised loss, covariance Sigma(mu) (d, d) of the gradients
    of single samples there, and the mean squared residual."""

    hessian: Float[np.ndarray, "d d"]
    minimum: Float[np.ndarray, " d"]
    noise: Float[np.ndarray, "d d"]
    residual: float


def quadratic(x: Any, y: Any, ridge: float = 0.0) -> Quadratic:
    """The loss |X theta - Y|^2/(2N) of data x (N, d), y (N,). Sigma has the 1/N normalisation.

    Sigma = mean_i r_i^2 x_i x_i^T - g g^T; only where residuals are independent of the inputs it is proportional to H.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise checks.ParameterError(f"x must be (N, d) and y (N,), got {x.shape} and {y.shape}")
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise checks.ParameterError("x and y must be finite, got an entry that is not")
    checks.non_negative("ridge", ridge)
    n, d = x.shape
    hessian = x.T @ x / n
    minimum = np.linalg.lstsq(hessian + ridge * np.eye(d), x.T @ y / n, rcond=None)[0]
    r = y - x @ minimum
    gradient = -x.T @ r / n
    noise = (x * (r**2)[:, None]).T @ x / n - np.outer(gradient, gradient)
    return Quadratic(hessian, minimum, noise, float(np.mean(r**2)))


@jax.jit
def _iterate(m: Array, g: Array, x: Array, fixed: Array, size: Array, tolerance: Array) -> tuple[Array, Array, Array]:
    """The fixed point of C <- M C M^T + G R(C_tt) G^T; also the last change and the number of iterations."""
    d, n = x.shape[1], x.shape[0]
    hessian = x.T @ x / n

    def noise(e: Array) -> Array:
        weight = jnp.sum((x @ e) * x, axis=1)
        return ((x * weight[:, None]).T @ x / n - hessian @ e @ hessian + fixed) / size

    def more(carry: tuple[Array, Array, Array]) -> Array:
        c, change, count = carry
        return (change > tolerance * jnp.max(jnp.abs(c))) & (count < 10**6) & (jnp.max(jnp.abs(c)) < 1e60)

    def once(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        c, _, count = carry
        new = m @ c @ m.T + g @ noise(c[:d, :d]) @ g.T
        return new, jnp.max(jnp.abs(new - c)), count + 1

    start = g @ fixed @ g.T / size
    return lax.while_loop(more, once, (start, jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), jnp.int32)))


def exact_covariance(rule: MomentumSGD, x: Any, y: Any, tolerance: float = 1e-10) -> np.ndarray:
    """The stationary covariance (2 d, 2 d) of (theta, v) for independent batches on linear regression, to all orders in eta.

    The noise of a batch depends on where the weights are: with E the covariance of theta, its mean is R(E) = [mean_i x_i x_i^T E
    x_i x_i^T - H E H + Sigma(mu)]/S, and C = M C M^T + G R(C_tt) G^T closes. Exact without ridge; with one, the terms linear in
    theta - mu that the mean of R drops vanish on average. O(N d^2) per iteration, float64.

    Raises ``DivergenceError`` where the second moment grows without bound although the mean is stable, with the factor per step.
    """
    problem = quadratic(x, y, rule.ridge)
    m, g = step_matrices(rule, problem.hessian)
    radius = np.abs(np.linalg.eigvals(m)).max()
    if radius >= 1:
        raise checks.ParameterError(f"lr must give a stable step, got spectral radius {radius:.6g} with lr={rule.lr!r}")
    with jax.enable_x64(True):
        arrays = (jnp.asarray(a, jnp.float64) for a in (m, g, x, problem.noise, rule.batch_size, tolerance))
        c, change, count = _iterate(*arrays)
    c = np.asarray(c)
    if not np.all(np.isfinite(c)) or np.abs(c).max() >= 1e60:
        growth = np.exp(np.log(1e60 / np.abs(problem.noise).max()) / int(count))
        raise checks.DivergenceError(
            f"the second moment has no stationary value: noise that grows with the distance multiplies it by about {growth:.4g} "
            f"per step, with lr={rule.lr!r}, batch_size={rule.batch_size!r}; take a smaller lr or larger batches"
        )
    if int(count) >= 10**6:
        raise checks.ConvergenceError(f"the second moment did not settle within 10^6 steps, last change {float(change):.3g}")
    return c
