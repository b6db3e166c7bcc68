"""How far the weights move per step and along given directions, accumulated inside the loop: no trajectory is ever stored."""

from __future__ import annotations

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from quenched.numerics import checks
from quenched.numerics.pytrees import flat
from quenched.observables.accumulators import AbstractAccumulator
from quenched.records.description import public
from quenched.records.labels import Label, register_label

register_label("step_displacement", Label("squared step length, by block", r"|\theta_k-\theta_{k-1}|^2", dims=("block",)))
register_label("projection", Label("position along a direction", r"q\cdot(\theta-\theta_0)", dims=("record", "direction")))
register_label(
    "projected_velocity", Label("displacement of one step along a direction", r"q\cdot\delta", dims=("record", "direction"))
)


def log_spaced(last: int, per_decade: int = 10) -> tuple[int, ...]:
    """Steps 1, ..., ``last``, evenly spread in their logarithm, without repetition."""
    checks.integer_at_least("last", last, 1)
    checks.integer_at_least("per_decade", per_decade, 1)
    count = int(np.ceil(per_decade * np.log10(max(last, 2)))) + 1
    return tuple(sorted({int(k) for k in np.geomspace(1, last, count).round()}))


class StepState(eqx.Module):
    """The last weights, and the sum of squared steps and their number in every block."""

    last: PyTree
    sums: Float[Array, " block"]
    counts: Int[Array, " block"]


@public
class StepLength(AbstractAccumulator):
    """|theta_k - theta_{k-1}|^2 summed over all weights, averaged over ``blocks`` (default 10) equal parts of ``steps`` steps.

    Result: ``step_displacement`` (block,). Steps beyond ``steps`` count in the last block; a block without a step is NaN. Memory:
    N. Raises ``ParameterError`` unless 1 <= blocks <= steps.
    """

    steps: int = eqx.field(converter=operator.index)
    blocks: int = eqx.field(default=10, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("blocks", self.blocks, 1)
        checks.integer_at_least("steps", self.steps, self.blocks)

    def init(self, weights: PyTree) -> StepState:
        kind = jnp.result_type(float, *jax.tree.leaves(weights))
        return StepState(weights, jnp.zeros(self.blocks, kind), jnp.zeros(self.blocks, jnp.int32))

    def update(self, state: StepState, weights: PyTree, step: Int[Array, ""]) -> StepState:
        squares = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), weights, state.last)
        moved = jnp.asarray(sum(jax.tree.leaves(squares)), state.sums.dtype)
        block = jnp.minimum((step - 1) * self.blocks // self.steps, self.blocks - 1)
        return StepState(weights, state.sums.at[block].add(moved), state.counts.at[block].add(1))

    def finish(self, state: StepState) -> dict[str, Array]:
        seen = state.counts > 0
        return {"step_displacement": jnp.where(seen, state.sums / jnp.where(seen, state.counts, 1), jnp.nan)}


class ProjectionState(eqx.Module):
    """The projections of start and last weights, and the records so far (NaN: not yet)."""

    start: Float[Array, " direction"]
    last: Float[Array, " direction"]
    positions: Float[Array, "record direction"]
    velocities: Float[Array, "record direction"]


@public
class Projections(AbstractAccumulator):
    """q_l.(theta_k - theta_0) and q_l.(theta_k - theta_{k-1}) of given unit vectors, every ``every`` steps up to ``steps``.

    ``directions``: an array (direction, N), N weights in the order of the pytree. Results: ``projection``, ``projected_velocity``
    (record, direction), record r after step (r + 1) ``every``: the axes of a phase portrait, for ``circulation`` and
    ``power_spectrum``. Memory: 2 (steps/every + 1) per direction; work per step: one product with the directions.
    """

    directions: Any
    steps: int = eqx.field(converter=operator.index)
    every: int = eqx.field(default=1, converter=operator.index)

    def __check_init__(self) -> None:
        if getattr(self.directions, "ndim", 0) != 2:
            raise checks.ParameterError(f"directions must be an array (direction, N), got shape {np.shape(self.directions)}")
        checks.integer_at_least("every", self.every, 1)
        checks.integer_at_least("steps", self.steps, self.every)

    def init(self, weights: PyTree) -> ProjectionState:
        now = self._onto(weights)
        empty = jnp.full((self.steps // self.every, len(now)), jnp.nan, now.dtype)
        return ProjectionState(now, now, empty, empty)

    def _onto(self, weights: PyTree) -> Float[Array, " direction"]:
        vector = flat(weights)
        return jnp.asarray(self.directions, vector.dtype) @ vector

    def update(self, state: ProjectionState, weights: PyTree, step: Int[Array, ""]) -> ProjectionState:
        now = self._onto(weights)
        # a place beyond the buffer is dropped: steps in between, and those after the last record
        place = jnp.where(step % self.every == 0, step // self.every - 1, len(state.positions))
        return ProjectionState(
            state.start,
            now,
            state.positions.at[place].set(now - state.start, mode="drop"),
            state.velocities.at[place].set(now - state.last, mode="drop"),
        )

    def finish(self, state: ProjectionState) -> dict[str, Array]:
        return {"projection": state.positions, "projected_velocity": state.velocities}
