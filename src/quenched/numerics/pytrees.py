"""Weights as a pytree of arrays: how many there are, and all of them as one vector."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Shaped


def dimension(weights: PyTree) -> int:
    """The number of weights."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(weights))


def flat(weights: PyTree) -> Shaped[Array, " parameter"]:
    """Every array of the pytree in turn, as one vector (N,)."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(weights)])
