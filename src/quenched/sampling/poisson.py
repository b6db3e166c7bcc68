r"""Flows without variance: fields whose divergence is rho_1 - rho_0, and the map that transports rho_0 to rho_1 along them.

If div b = rho_1 - rho_0 (normalised densities) and J_t -> 0 at both ends of almost every orbit, then int rho_1(X_t) J_t dt =
int rho_0(X_t) J_t dt on each orbit, and the weight of ``InfiniteTime`` is Z_1/Z_0 for every point. The canonical choice is b =
grad V with Laplace V = rho_1 - rho_0. Source: arXiv:2206.09908, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.numerics import checks
from quenched.records.description import public
from quenched.sampling.estimators import Problem
from quenched.sampling.fields import AbstractField, Parameters
from quenched.sampling.flow import path, two_sided

# coefficients below this share of the largest are rounding errors of the transform
_ROUNDING = 1e-15


def _row(values: Any) -> Float[np.ndarray, " k"]:
    return np.asarray(values, np.float64)


def _table(values: Any) -> Float[np.ndarray, "k d"]:
    return np.asarray(values, np.float64)


@public
class TorusField(AbstractField):
    """b = grad V on the torus [0, 1)^d, V(x) = sum_k c_k cos(2 pi k.x) + s_k sin(2 pi k.x): a fixed field.

    ``modes`` (K, d) are the wave vectors, ``cosines`` and ``sines`` (K,) the coefficients; ``torus_field`` finds them.
    """

    modes: Float[np.ndarray, "k d"] = eqx.field(converter=_table)
    cosines: Float[np.ndarray, " k"] = eqx.field(converter=_row)
    sines: Float[np.ndarray, " k"] = eqx.field(converter=_row)

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        return ()

    def velocity(self, parameters: Parameters, x: Float[Array, " d"]) -> Float[Array, " d"]:
        phase = 2 * jnp.pi * (self.modes @ x)
        return (self.sines * jnp.cos(phase) - self.cosines * jnp.sin(phase)) @ (2 * jnp.pi * self.modes)

    def divergence(self, parameters: Parameters, x: Float[Array, " d"]) -> Float[Array, ""]:
        phase = 2 * jnp.pi * (self.modes @ x)
        squares = jnp.sum((2 * jnp.pi * self.modes) ** 2, axis=1)
        return -jnp.sum(squares * (self.cosines * jnp.cos(phase) + self.sines * jnp.sin(phase)))


def torus_field(log_density: Callable[[Any], Any], dimension: int, *, points: int = 32) -> tuple[TorusField, float]:
    """The field grad V with Laplace V = rho_1 - 1 on [0, 1)^d, and ln Z_1, for a periodic density exp(log_density(x)), x (d,).

    The density is sampled on ``points``^d (default 32 per axis) equidistant points; transform, Poisson equation and constant
    are exact for a density without higher modes, and converge geometrically for an analytic one. In float64. Raises
    ``ParameterError`` for fewer than 2 points per axis and for a density that is not finite on the grid.
    """
    checks.integer_at_least("dimension", dimension, 1)
    checks.integer_at_least("points", points, 2)
    axis = np.arange(points) / points
    grid = np.stack(np.meshgrid(*(axis,) * dimension, indexing="ij"), axis=-1)
    with jax.enable_x64(True):
        values = np.asarray(jax.vmap(log_density)(jnp.asarray(grid.reshape(-1, dimension))))
    if not np.all(np.isfinite(values)):
        raise checks.ParameterError("log_density must be finite on the grid of the torus, got NaN or infinity")
    log_constant = float(np.log(np.mean(np.exp(values - values.max()))) + values.max())
    density = np.exp(values - log_constant).reshape((points,) * dimension)
    transform = np.fft.fftn(density).ravel() / density.size
    numbers = np.fft.fftfreq(points, 1 / points)
    waves = np.stack(np.meshgrid(*(numbers,) * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    squares = (waves**2).sum(1)
    # Nyquist modes have no partner with the opposite sign
    kept = (squares > 0) & (np.abs(waves).max(1) < points / 2)
    kept &= np.abs(transform) > _ROUNDING * np.abs(transform[1:]).max(initial=0.0)
    potential = -transform[kept] / (4 * np.pi**2 * squares[kept])
    return TorusField(waves[kept], potential.real, -potential.imag), log_constant


def torus_problem(field: TorusField, log_density: Callable[[Any], Any]) -> Problem:
    """From the uniform law to the density along the field: what ``InfiniteTime().weigh`` takes."""
    return Problem(
        lambda x: field.velocity((), x),
        lambda x: field.divergence((), x),
        lambda x: jnp.zeros((), x.dtype),
        log_density,
    )


def transport(
    given: Problem, x: Float[Array, "n d"] | Float[np.ndarray, "n d"], *, time: float | int = 10.0, steps: int = 200
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """The map T(x) = X_tau(x) at points x (n, d), and tau (n,): if the flow has no variance, T pushes rho_0 to rho_1.

    tau(x) is where the share of int F_1 dt that lies before it equals the share of int F_0 dt before 0, on [-``time``,
    ``time``] with ``steps`` (default 200) steps per unit, by the trapezoidal rule and a last Runge-Kutta step to tau itself: an
    error of order 1/steps^2. In float64. 1-d example: from N(0, 1) to N(w, s^2) with b = x - w/(1 - s), tau = ln s and T(x)
    = s x + w.

    Raises ``ParameterError`` for time <= 0 and for fewer than 2 steps.
    """
    checks.positive("time", float(time))
    checks.integer_at_least("steps", steps, 2)
    h, each_way = 1 / steps, max(1, round(time * steps))

    def share(logs: Float[Array, " k"]) -> Float[Array, " k"]:
        kept = jnp.where(jnp.isfinite(logs), logs, -jnp.inf)
        values = jnp.exp(kept - jnp.max(kept))
        sums = jnp.concatenate([jnp.zeros(1), jnp.cumsum((values[1:] + values[:-1]) / 2)])
        return sums / sums[-1]

    def one(y: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        orbit = two_sided(given.velocity, given.divergence, y, h, each_way)
        before, target = (share(jax.vmap(f)(orbit.points) + orbit.log_jacobian) for f in (given.log_base, given.log_target))
        wanted = before[each_way]
        last = jnp.clip(jnp.searchsorted(target, wanted) - 1, 0, 2 * each_way - 1)
        rest = jnp.nan_to_num((wanted - target[last]) / (target[last + 1] - target[last]))
        end = path(given.velocity, given.divergence, orbit.points[last], rest * h, 1).points[-1]
        return end, (last - each_way + rest) * h

    with jax.enable_x64(True):
        ends, times = jax.jit(jax.vmap(one))(jnp.asarray(x, jnp.float64))
        return np.asarray(ends), np.asarray(times)
