"""Closed-form test errors of single-layer classifiers from the order parameters m = w.v/d and C = |w|^2/d."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import erf, erfc
from jaxtyping import Array, Float

from quenched.numerics.precision import Real


def two_cluster_error(overlap: Float[Array, ...], norm: Float[Array, ...], noise: Real) -> Float[Array, ...]:
    """Error of sign(w.x) on two clusters, erfc(m / sqrt(2 Delta C)) / 2, for any imbalance (no threshold).

    Source: arXiv:2006.06098.
    """
    return 0.5 * erfc(_over(overlap, jnp.sqrt(2 * noise * norm)))


def three_cluster_error(overlap: Float[Array, ...], norm: Float[Array, ...], noise: Real, width: Real) -> Float[Array, ...]:
    """Error of sign(r^2 - L^2) on three clusters: with S = sqrt(2 Delta C),

        eps = erfc(L/S)/2 + [erf((L - m)/S) + erf((L + m)/S)]/4.

    Source: arXiv:2006.06098.
    """
    s = jnp.sqrt(2 * noise * norm)
    return 0.5 * erfc(width / s) + 0.25 * (erf(_over(width - overlap, s)) + erf(_over(width + overlap, s)))


def teacher_error(overlap: Float[Array, ...], norm: Float[Array, ...]) -> Float[Array, ...]:
    """Error of a student perceptron of a sign teacher, arccos(m / sqrt(C)) / pi (teacher norm |v|^2 = d)."""
    return jnp.arccos(jnp.clip(_over(overlap, jnp.sqrt(norm)), -1.0, 1.0)) / jnp.pi


def _over(a: Float[Array, ...], s: Float[Array, ...]) -> Float[Array, ...]:
    """a/s with 0/0 = 0: weights that vanish (a start of variance 0) guess."""
    return jnp.where(a == 0, 0.0, a / s)
