"""Streaming observables: what an engine carries through its steps, where recording every state would not fit into memory.

An accumulator treats ONE replica; the engine maps it over replicas and disorder. ``update`` runs after every step, with the
1-based number of that step. Steps and lags are static, so that a state has a fixed size; every class states its memory per
replica, with N weights.
"""

from __future__ import annotations

import abc
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from quenched.numerics import checks
from quenched.numerics.pytrees import dimension, flat
from quenched.observables.replica_distance import squared_distance
from quenched.records.description import public
from quenched.records.labels import Label, register_label


class AbstractAccumulator(eqx.Module):
    """A running summary of the states of one replica."""

    @abc.abstractmethod
    def init(self, weights: PyTree) -> PyTree:
        """State of the summary at step 0, from the starting weights: a pytree of arrays of fixed shapes and types."""

    @abc.abstractmethod
    def update(self, state: Any, weights: PyTree, step: Int[Array, ""]) -> PyTree:
        """The state after ``step`` >= 1, whose weights these are."""

    @abc.abstractmethod
    def finish(self, state: Any) -> dict[str, Array]:
        """The results, by name."""


class DisplacementState(eqx.Module):
    """Weights at each reference step, and the displacements seen so far (NaN: not yet)."""

    references: PyTree
    displacement: Float[Array, "waiting lag"]


@public
class MeanSquareDisplacement(AbstractAccumulator):
    """|w(tw + k) - w(tw)|^2/N for reference steps tw in ``starts`` and lags k in ``lags``, in steps.

    Result: ``mean_square_displacement`` (waiting, lag); half of it is B. An entry whose step is beyond the end of the run is
    NaN. Memory: (number of starts + 1) N; work per step the same. Recording the weights instead takes N times the number of
    observed steps.

    Raises ``ParameterError`` unless starts are distinct integers >= 0 and lags distinct integers >= 1.
    """

    starts: tuple[int, ...] = eqx.field(default=(0,), converter=lambda s: tuple(operator.index(i) for i in s))
    lags: tuple[int, ...] = eqx.field(default=(1, 2, 5, 10, 20, 50, 100), converter=lambda s: tuple(operator.index(i) for i in s))

    def __check_init__(self) -> None:
        for name, values, low in (("starts", self.starts, 0), ("lags", self.lags, 1)):
            if not values or len(set(values)) != len(values):
                raise checks.ParameterError(f"{name} must be distinct steps, at least one, got {values!r}")
            for value in values:
                checks.integer_at_least(name, value, low)

    def init(self, weights: PyTree) -> DisplacementState:
        references = jax.tree.map(lambda w: jnp.broadcast_to(w, (len(self.starts), *w.shape)), weights)
        return DisplacementState(references, jnp.full((len(self.starts), len(self.lags)), jnp.nan, _floating(weights)))

    def update(self, state: DisplacementState, weights: PyTree, step: Int[Array, ""]) -> DisplacementState:
        starts, lags = jnp.asarray(self.starts), jnp.asarray(self.lags)
        now = jax.vmap(lambda reference: squared_distance(weights, reference))(state.references)
        hit = step - starts[:, None] == lags
        displacement = jnp.where(hit, now[:, None].astype(state.displacement.dtype), state.displacement)
        reached = starts == step
        references = jax.tree.map(lambda r, w: jnp.where(reached.reshape(-1, *[1] * w.ndim), w, r), state.references, weights)
        return DisplacementState(references, displacement)

    def finish(self, state: DisplacementState) -> dict[str, Array]:
        return {"mean_square_displacement": state.displacement}


class MomentState(eqx.Module):
    """Number of states seen, their mean, and the sum of squared deviations from it (per weight, or summed over weights)."""

    seen: Int[Array, ""]
    mean: PyTree
    squares: PyTree


