"""Dynamics of spins by their local fields: sequential and parallel heat bath, and the stop where no spin would flip.

All rules decide by the same inequality. With u uniform, spin i flips with probability 1/(1 + exp(2 sigma_i h_i/T)), that is where

    sigma_i h_i < (T/2) log(u/(1 - u)),

a logistic random number; at T = 0 where sigma_i h_i < 0, so that a spin without field stays. Written so, a trajectory does not
change when spins and patterns are reflected at any set of sites.
"""

from __future__ import annotations

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Int8, PRNGKeyArray, UInt32

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.schedules import AbstractSchedule, number_or_schedule, rate_at
from quenched.dynamics.stops import AbstractStop
from quenched.models.base import AbstractModel, Disorder, Weights
from quenched.models.spins import AbstractCouplingModel, AbstractSpinModel
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public

# measured at N = 2000 with 1, 16 and 64 replicas: smaller blocks lose by calls, larger ones by repetitions
_BLOCK = 64


def thresholds(key: PRNGKeyArray, n: int, temperature: Real, dtype: Any) -> Float[Array, " n"]:
    """(T/2) log(u/(1 - u)) of every site: spin i flips where sigma_i h_i is smaller."""
    return 0.5 * jnp.asarray(temperature, dtype) * jax.random.logistic(key, (n,), dtype)


def heat_bath(spins: Float[Array, " n"], fields: Float[Array, " n"], thresholds: Float[Array, " n"]) -> Float[Array, " n"]:
    """The spins after each has met its field."""
    return jnp.where(spins * fields < thresholds, -spins, spins)


class SweepState(eqx.Module):
    """Spins, and what the order of visits follows from: key data and the number of sweeps made."""

    spins: Int8[Array, " n"]
    order: UInt32[Array, " k"]
    count: Int[Array, ""]


@public
class Glauber(AbstractDynamics):
    """Sequential heat bath at temperature T: a step is a sweep, in which every spin meets its field once, in random order.

    P(sigma_i = +1) = 1/(1 + exp(-2 h_i/T)); at T = 0 (default) sigma_i = sign h_i, unchanged where h_i = 0. Its equilibrium is
    exp(-H/T). The order is a new random permutation in every sweep, which the replicas of a disorder sample share: the fields
    of a block of sites are one matrix product for all replicas, and the order inside a block is obeyed by repeating the block
    until nothing changes any more, which is exactly what spins visited one after the other do (a lower triangular system has
    one solution). Cost of a sweep: N^2 per replica. Time is measured in sweeps. ``temperature`` may be a schedule of the sweep's
    number, to cool or to heat.

    ``SingleFlipStable`` stops a run at T = 0 when no spin would flip. Raises ``ParameterError`` for T < 0; refuses, by name, a
    model without a matrix of couplings.
    """

    temperature: float | AbstractSchedule = eqx.field(default=0.0, converter=number_or_schedule)

    def __check_init__(self) -> None:
        if not isinstance(self.temperature, AbstractSchedule):
            checks.non_negative("temperature", self.temperature)

    def check(self, model: AbstractModel) -> None:
        if not isinstance(model, AbstractCouplingModel):
            raise checks.IncompatibleError(
                f"Glauber needs a spin model with a matrix of couplings; {type(model).__name__} has none"
            )

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> SweepState:
        return SweepState(weights, jax.random.key_data(key), jnp.zeros((), jnp.int32))

    def step(self, model: Any, state: SweepState, disorder: Disorder, key: PRNGKeyArray) -> SweepState:
        couplings = model.couplings(disorder)
        n = couplings.shape[0]
        order = _common_order(n)(state.order, state.count)
        temperature = rate_at(self.temperature, state.count)
        spins = sweep(couplings, state.spins, thresholds(key, n, temperature, couplings.dtype), order)
        return SweepState(spins.astype(jnp.int8), state.order, state.count + 1)

    def weights(self, state: SweepState) -> Weights:
        return state.spins


