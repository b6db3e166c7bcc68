"""What the engine is told and what it carries: shapes, what replicas share, what is measured; keys of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Integer, Key, PRNGKeyArray, PyTree

from quenched.dynamics.base import ChainState
from quenched.dynamics.stops import AbstractStop
from quenched.models.base import Disorder, Weights

Observable = Callable[[Any, Weights, Disorder], Any]
Rows = dict[str, Array]

# streams of random numbers: one number each, so that no two uses of a seed ever share a key
DISORDER, START, INIT, STEP = range(4)


class Plan(eqx.Module):
    """What is done besides moving: shapes, what replicas share, what is measured. Everything but floats is static under ``jit``.

    ``slots`` is the number of observations that one call of ``advance`` can hold.
    """

    sizes: tuple[int, ...]
    replicas: int
    slots: int
    dtype: str
    share_start: bool = False
    share_batches: bool = False
    distance: bool = False
    snapshots: bool = False
    observables: Mapping[str, Observable] = eqx.field(default_factory=dict)
    final: Mapping[str, Observable] = eqx.field(default_factory=dict)
    accumulators: tuple[Any, ...] = ()
    stop: AbstractStop | None = None


class Carry(eqx.Module):
    """State between steps, of all replicas of one disorder sample: -1 in ``first_bad`` and ``stopped`` means never."""

    chain: ChainState
    first_bad: Int[Array, " replica"]
    stopped: Int[Array, " replica"]
    accumulators: tuple[PyTree, ...]


def stream(root: PRNGKeyArray, purpose: int, sample: Integer[Array, ""] | int) -> PRNGKeyArray:
    """The key of one purpose in one disorder sample."""
    return jax.random.fold_in(jax.random.fold_in(root, purpose), sample)


def replica_keys(key: PRNGKeyArray, replicas: int, shared: bool) -> Key[Array, ...]:
    """One key per replica; a single key, that of replica 0, if they share it."""
    if shared:
        return jax.random.fold_in(key, 0)
    return jax.vmap(lambda r: jax.random.fold_in(key, r))(jnp.arange(replicas, dtype=jnp.uint32))


def slots_of(observed: np.ndarray, first: int, last: int, length: int | None = None) -> np.ndarray:
    """For steps first, ..., first + length - 1: the row of an observation after the step, -1 for none or beyond ``last``."""
    slots = np.full(last - first if length is None else length, -1, np.int32)
    inside = observed[(observed > first) & (observed <= last)]
    slots[inside - first - 1] = np.arange(len(inside))
    return slots
