"""Distances between replicas: the noise of a dynamics that stops by itself.

Over-parametrised, the training loss goes to zero and SGD comes to rest: there is no stationary noise. What the noise did is
then measured by the mean squared distance per weight of replicas with the same data and start and independent batches
(arXiv:2112.10852).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float, PyTree

from quenched.numerics.checks import ParameterError
from quenched.numerics.pytrees import dimension


def squared_distance(first: PyTree, second: PyTree) -> Float[Array, ""]:
    """|w - w'|^2/N of two pytrees of one structure, N weights. The difference comes first: exact for close weights."""
    leaves = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    squares = [jnp.sum((_real(a) - _real(b)) ** 2) for a, b in leaves]
    return sum(squares[1:], start=squares[0]) / dimension(first)


def pair_distances(weights: PyTree) -> Float[Array, "replica replica"]:
    """|w_i - w_j|^2/N for every pair of R replicas. Each array of ``weights`` carries a leading replica axis.

    Memory: one more copy of the weights; work R^2 N. Differences are formed pair by pair, so that close replicas keep all digits.
    """
    _replicas(weights, 1)

    def row(one: PyTree) -> Float[Array, " replica"]:
        return jax.vmap(lambda other: squared_distance(one, other))(weights)

    return lax.map(row, weights)


def replica_distance(weights: PyTree) -> Float[Array, " replica"]:
    """Mean over the other replicas of |w_i - w_j|^2/N: the variable ``replica_distance`` of a Dataset. At least two replicas.

    The average over the R values is the mean over pairs. Work R N: with a_i = w_i - w_0, the sum over j of |a_i - a_j|^2 is
    R |a_i - mean a|^2 + sum_j |a_j - mean a|^2. Replicas that agree are at distance zero exactly.
    """
    replicas = _replicas(weights, 2)
    apart = jax.tree.map(lambda w: _real(w) - _real(w)[:1], weights)
    apart = jax.tree.map(lambda a: a - a.mean(0), apart)
    leaves = [jnp.sum(a.reshape(replicas, -1) ** 2, axis=1) for a in jax.tree.leaves(apart)]
    square = sum(leaves[1:], start=leaves[0])
    n = dimension(weights) // replicas
    return (replicas * square + square.sum()) / ((replicas - 1) * n)


def distance_from_correlation(ds: xr.Dataset) -> xr.DataArray:
    """dist(t) = 2 [C(t,t) - C12(t,t)] of two equivalent replicas, from the two-time functions of a theory (float64).

    ``ds`` holds ``correlation`` and ``replica_correlation``. A difference of large numbers: where the Dataset has
    ``replica_distance``, use that.
    """
    for name in ("correlation", "replica_correlation"):
        if name not in ds:
            raise ParameterError(
                f"the Dataset must hold {name!r} (solve with replicas=2, two_time=True), it has {sorted(map(str, ds))}"
            )
    if not np.array_equal(ds["t"].values, ds["t_prime"].values):
        raise ParameterError("correlations must be given at the same times along t and t_prime")
    index = xr.DataArray(range(ds.sizes["t"]), dims="t")
    excess = (ds["correlation"] - ds["replica_correlation"]).isel(t=index, t_prime=index)
    distance = (2 * excess).drop_vars([name for name in ("t_prime", "step_prime") if name in excess.coords])
    attributes = {"long_name": "replica distance", "symbol": r"|w^1-w^2|^2/N", "units": "1"}
    return distance.rename("replica_distance").assign_attrs(attributes)


def _real(leaf: Array) -> Array:
    """Spins and other integers as floats: differences of unsigned integers would wrap."""
    return leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.astype(jnp.result_type(float))


def _replicas(weights: PyTree, at_least: int) -> int:
    sizes = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(weights)}
    if len(sizes) != 1 or min(sizes) < at_least:
        raise ParameterError(f"every array must carry one leading axis of >= {at_least} replicas, got lengths {sorted(sizes)}")
    return sizes.pop()
