"""Powers of the step of one mode, in closed forms that survive critical damping, flat modes and long times.

With x the position of a mode of curvature h relative to its minimum, a step is (x, v) -> M (x, v) + (eta, 1) eps,

    M = [[1 - eta h, eta beta], [-h, beta]],   M^k = a_k M - beta a_{k-1} I,   a_k = (z1^k - z2^k)/(z1 - z2),

z1, z2 the roots of z^2 - (1 + beta - eta h) z + beta. a_k eta is also the position k steps after a unit kick. Everything below is
a function of x = eta h, beta and k, elementwise; k is an integer >= 0.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.numerics.precision import Real


def kick(x: Float[Array, "*m"], beta: Real, k: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """a_k: the position k steps after a kick, over eta; a_0 = 0, a_1 = 1."""
    real, z1, z2, radius, angle = _roots(x, beta)
    # z2/z1 in (-1, 1): near 1 the difference of powers is an expm1, and its limit is k
    q = jnp.where(z1 == 0, 0.0, z2 / jnp.where(z1 == 0, 1.0, z1))
    positive = jnp.where(q > 0, q, 0.5)
    log_q = jnp.log(positive)
    close = log_q > -1e-14
    smooth = jnp.where(close, k, jnp.expm1(k * log_q) / jnp.expm1(jnp.where(close, -1.0, log_q)))
    rough = (1 - _power(q, k)) / jnp.where(q > 0, 1.0, 1 - q)
    over = _power(z1, jnp.maximum(k - 1, 0)) * jnp.where(q > 0, smooth, rough)
    small = angle < 1e-12
    under = _power(radius, jnp.maximum(k - 1, 0)) * jnp.where(
        small, k, jnp.sin(k * angle) / jnp.sin(jnp.where(small, 1.0, angle))
    )
    return jnp.where(k == 0, 0.0, jnp.where(real, over, under))


def kick_sum(x: Float[Array, "*m"], beta: Real, k: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """a_1 + ... + a_k; without cancellation where the mode is flat or slow."""
    real, z1, z2, _, _ = _roots(x, beta)
    gap, fast, far = _apart(real, x, z1, z2)
    split = (_near_one(gap, k + 1) - _geometric(fast, k + 1)) / far
    # sum_{j<=k} a_j = (1 - a_{k+1} + beta a_k)/x, from the recursion
    whole = (1 - kick(x, beta, k + 1) + beta * kick(x, beta, k)) / jnp.where(x == 0, 1.0, x)
    return jnp.where(_separated(real, z1, z2), split, whole)


def kick_squares(x: Float[Array, "*m"], beta: Real, k: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """a_1^2 + ... + a_k^2: the variance of the position after k independent kicks, over eta^2."""
    real, z1, z2, _, _ = _roots(x, beta)
    gap, fast, far = _apart(real, x, z1, z2)
    # 1 - z^2 = (1 - z)(1 + z) keeps the digits of 1 - z
    both = _geometric(jnp.broadcast_to(beta, gap.shape), k + 1)
    split = (_near_one(gap * (2 - gap), k + 1) - 2 * both + _geometric(fast**2, k + 1)) / far**2
    # C_0 - [M^k C_0 M^kT]_tt in units of s^2: the stationary variance minus what is left of it
    ctt, cvv = stationary(x, beta)
    ctv = cvv / 2
    a = kick(x, beta, k)
    row_t, row_v = a * (1 - x) - _damped_before(x, beta, k), a * beta
    whole = ctt - (row_t**2 * ctt + 2 * row_t * row_v * ctv + row_v**2 * cvv)
    return jnp.where(_separated(real, z1, z2), split, whole)


def stationary(x: Float[Array, "*m"], beta: Real) -> tuple[Float[Array, "*m"], Float[Array, "*m"]]:
    """(C_tt/(eta^2 s^2), C_vv/s^2) of the stationary state; C_tv = eta C_vv/2. C_tt is infinite at x = 0."""
    below = (1 - beta) * (2 * (1 + beta) - x)
    return (1 + beta) / (x * below), 2 / below


def _damped_before(x: Float[Array, "*m"], beta: Real, k: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """beta a_{k-1}; -1 at k = 0, so that M^0 = I whatever beta is."""
    return jnp.where(k == 0, -1.0, beta * kick(x, beta, jnp.maximum(k - 1, 0)))


def _roots(x: Float[Array, "*m"], beta: Real) -> tuple[Array, Array, Array, Array, Array]:
    """Whether the roots are real; the larger and the smaller one in magnitude; modulus and angle of complex ones."""
    middle = (1 + beta - x) / 2
    square = middle**2 - beta
    real = square >= 0
    root = jnp.sqrt(jnp.where(real, square, 1.0))
    z1 = jnp.where(real, middle + jnp.where(middle >= 0, root, -root), 1.0)
    z2 = jnp.where(z1 == 0, 0.0, beta / jnp.where(z1 == 0, 1.0, z1))
    height = jnp.sqrt(jnp.where(real, 1.0, -square))
    radius = jnp.sqrt(jnp.where(real, 1.0, beta))
    return real, z1, jnp.where(real, z2, 0.5), radius, jnp.arctan2(height, jnp.where(real, 0.0, middle))


def _separated(real: Array, z1: Array, z2: Array) -> Array:
    """Where the mode is over-damped and its roots are far enough apart for sums over each of them to be subtracted."""
    return real & (z1 > 0.5) & (z1 - z2 > 1e-3 * (1 - z2))


def _apart(real: Array, x: Array, z1: Array, z2: Array) -> tuple[Array, Array, Array]:
    """1 - z1, z2 and z1 - z2 where roots are separated; harmless numbers elsewhere. 1 - z1 = x/(1 - z2) has no cancellation."""
    apart = _separated(real, z1, z2)
    fast = jnp.where(apart, z2, 0.0)
    return jnp.where(apart, x / (1 - fast), 0.5), fast, jnp.where(apart, z1, 0.5) - fast


def _near_one(gap: Array, k: Array) -> Array:
    """1 + z + ... + z^(k-1) from 1 - z, exact also where z -> 1."""
    flat = jnp.abs(gap) < 1e-300
    return jnp.where(flat, k, -jnp.expm1(k * jnp.log1p(-gap)) / jnp.where(flat, 1.0, gap))


def _geometric(z: Array, k: Array) -> Array:
    """1 + z + ... + z^(k-1) for |z| < 1."""
    return (1 - _power(z, k)) / (1 - z)


def _power(z: Array, k: Array) -> Array:
    """z^k for real z of any sign and an integer k >= 0, with 0^0 = 1."""
    size = jnp.abs(z)
    power = jnp.where(k == 0, 1.0, jnp.where(size == 0, 0.0, jnp.exp(k * jnp.log(jnp.where(size == 0, 1.0, size)))))
    return jnp.where((z < 0) & (jnp.mod(k, 2) == 1), -power, power)
