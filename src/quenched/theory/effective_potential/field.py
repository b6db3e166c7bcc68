"""Whether SGD has an effective potential in more than one dimension, and what is left where it has none.

A stationary law exp(-v/T) without currents (detailed balance) needs

    grad v = w,    w = Sigma^-1 (grad U + T div Sigma),    (div Sigma)_i = sum_j d_j Sigma_ij

to be free of curl. It is in one dimension, for Sigma = s(U) I, and hardly anywhere else. Around a minimum the covariance is known
all the same: H P + P H = 2 T Sigma. Source: Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy.integrate import cumulative_simpson

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.numerics.lyapunov import continuous_lyapunov, discrete_lyapunov
from quenched.numerics.precision import Real
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.effective_potential.line import Function, recorded

register_label("curl", Label("curl of the gradient of an effective potential", r"|J-J^T|/|J|"))
register_label("arc_length", Label("distance along the line", r"\ell"))


def potential_gradient(loss: AbstractLandscape | Function, noise: Function, temperature: Real) -> Callable[[Array], Array]:
    """w(theta) = Sigma^-1 (grad U + T div Sigma) as a function of theta (d,): grad v where there is a potential v.

    ``loss``: a landscape or a function of theta; ``noise``: theta (d,) -> Sigma (d, d); both written with ``jax.numpy``.
    """
    u = _function(loss)

    def w(theta: Float[Array, " d"]) -> Float[Array, " d"]:
        return jnp.linalg.solve(noise(theta), jax.grad(u)(theta) + temperature * divergence(noise, theta))

    return w


def divergence(noise: Function, theta: Float[Array, " d"]) -> Float[Array, " d"]:
    """(div Sigma)_i = sum_j d_j Sigma_ij."""
    return jnp.einsum("ijj->i", jax.jacfwd(noise)(theta))


def curl_test(loss: AbstractLandscape | Function, noise: Function, temperature: float | int, points: Any) -> xr.Dataset:
    """|J - J^T|_F/|J|_F of the Jacobian J of w at ``points`` (point, d): 0 where a potential may exist.

    Variable ``curl`` (point,), attribute ``largest``. Raises ``ParameterError`` for T <= 0 or a Sigma that is not positive
    definite (with the place).
    """
    checks.positive("temperature", temperature)
    theta = np.atleast_2d(np.asarray(points, float))
    with jax.enable_x64(True):
        _check_noise(noise, theta)
        w = potential_gradient(loss, noise, float(temperature))
        j = np.asarray(jax.jit(jax.vmap(jax.jacfwd(w)))(jnp.asarray(theta)), float)
    size = np.linalg.norm(j, axis=(1, 2))
    curl = np.linalg.norm(j - j.transpose(0, 2, 1), axis=(1, 2)) / np.where(size > 0, size, 1.0)
    record = {"engine": "curl_test", "loss": recorded(loss), "noise": noise, "temperature": float(temperature)}
    return dataset({"curl": (("point",), curl)}, {}, record, largest=float(curl.max()))


def potential_along(
    loss: AbstractLandscape | Function,
    noise: Function,
    temperature: float | int,
    start: Any,
    end: Any,
    *,
    projected: bool = False,
    tolerance: float = 1e-6,
    points: int = 10_001,
) -> xr.Dataset:
    """v - v(start) on the straight line from ``start`` to ``end`` (d,): variable ``effective_potential`` (arc_length,).

    The integral of w along the line, after a curl test on it. ``projected``: instead the potential of the line by itself, with
    the noise u.Sigma u along its direction u, v = int (u.grad U)/(u.Sigma u) + T ln(u.Sigma u); the attribute
    ``projection`` says so.

    Raises ``ParameterError`` where the curl exceeds ``tolerance``: there is no potential then; ``local_covariance`` and
    ``theory.fokker_planck.flow`` do not need one.
    """
    checks.positive("temperature", temperature)
    checks.integer_at_least("points", points, 101)
    a, b = (np.atleast_1d(np.asarray(p, float)) for p in (start, end))
    length = float(np.linalg.norm(b - a)) if a.shape == b.shape and a.ndim == 1 else 0.0
    if not length > 0:
        raise checks.ParameterError(f"start and end must be two different points (d,), got {start!r} and {end!r}")
    t, along = float(temperature), np.linspace(0.0, length, points)
    u = (b - a) / length
    line = a + along[:, None] * u
    if not projected:
        curl = curl_test(loss, noise, t, line[:: max(1, points // 100)]).attrs["largest"]
        if curl > tolerance:
            raise checks.ParameterError(
                f"noise and loss must have a potential, got a curl of {curl:.3g} on the line (allowed {tolerance:g}): take "
                "projected=True, local_covariance, or theory.fokker_planck.flow"
            )
    with jax.enable_x64(True):
        _check_noise(noise, line[:: max(1, points // 1000)])
        direction = jnp.asarray(u)
        if projected:
            slope = jax.vmap(lambda x: (direction @ jax.grad(_function(loss))(x), direction @ noise(x) @ direction))
            force, sigma = (np.asarray(f, float) for f in jax.jit(slope)(jnp.asarray(line)))
            rise, extra = force / sigma, t * np.log(sigma / sigma[0])
        else:
            w = potential_gradient(loss, noise, t)
            rise, extra = np.asarray(jax.jit(jax.vmap(lambda x: direction @ w(x)))(jnp.asarray(line)), float), 0.0
    v = cumulative_simpson(rise, x=along, initial=0.0) + extra
    record = {"engine": "potential_along", "loss": recorded(loss), "noise": noise, "temperature": t, "start": a, "end": b}
    return dataset({"effective_potential": (("arc_length",), v)}, {"arc_length": along}, record, projection=projected)


def mode_shift(
    loss: AbstractLandscape | Function, noise: Function, temperature: float | int, minimum: Any
) -> Float[np.ndarray, " d"]:
    """-T H^-1 div Sigma: how far the maximum of the density lies from a minimum of the loss, at leading order in T."""
    checks.positive("temperature", temperature)
    with jax.enable_x64(True):
        x = jnp.atleast_1d(jnp.asarray(minimum, float))
        move = jnp.linalg.solve(jax.hessian(_function(loss))(x), divergence(noise, x))
    return -float(temperature) * np.asarray(move, float)


def local_covariance(hessian: Any, noise: Any, temperature: float | int, *, lr: float | int | None = None) -> np.ndarray:
    """The covariance P of SGD around a minimum of Hessian H (d, d) with gradient noise Sigma (d, d); no potential is needed.

    H P + P H = 2 T Sigma; with the learning rate ``lr`` = eta exactly in discrete time, P = (1 - eta H) P (1 - eta H) + 2 T eta
    Sigma. Raises ``ParameterError`` for T <= 0, a Hessian that is not positive, or eta times its largest eigenvalue >= 2.
    """
    checks.positive("temperature", temperature)
    h, sigma = np.atleast_2d(np.asarray(hessian, float)), np.atleast_2d(np.asarray(noise, float))
    if h.ndim != 2 or h.shape[0] != h.shape[1] or sigma.shape != h.shape:
        raise checks.ParameterError(f"hessian and noise must be matrices (d, d), got {h.shape} and {sigma.shape}")
    rates = np.linalg.eigvalsh((h + h.T) / 2)
    if not rates[0] > 0:
        raise checks.ParameterError(f"hessian must be positive, got an eigenvalue {rates[0]:.4g}")
    source = 2 * float(temperature) * sigma
    if lr is None:
        return continuous_lyapunov(h, source, "SGD")
    checks.positive("lr", lr)
    if not lr * rates[-1] < 2:
        raise checks.ParameterError(f"lr times the largest curvature must be < 2, got {lr * rates[-1]:.4g}")
    return discrete_lyapunov(np.eye(len(h)) - lr * h, lr * source, "SGD")


def _function(loss: AbstractLandscape | Function) -> Function:
    return loss.potential if isinstance(loss, AbstractLandscape) else loss


def _check_noise(noise: Function, points: Float[np.ndarray, "point d"]) -> None:
    matrices = np.asarray(jax.vmap(noise)(jnp.asarray(points)), float)
    if matrices.shape != (*points.shape, points.shape[1]):
        raise checks.ParameterError(f"noise must have the shape (d, d), got {matrices.shape[1:]} for d = {points.shape[1]}")
    lowest = np.linalg.eigvalsh(matrices)[:, 0]
    if not np.all(lowest > 0):
        bad = int(np.argmin(lowest > 0))
        raise checks.ParameterError(f"noise must be positive definite, got an eigenvalue {lowest[bad]:.4g} at {points[bad]}")
