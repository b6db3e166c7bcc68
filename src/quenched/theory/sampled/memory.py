"""Memory of the effective process: sums over the past, sum_{u <= t} Gam(t, u) x(u), for many trajectories at once.

A memory keeps what it needs of the lanes x (arrays of trajectories, any shape and floating type) and is driven step by step:

    state = memory.init(lanes)
    at t = 0, period, 2 period, ...:   state = memory.settle(state, t)
    at every step t:                   state = memory.push(state, lanes, t);   memory.sums(state, row, now, t)

where row(s) is the kernel Gam(t, s) at all steps s < t (its values at s >= t are ignored) and ``now`` is Gam(t, t). Where
everything is stored follows from t alone, so that a whole run is one compiled loop.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from quenched.numerics import checks
from quenched.numerics.legendre import legendre_basis, merge_matrices
from quenched.numerics.mixing import check_power_of_two

_KEEP = 3
"""Blocks of one size that can be alive at a time: two or three, as the two oldest merge when a fourth is made."""


Tables = dict[str, Array]
"""(rows, columns) by floating type: one contiguous matrix holds all lanes of a type, and their sums are one product."""


class Past(eqx.Module):
    """What a memory keeps: steps as they are, moments of blocks of steps, and how the columns make up the lanes."""

    recent: Tables
    blocks: Tables
    layout: Any = eqx.field(static=True)


class AbstractMemory(eqx.Module):
    """The past of a run of ``rows`` steps."""

    rows: int

    @property
    @abc.abstractmethod
    def period(self) -> int:
        """Steps between two calls of ``settle``; divides ``rows``."""

    @property
    @abc.abstractmethod
    def stored(self) -> int:
        """Numbers that are kept for every entry of a lane."""

    @abc.abstractmethod
    def init(self, lanes: PyTree) -> Past:
        """Storage for lanes of the given shapes."""

    @abc.abstractmethod
    def settle(self, state: Past, t: Int[Array, ""]) -> Past:
        """Rearrange the past at the start of a period, t a multiple of ``period``, before step t is pushed."""

    @abc.abstractmethod
    def push(self, state: Past, lanes: PyTree, t: Int[Array, ""]) -> Past:
        """Store the lanes of step t."""

    @abc.abstractmethod
    def sums(self, state: Past, row: Float[Array, " rows"], now: Float[Array, ""], t: Int[Array, ""]) -> PyTree:
        """sum_{u < t} row(u) x(u) + now x(t) of every lane."""


class DenseMemory(AbstractMemory):
    """Keeps every past value: exact, O(N T) per step and of storage."""

    @property
    def period(self) -> int:
        return math.gcd(self.rows, 16)

    @property
    def stored(self) -> int:
        return self.rows

    def init(self, lanes: PyTree) -> Past:
        return Past(_room(lanes, self.rows), {}, _layout(lanes))

    def settle(self, state: Past, t: Int[Array, ""]) -> Past:
        return state

    def push(self, state: Past, lanes: PyTree, t: Int[Array, ""]) -> Past:
        return Past(_store(state.recent, lanes, t), {}, state.layout)

    def sums(self, state: Past, row: Float[Array, " rows"], now: Float[Array, ""], t: Int[Array, ""]) -> PyTree:
        steps = jnp.arange(self.rows)
        weights = jnp.where(steps < t, row, jnp.where(steps == t, now, 0.0))
        return _lanes({name: _contract(weights, table) for name, table in state.recent.items()}, state.layout)


class LegendreMemory(AbstractMemory):
    """The last 2 W steps as they are, and ``moments`` = k Legendre moments of every older dyadic block of W, 2 W, 4 W, ... steps.

    A block of B steps is at least B steps away from the present, where the kernel is a smooth function of its earlier time: the
    row is projected on polynomials of degree < k on every block (Galerkin), the lanes may be as rough as they like.
    O(N (W + k log(T/W))) per step and of storage. ``window`` = W, a power of two that divides ``rows``, >= k.

    At step t of period p = t // W the ring holds the steps from (p - 1) W on. Of the blocks of W 2^l steps (level l), block i
    covers steps i W 2^l onwards and stands in slot i mod 3; a_0 = max(0, p - 1) of level 0 have been made until then, and
    a_(l+1) = max(0, (a_l - 2) // 2) of the next level, each from two that are then forgotten.
    """

    window: int = 16
    moments: int = 4

    def __check_init__(self) -> None:
        check_power_of_two("window", self.window)
        if not 1 <= self.moments <= self.window:
            raise checks.ParameterError(f"moments must lie in [1, window={self.window}], got {self.moments!r}")
        if self.rows % self.window:
            raise checks.ParameterError(f"rows must be a multiple of window={self.window}, got {self.rows!r}")

    @property
    def period(self) -> int:
        return self.window

    @property
    def stored(self) -> int:
        return 2 * self.window + self.levels * _KEEP * self.moments

    @property
    def levels(self) -> int:
        """Number of block sizes that a run of ``rows`` steps needs."""
        count, made = 0, max(0, self.rows // self.window - 2)
        while made > 0:
            count, made = count + 1, max(0, (made - 2) // 2)
        return count

    def made(self, t: Int[Array, ""]) -> Int[Array, " counts"]:
        """a_0, ..., a_levels: blocks of every level made until step t; the last is 0."""
        counts = [jnp.maximum(0, t // self.window - 1)]
        for _ in range(self.levels):
            counts.append(jnp.maximum(0, (counts[-1] - 2) // 2))
        return jnp.stack(counts)

    def init(self, lanes: PyTree) -> Past:
        return Past(_room(lanes, 2 * self.window), _room(lanes, self.stored - 2 * self.window), _layout(lanes))

    def push(self, state: Past, lanes: PyTree, t: Int[Array, ""]) -> Past:
        return Past(_store(state.recent, lanes, t % (2 * self.window)), state.blocks, state.layout)

    def settle(self, state: Past, t: Int[Array, ""]) -> Past:
        """Merge what has to be merged, from the largest blocks down, and make a block of the older half of the ring."""
        if self.levels == 0:
            return state
        before, after = self.made(t - self.window), self.made(t)
        merging = jnp.asarray(np.stack([self._merging(level) for level in range(self.levels)]))
        basis, older = legendre_basis(self.window, self.moments), t // self.window - 2

        def merge(i: Int[Array, ""], blocks: Array) -> Array:
            level = self.levels - 2 - i
            new = after[level + 1] - 1
            halves = jnp.concatenate([self._block(blocks, level, 2 * new), self._block(blocks, level, 2 * new + 1)])
            return self._put(blocks, level + 1, new, merging[level], halves, after[level + 1] > before[level + 1])

        def settled(name: str, blocks: Array) -> Array:
            blocks = lax.fori_loop(0, self.levels - 1, merge, blocks)
            half = lax.dynamic_slice_in_dim(state.recent[name], older % 2 * self.window, self.window)
            return self._put(blocks, 0, older, jnp.asarray(basis), half, older >= 0)

        return Past(state.recent, {name: settled(name, blocks) for name, blocks in state.blocks.items()}, state.layout)

    def sums(self, state: Past, row: Float[Array, " rows"], now: Float[Array, ""], t: Int[Array, ""]) -> PyTree:
        ring = 2 * self.window
        # the last step that was stored in every place of the ring
        steps = t - (t - jnp.arange(ring)) % ring
        past = (steps >= (t // self.window - 1) * self.window) & (steps >= 0)
        near = jnp.where(past, jnp.where(steps == t, now, row[jnp.maximum(steps, 0)]), 0.0)
        sums = {name: _contract(near, table) for name, table in state.recent.items()}
        if self.levels > 0:
            far = self.project(row, t)
            sums = {name: x + _contract(far, state.blocks[name]) for name, x in sums.items()}
        return _lanes(sums, state.layout)

    def project(self, row: Float[Array, " rows"], t: Int[Array, ""]) -> Float[Array, " slots"]:
        """Moments of a kernel row on the blocks that are alive at step t, slot by slot; 0 for the others."""
        z = row.reshape(-1, self.window) @ jnp.asarray(legendre_basis(self.window, self.moments).T, row.dtype)
        made, found = self.made(t), []
        for level in range(self.levels):
            last = made[level] - 1
            index = last - (last - jnp.arange(_KEEP)) % _KEEP
            alive = index >= 2 * made[level + 1]
            found.append(jnp.where(alive[:, None], z[jnp.maximum(index, 0)], 0.0))
            pairs = z[: len(z) // 2 * 2].reshape(-1, 2 * self.moments)
            z = pairs @ jnp.asarray(self._merging(level).T, row.dtype)
        return jnp.concatenate(found).reshape(-1)

    def _merging(self, level: int) -> Float[np.ndarray, "k two_k"]:
        """Moments of a block of the next level from those of its two halves, one after the other."""
        return np.concatenate(merge_matrices(self.moments, self.window << level), axis=1)

    def _start(self, level: int | Int[Array, ""], index: Int[Array, ""]) -> Int[Array, ""]:
        return (level * _KEEP + index % _KEEP) * self.moments

    def _block(self, blocks: Array, level: int | Int[Array, ""], index: Int[Array, ""]) -> Array:
        return lax.dynamic_slice_in_dim(blocks, self._start(level, index), self.moments)

    def _put(
        self, blocks: Array, level: int | Int[Array, ""], index: Int[Array, ""], matrix: Array, values: Array, really: Array
    ) -> Array:
        # the slot is written in any case, if only with what it holds: a branch would copy the storage
        value = jnp.where(really, matrix.astype(values.dtype) @ values, self._block(blocks, level, index))
        return lax.dynamic_update_slice_in_dim(blocks, value, self._start(level, index), 0)


def _layout(lanes: PyTree) -> Any:
    leaves, structure = jax.tree.flatten(lanes)
    return tuple((str(x.dtype), x.shape) for x in leaves), structure


def _columns(lanes: PyTree) -> Tables:
    """Lanes side by side, by floating type."""
    parts: dict[str, list[Array]] = {}
    for x in jax.tree.leaves(lanes):
        parts.setdefault(str(x.dtype), []).append(x.reshape(-1))
    return {name: jnp.concatenate(x) for name, x in parts.items()}


def _lanes(columns: Tables, layout: Any) -> PyTree:
    """The inverse of ``_columns``."""
    shapes, structure = layout
    leaves, used = [], dict.fromkeys(columns, 0)
    for name, shape in shapes:
        start, size = used[name], math.prod(shape)
        leaves.append(columns[name][start : start + size].reshape(shape))
        used[name] = start + size
    return jax.tree.unflatten(structure, leaves)


def _room(lanes: PyTree, rows: int) -> Tables:
    return {name: jnp.zeros((rows, x.shape[0]), x.dtype) for name, x in _columns(lanes).items()}


def _store(tables: Tables, lanes: PyTree, at: Int[Array, ""]) -> Tables:
    columns = _columns(lanes)
    return {name: lax.dynamic_update_index_in_dim(table, columns[name], at, 0) for name, table in tables.items()}


def _contract(weights: Float[Array, " rows"], table: Float[Array, "rows columns"]) -> Float[Array, " columns"]:
    """sum_r weights(r) table(r), in the precision of the table: one pass over it."""
    return weights.astype(table.dtype) @ table
