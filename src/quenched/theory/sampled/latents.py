"""The random variables of one effective sample at step 0: stratified, and matched to the moments of their law."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics.mixing import permutations


class Latents(eqx.Module):
    """Projections zeta (n, K), labels y (n,) and the standard normal w0 (n,) that starts the weight."""

    zeta: Float[Array, "n k"]
    y: Float[Array, " n"]
    w0: Float[Array, " n"]


def draw_latents(key: PRNGKeyArray, model: AbstractGaussianModel, n: int, dtype: Any) -> Latents:
    """n samples of the latent law with the exact fractions of every class, and first and second moments without error.

    Uniforms and normals are stratified (one number per n-quantile, in random order). Then the normals are made orthogonal to a
    constant, to the part of zeta that comes from the uniforms, and to each other; w0 is made orthogonal to all of these, to zeta
    and to y; all get variance 1. Averages of f zeta over the samples lose most of their noise.
    """
    k = model.directions
    key_order, key_jitter = jax.random.split(key)
    strata = permutations(key_order, k + 2, n)
    uniform = (strata[0].astype(dtype) + 0.5) / n
    # away from 0 and 1, where the quantile is infinite
    jitter = jax.random.uniform(key_jitter, (k + 1, n), dtype, 1e-3, 1 - 1e-3)
    normals = ndtri((strata[1:].astype(dtype) + jitter) / n)
    centres, labels = model.latent(jnp.zeros((n, k), dtype), uniform)
    basis = [jnp.ones(n, dtype)]
    for column in (*centres.T.astype(dtype), labels.astype(dtype)):
        basis.append(_orthogonal(column, basis))
    matched = []
    for column in normals[:k]:
        matched.append(_orthogonal(column, basis))
        basis.append(matched[-1])
    zeta, y = model.latent(jnp.stack(matched, 1), uniform)
    zeta, y = zeta.astype(dtype), y.astype(dtype)
    for column in (*zeta.T, y):
        basis.append(_orthogonal(column, basis))
    return Latents(zeta, y, _orthogonal(normals[k], basis))


def _orthogonal(x: Float[Array, " n"], basis: list[Array]) -> Float[Array, " n"]:
    """x minus its components along the basis (columns of mean square 1 or 0), rescaled to mean square 1; 0 if nothing is left of
    it."""
    size = jnp.mean(x**2)
    # twice is enough: the second pass removes the rounding of the first
    for column in (*basis, *basis):
        x = x - jnp.mean(x * column) * column
    rest = jnp.mean(x**2)
    kept = rest > 1e-8 * size
    return jnp.where(kept, x / jnp.sqrt(jnp.where(kept, rest, 1.0)), 0.0)
