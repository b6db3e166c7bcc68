"""The Edwards-Anderson overlap of spins from one run, and time averages of a run's order parameters."""

from __future__ import annotations

import operator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float, Int, PyTree, Shaped

from quenched.numerics import checks
from quenched.observables.accumulators import AbstractAccumulator
from quenched.records.description import public
from quenched.records.labels import Label, register_label


class BlockSums(eqx.Module):
    """Sum of the spins in the running block of sweeps, over finished blocks, and the sum of the finished blocks' |sum|^2/N."""

    block: Float[Array, " n"]
    total: Float[Array, " n"]
    squares: Float[Array, ""]
    finished: Int[Array, ""]


@public
class EdwardsAnderson(AbstractAccumulator):
    """q = sum_i <sigma_i>^2/N, with <.> the time average over the steps after ``burn_in`` (default 0).

    The square of one time average is too large, by (1 - q)(correlation time)/(number of sweeps). Here the steps are cut into B
    blocks of ``block`` = L steps (default 20), and averages of different blocks are multiplied,

        edwards_anderson = sum_{b != b'} sbar_b.sbar_b'/(N B (B - 1)),

    so that only the ends of neighbouring blocks contribute: the bias is at most of order (1 - q)(correlation time/L)^2 2/B, and
    zero for independent sweeps. Steps of an unfinished block do not count; NaN before two are finished. Memory: 2 N + 2, at any
    number of steps.

    Raises ``ParameterError`` unless burn_in >= 0 and block >= 1 are integers.
    """

    burn_in: int = eqx.field(default=0, converter=operator.index)
    block: int = eqx.field(default=20, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("burn_in", self.burn_in, 0)
        checks.integer_at_least("block", self.block, 1)

    def init(self, weights: Shaped[Array, " n"]) -> BlockSums:
        zero = jnp.zeros(weights.shape, jnp.result_type(float))
        return BlockSums(zero, zero, jnp.zeros((), zero.dtype), jnp.zeros((), jnp.int32))

    def update(self, state: BlockSums, weights: Shaped[Array, " n"], step: Int[Array, ""]) -> PyTree:
        counted = step > self.burn_in
        block = state.block + jnp.where(counted, weights, 0).astype(state.block.dtype)
        done = counted & ((step - self.burn_in) % self.block == 0)
        finished = jnp.where(done, block, 0.0)
        return BlockSums(
            jnp.where(done, 0.0, block),
            state.total + finished,
            state.squares + jnp.mean(finished**2),
            state.finished + done,
        )

    def finish(self, state: BlockSums) -> dict[str, Array]:
        pairs = state.finished * (state.finished - 1) * self.block**2
        cross = jnp.mean(state.total**2) - state.squares
        return {"edwards_anderson": jnp.where(pairs > 0, cross / jnp.maximum(pairs, 1), jnp.nan)}


def time_averages(run: xr.Dataset, burn_in: Any = 0) -> xr.Dataset:
    """Every variable of a run averaged over its observations after step ``burn_in``; those without time as they are.

    Dimensions (disorder, replica, ...) stay, for ``mean_error``. Raises ``ParameterError`` where no observation is left.
    """
    steps = run["step"].values
    late = (steps > burn_in).nonzero()[0]
    if not late.size:
        raise checks.ParameterError(f"burn_in must be smaller than the last observed step, {steps[-1]}, got {burn_in!r}")
    return run.isel(t=late).mean("t", keep_attrs=True)


register_label("edwards_anderson", Label("Edwards-Anderson overlap", "q"))
