"""Displacements of momentum SGD near a minimum, mode by mode: exact in discrete time, in continuous time, and as published.

Pure functions of arrays: curvature and variance over modes, k one step. They compile, map and differentiate.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from quenched.numerics.precision import Real
from quenched.theory.ornstein_uhlenbeck import propagation as step
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD

Modes = Float[Array, " mode"]


def variances(rule: MomentumSGD, h: Modes, s2: Modes, formula: str) -> tuple[Modes, Modes, Modes]:
    """Stationary variance of the position, of the velocity, and their covariance; s2 is the noise variance of a batch.

    Discrete: eta s2 (1+beta)/(h (1-beta)(2(1+beta) - eta h)), 2 s2/((1-beta)(2(1+beta) - eta h)), eta C_vv/2. Continuous: eta
    s2/(2 h (1-beta)), s2/(1-beta^2), 0.
    """
    if formula == "continuous":
        b = rule.momentum
        return rule.lr * s2 / (2 * h * (1 - b)), s2 / (1 - b**2), jnp.zeros_like(s2)
    ctt, cvv = step.stationary(rule.lr * h, rule.momentum)
    return rule.lr**2 * s2 * ctt, s2 * cvv, rule.lr * s2 * cvv / 2


def from_stationary(rule: MomentumSGD, h: Modes, s2: Modes, k: Float[Array, ""], formula: str) -> Modes:
    """E|theta_k - theta_0|^2 of every mode in the stationary state. Finite also for flat modes, whose position is not."""
    k = jnp.broadcast_to(k, h.shape)
    x = rule.lr * h
    if formula == "discrete":
        # 2 C_tt (1 - rho_k), with rho_k the autocorrelation; the factor h of 1 - rho_k cancels that of C_tt
        a, s = step.kick(x, rule.momentum, k), step.kick_sum(x, rule.momentum, jnp.maximum(k - 1, 0))
        below = (1 - rule.momentum) * (2 * (1 + rule.momentum) - x)
        return 2 * rule.lr**2 * s2 * (1 + rule.momentum) / below * (a / (1 + rule.momentum) + s)
    theta = rule.lr * s2 / (2 * (1 - rule.momentum))
    return 2 * theta * _lost(rule, h, rule.lr * k) / jnp.where(h == 0, 1.0, h)


def from_fixed(
    rule: MomentumSGD, h: Modes, s2: Modes, slope: Modes, velocity: Modes, k: Float[Array, ""], formula: str
) -> tuple[Modes, Modes]:
    """E|theta_k - theta_0|^2 of every mode from a given point and velocity: drift^2, variance.

    ``slope`` is the gradient there, h times the distance from the minimum: finite also for a flat mode, which has no minimum.
    """
    k = jnp.broadcast_to(k, h.shape)
    x, beta = rule.lr * h, rule.momentum
    if formula == "discrete":
        drift = -rule.lr * slope * step.kick_sum(x, beta, k) + velocity * rule.lr * beta * step.kick(x, beta, k)
        return drift**2, rule.lr**2 * s2 * step.kick_squares(x, beta, k)
    t = rule.lr * k
    lost, moved, safe = _lost(rule, h, t), _response(rule, h, t), jnp.where(h == 0, 1.0, h)
    theta, v, _ = variances(rule, safe, s2, "continuous")
    return (velocity * moved - slope / safe * lost) ** 2, theta * (1 - (1 - lost) ** 2) - v * moved**2


def from_epoch(rule: MomentumSGD, h: Modes, s2: Modes, samples: int, epoch: Float[Array, ""], k: Float[Array, ""]) -> Modes:
    """The variance after k steps of batches without replacement, from the beginning of an epoch of ``epoch`` batches.

    The noise of a batch has variance s2 (n-S)/(n-1), that of two batches of one epoch covariance -s2 S/(n-1), so that with a_j
    the kick of j steps ago: eta^2 s2 n/(n-1) [sum_j a_j^2 - (S/n) sum_epochs (sum_{j in epoch} a_j)^2].
    """
    x, beta = rule.lr * h, rule.momentum
    fraction = rule.batch_size / samples
    full = jnp.floor(k / epoch)

    def block(e: Array, total: Modes) -> Modes:
        # steps e*epoch ... of this epoch are k - e*epoch, ..., down to the end of the epoch or of the run, steps ago
        old, new = k - e * epoch, jnp.maximum(k - (e + 1) * epoch, 0)
        of_block = _sum_to(x, beta, old) - _sum_to(x, beta, new)
        return total + of_block**2

    blocks = lax.fori_loop(0, (full + 1).astype(jnp.int32), block, jnp.zeros_like(h))
    squares = step.kick_squares(x, beta, jnp.broadcast_to(k, h.shape))
    return rule.lr**2 * s2 * samples / (samples - 1) * (squares - fraction * blocks)


def _sum_to(x: Modes, beta: Any, k: Array) -> Modes:
    return step.kick_sum(x, beta, jnp.broadcast_to(k, x.shape).astype(x.dtype))


def paper_sum(rule: MomentumSGD, h: Modes, s2: Modes, last: int) -> Float[Array, " step"]:
    """The published sum, at steps 1, ..., ``last``: e_l [k + 2 sum_{j<=k} (k - j) C_l(j)], e_l = eta^2 s2/(1 - beta^2).

    A Riemann sum of a function of zero integral: its error grows linearly, with the slope (1-beta)/(3(1+beta)) e_l per step.
    Source: Kunin et al., arXiv:2107.09133, eq. 15.
    """
    each = rule.lr**2 * s2 / (1 - rule.momentum**2)
    gamma, square = rule.damping(), 2 * h / (rule.lr * (1 + rule.momentum))

    def add(carry: tuple[Modes, Modes], j: Array) -> tuple[tuple[Modes, Modes], Array]:
        once, twice = carry
        # sum_{j<=k} (k - j) C_j is the sum over i < k of the sums to i
        twice = twice + once
        value = jnp.sum(each * (j + 2 * twice))
        return (once + _velocity_correlation(gamma, square, rule.lr * j), twice), value

    zero = jnp.zeros_like(h)
    return lax.scan(add, (zero, zero), jnp.arange(1, last + 1, dtype=h.dtype))[1]


# ---- the damped oscillator in continuous time


def _parts(gamma: Real, square: Array, t: Array) -> tuple[Array, Array]:
    """e^{-gamma t} (cos Dt, sin(Dt)/D) of an oscillator, D^2 = omega^2 - gamma^2 of any sign; decaying exponentials only."""
    gap = square - gamma**2
    under = gap > 0
    d = jnp.sqrt(jnp.abs(gap))
    critical = d * t < 1e-7
    safe = jnp.where(critical, 1.0, d)
    slow, fast = jnp.exp(-square / (gamma + d) * t), jnp.exp(-(gamma + d) * t)
    decay = jnp.exp(-gamma * t)
    cosine = jnp.where(under, decay * jnp.cos(d * t), (slow + fast) / 2)
    sine = jnp.where(under, decay * jnp.sin(d * t) / safe, (slow - fast) / (2 * safe))
    return cosine, jnp.where(critical, decay * t, sine)


def _lost(rule: MomentumSGD, h: Modes, t: Array) -> Modes:
    """1 - [e^{-At}]_tt."""
    gamma, square = rule.damping(), 2 * h / (rule.lr * (1 + rule.momentum))
    d = jnp.sqrt(jnp.maximum(gamma**2 - square, 0.0))
    over = d > 1e-3 * gamma
    safe = jnp.where(over, d, 1.0)
    slow = -jnp.expm1(-square / (gamma + d) * t)
    split = (1 + gamma / safe) / 2 * slow + (1 - gamma / safe) / 2 * -jnp.expm1(-(gamma + d) * t)
    cosine, sine = _parts(gamma, square, t)
    return jnp.where(over, split, 1 - cosine - gamma * sine)


def _response(rule: MomentumSGD, h: Modes, t: Array) -> Modes:
    """[e^{-At}]_tv."""
    return _parts(rule.damping(), 2 * h / (rule.lr * (1 + rule.momentum)), t)[1]


def _velocity_correlation(gamma: Real, square: Array, t: Array) -> Array:
    """C(t) = e^{-gamma t} (cos Dt - gamma sin(Dt)/D)."""
    cosine, sine = _parts(gamma, square, t)
    return cosine - gamma * sine