@public
class WeightMoments(AbstractAccumulator):
    """Time average and variance of every weight over the steps after ``burn_in``, by Welford's recursion.

    Results, flattened in the order of the pytree: ``time_average`` (parameter,) and ``time_variance`` (parameter,), the
    unbiased variance (NaN until two states were seen). Memory: 2 N. The recursion adds deviations, not squares: no cancellation
    in float32.
    """

    burn_in: int = eqx.field(default=0, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("burn_in", self.burn_in, 0)

    def init(self, weights: PyTree) -> MomentState:
        zero = jax.tree.map(lambda w: jnp.zeros(w.shape, _floating(w)), weights)
        return MomentState(jnp.zeros((), jnp.int32), zero, zero)

    def update(self, state: MomentState, weights: PyTree, step: Int[Array, ""]) -> MomentState:
        seen, mean, products = _welford(state.seen, state.mean, weights)
        squares = jax.tree.map(jnp.add, state.squares, products)
        return _from(step > self.burn_in, MomentState(seen, mean, squares), state)

    def finish(self, state: MomentState) -> dict[str, Array]:
        return {
            "time_average": flat(state.mean),
            "time_variance": _unbiased(flat(state.squares), state.seen),
        }


@public
class FrozenOverlap(AbstractAccumulator):
    """Overlap of the time-averaged weights with themselves, and the fluctuation around it, over the steps after ``burn_in``.

    With wbar the average over T states: ``frozen_overlap`` = |wbar|^2/N, the limit C(k -> infinity) of a stationary
    correlation, and ``fluctuation`` = sum_t |w(t) - wbar|^2/((T - 1) N), the limit B(k -> infinity). Correlated states make the
    first too large and the second too small, by (correlation time)/T. Memory: N + 1.
    """

    burn_in: int = eqx.field(default=0, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("burn_in", self.burn_in, 0)

    def init(self, weights: PyTree) -> MomentState:
        zero = jax.tree.map(lambda w: jnp.zeros(w.shape, _floating(w)), weights)
        return MomentState(jnp.zeros((), jnp.int32), zero, jnp.zeros((), _floating(weights)))

    def update(self, state: MomentState, weights: PyTree, step: Int[Array, ""]) -> MomentState:
        seen, mean, products = _welford(state.seen, state.mean, weights)
        total = sum((jnp.sum(p) for p in jax.tree.leaves(products)), start=jnp.zeros((), state.squares.dtype))
        squares = state.squares + total / dimension(weights)
        return _from(step > self.burn_in, MomentState(seen, mean, squares.astype(state.squares.dtype)), state)

    def finish(self, state: MomentState) -> dict[str, Array]:
        zero = jax.tree.map(jnp.zeros_like, state.mean)
        return {"frozen_overlap": squared_distance(state.mean, zero), "fluctuation": _unbiased(state.squares, state.seen)}


def _welford(seen: Int[Array, ""], mean: PyTree, weights: PyTree) -> tuple[Int[Array, ""], PyTree, PyTree]:
    """One more state: the new number, the new mean, and what it adds to the squared deviations."""
    seen = seen + 1
    before = jax.tree.map(lambda w, m: w.astype(m.dtype) - m, weights, mean)
    mean = jax.tree.map(lambda m, b: m + b / seen.astype(b.dtype), mean, before)
    products = jax.tree.map(lambda w, m, b: (w.astype(m.dtype) - m) * b, weights, mean, before)
    return seen, mean, products


def _from(active: Array, new: MomentState, old: MomentState) -> MomentState:
    return jax.tree.map(lambda n, o: jnp.where(active, n, o), new, old)


def _unbiased(squares: Array, seen: Int[Array, ""]) -> Array:
    return jnp.where(seen > 1, squares / jnp.maximum(seen - 1, 1).astype(squares.dtype), jnp.nan)


def _floating(weights: PyTree) -> Any:
    """The floating type of a sum over weights: that of the weights, the default for spins."""
    kind = jnp.result_type(*jax.tree.leaves(weights))
    return kind if jnp.issubdtype(kind, jnp.floating) else jnp.result_type(float)


register_label(
    "mean_square_displacement", Label("mean-square displacement per weight", "|w(t)-w(t_w)|^2/N", dims=("waiting", "lag"))
)
register_label("time_average", Label("time-averaged weights", r"\bar w", dims=("parameter",)))
register_label("time_variance", Label("variance of the weights in time", r"\overline{(w-\bar w)^2}", dims=("parameter",)))
register_label("frozen_overlap", Label("overlap of the time-averaged weights", r"|\bar w|^2/N"))
register_label("fluctuation", Label("fluctuation around the time average", r"\overline{|w-\bar w|^2}/N"))
