"""Response: fields on the pre-activation that estimate the kernel Gam."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.numerics.mixing import hadamard_row, permutations, walsh_hadamard

Tangent = Float[Array, "replica field n"]


class SignProbes(eqx.Module):
    """Random fields e(t) = +-1 per trajectory: <x(t) e(s)> estimates dx(t)/de(s) for every s at once.

    e(s) is a row of the Hadamard matrix, drawn without replacement, with a random sign: fields of different times are exactly
    orthogonal, so that there is no noise at all where the curvature is the same for all trajectories. The noise at (t, s) is the
    average of a response with e(s) e(s'), another row: rows in random order and signs make it differ from one pair of times
    and from one probe to the next, where rows in natural order would repeat it for all pairs of equal s XOR s'. After N steps
    the rows are used again with new signs per trajectory. The average over trajectories for all s is one fast transform and no
    field is stored.
    """

    columns: Float[Array, "replica field epoch n"]
    order: Int[Array, "replica field epoch k"]
    flips: Float[Array, "replica field epoch k"]

    @classmethod
    def draw(cls, key: PRNGKeyArray, replicas: int, probes: int, rows: int, n: int, dtype: Any) -> SignProbes:
        """Independent fields for every replica and probe, for at least ``rows`` steps."""
        shape = (replicas, probes, -(-rows // n))
        key_columns, key_order, key_flips = jax.random.split(key, 3)
        used = min(n, rows)
        order = permutations(key_order, shape[0] * shape[1] * shape[2], n)[:, :used].reshape(*shape, used)
        flips = jax.random.rademacher(key_flips, order.shape, dtype)
        return cls(jax.random.rademacher(key_columns, (*shape, n), dtype), order, flips)

    def field(self, t: Int[Array, ""]) -> Tangent:
        """e(t)."""
        n, dtype = self.columns.shape[-1], self.columns.dtype
        epoch, k = t // n, t % n
        rows = jax.vmap(jax.vmap(lambda i: hadamard_row(i, n, dtype)))(self.order[:, :, epoch, k])
        return self.columns[:, :, epoch] * self.flips[:, :, epoch, k, None] * rows

    def project(self, x: Tangent, rows: int) -> Float[Array, " rows"]:
        """<x e(s)> for s = 0, ..., rows - 1, averaged over trajectories, probes and replicas."""
        mixed = walsh_hadamard(self.columns * x[:, :, None]) / x.shape[-1]
        found = self.flips * jnp.take_along_axis(mixed, self.order, axis=-1)
        return jnp.mean(found, axis=(0, 1)).reshape(-1)[:rows]


class Impulses(eqx.Module):
    """One unit field per step: field s acts at time s only, so that its tangent is the exact derivative of every trajectory."""

    shape: tuple[int, int, int]

    def field(self, t: Int[Array, ""]) -> Tangent:
        """1 in the field of step t, for every trajectory."""
        return jnp.broadcast_to((jnp.arange(self.shape[1]) == t)[:, None].astype(jnp.float32), self.shape)

    def project(self, x: Tangent, rows: int) -> Float[Array, " rows"]:
        """<dx/de(s)>, averaged over trajectories and replicas."""
        return jnp.mean(x, axis=(0, 2))[:rows]