def sweep(
    couplings: Float[Array, "n n"], spins: Int8[Array, " n"], thresholds: Float[Array, " n"], order: Int[Array, " n"]
) -> Float[Array, " n"]:
    """Every spin meets its field once, one after the other in the given order (a permutation of 0, ..., N - 1)."""
    n = couplings.shape[0]
    blocks = -(-n // _BLOCK)
    width = -(-n // blocks)
    # what is beyond the last site is site 0 once more, which then never flips
    padded = jnp.pad(order, (0, blocks * width - n)).reshape(blocks, width)
    real = (jnp.arange(blocks * width) < n).reshape(blocks, width)

    def block(k: Array, spins: Float[Array, " n"]) -> Float[Array, " n"]:
        sites = padded[k]
        rows = couplings[sites]
        old = spins[sites]
        new = _in_turn(rows @ spins, jnp.tril(rows[:, sites], -1), old, jnp.where(real[k], thresholds[sites], -jnp.inf))
        return spins.at[sites].add(new - old)

    return lax.fori_loop(0, blocks, block, spins.astype(couplings.dtype))


def _in_turn(
    fields: Float[Array, " b"], earlier: Float[Array, "b b"], spins: Float[Array, " b"], thresholds: Float[Array, " b"]
) -> Float[Array, " b"]:
    """Spins that meet, in turn, ``fields`` plus what the flips of the earlier ones add.

    The solution of sigma = heat_bath(spins, fields + earlier (sigma - spins)) by repetition: each pass settles at least one more
    spin for good, and the first pass that changes nothing is the solution.
    """

    def once(state: tuple[Array, Array]) -> tuple[Array, Array]:
        new, _ = state
        again = heat_bath(spins, fields + earlier @ (new - spins), thresholds)
        return again, jnp.any(again != new)

    first = heat_bath(spins, fields, thresholds)
    return lax.while_loop(lambda state: state[1], once, (first, jnp.any(first != spins)))[0]


def _common_order(n: int) -> Any:
    """The order of visits in sweep ``count``, the same for all replicas: mapped over replicas it stays one unmapped array.

    A row of couplings then is read once for all of them. The key is that of the first replica, whatever their number; the count
    is the largest, that of those that still move.
    """

    def draw(order: UInt32[Array, " k"], count: Int[Array, ""]) -> Int[Array, " n"]:
        key = jax.random.wrap_key_data(order, impl="threefry2x32")
        # equal numbers, which keep their order, are one in n 2^-32: compiling one sort is what costs
        return jnp.argsort(jax.random.bits(jax.random.fold_in(key, count), (n,))).astype(jnp.int32)

    common = jax.custom_batching.custom_vmap(draw)

    @common.def_vmap
    def of_replicas(axis_size: int, in_batched: list[bool], order: Array, count: Array) -> tuple[Array, bool]:
        return draw(order[0] if in_batched[0] else order, jnp.max(count)), False

    return common


@public
class ParallelGlauber(AbstractDynamics):
    """Parallel heat bath at temperature T (Little's dynamics): in a step every spin meets the field of the state before.

    At T = 0 (default) sigma_i = sign h_i, unchanged where h_i = 0. Its equilibrium is NOT exp(-H/T) but that of -T sum_i log 2
    cosh(h_i/T) (Peretto, Biol. Cybern. 50 (1984) 51), and at T = 0 it may end in a cycle of two states: compare ``Glauber`` or
    ``BlockGibbs`` with a theory of H. Cost of a step: one product with the couplings. Time is measured in steps.

    Raises ``ParameterError`` for T < 0; refuses, by name, a model without local fields.
    """

    temperature: float = eqx.field(default=0.0, converter=float)

    def __check_init__(self) -> None:
        checks.non_negative("temperature", self.temperature)

    def check(self, model: AbstractModel) -> None:
        _spin_model(self, model)

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        return weights

    def step(self, model: Any, state: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        fields = model.fields(state, disorder)
        limits = thresholds(key, fields.shape[0], self.temperature, fields.dtype)
        return heat_bath(state.astype(fields.dtype), fields, limits).astype(jnp.int8)

    def weights(self, state: Weights) -> Weights:
        return state


@public
class SingleFlipStable(AbstractStop):
    """Stop where no single spin would flip at T = 0: sigma_i h_i >= 0 at every site; tested every ``every`` steps (default 1).

    One test costs one product with the couplings. Refuses, by name, a model without local fields.
    """

    every: int = eqx.field(default=1, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("every", self.every, 1)

    def check(self, model: AbstractModel) -> None:
        _spin_model(self, model)

    def __call__(self, model: Any, weights: Weights, disorder: Disorder) -> Bool[Array, ""]:
        return jnp.all(weights * model.fields(weights, disorder) >= 0)


def _spin_model(asks: Any, model: AbstractModel) -> None:
    if not isinstance(model, AbstractSpinModel):
        raise checks.IncompatibleError(f"{type(asks).__name__} needs a spin model; {type(model).__name__} has no local fields")
