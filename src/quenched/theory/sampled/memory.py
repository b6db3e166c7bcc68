"""Memory of the effective process: sums over the past, sum_{u <= t} Gam(t, u) x(u), for many trajectories at once."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

_ROWS = 8
"""Past steps per turn of the loop: they fuse into one pass over the accumulator, which stays in cache."""


class DenseMemory(eqx.Module):
    """Keeps every past value: exact, O(N t) per step and O(N T) of storage, ``rows`` = T a multiple of 8.

    Another representation of the past replaces it by giving the same four methods. ``coefficients`` is whatever represents one
    row of the kernel; here the row itself, zero beyond the present.
    """

    rows: int

    def init(self, lanes: PyTree) -> PyTree:
        """Storage for lanes of the given shapes."""
        return jax.tree.map(lambda x: jnp.zeros((self.rows, *x.shape), x.dtype), lanes)

    def push(self, state: PyTree, lanes: PyTree, t: Int[Array, ""]) -> PyTree:
        """Store the lanes of step t."""
        return jax.tree.map(lambda past, x: lax.dynamic_update_index_in_dim(past, x, t, 0), state, lanes)

    def row(self, past: Float[Array, " rows"], now: Float[Array, ""], t: Int[Array, ""]) -> Float[Array, " rows"]:
        """Coefficients of Gam(t, .) from its estimates at all steps and its value at u = t."""
        steps = jnp.arange(self.rows)
        return jnp.where(steps < t, past, jnp.where(steps == t, now, 0.0))

    def apply(self, state: PyTree, row: Float[Array, " rows"], t: Int[Array, ""]) -> PyTree:
        """sum_{u <= t} row(u) x(u) of every lane.

        The trip count is that of the past, not of the buffer, so that a run costs T^2/2 rows; loops with traced bounds
        differentiate forward.
        """
        leaves, structure = jax.tree.flatten(state)
        weights = row.astype(leaves[0].dtype)

        def block(b: Int[Array, ""], sums: list[Array]) -> list[Array]:
            for k in range(_ROWS):
                u = b * _ROWS + k
                rows = [lax.dynamic_index_in_dim(x, u, 0, keepdims=False) for x in leaves]
                sums = [total + weights[u] * x for total, x in zip(sums, rows, strict=True)]
            return sums

        sums = lax.fori_loop(0, t // _ROWS + 1, block, [jnp.zeros(x.shape[1:], x.dtype) for x in leaves])
        return jax.tree.unflatten(structure, sums)
