"""The baseline: annealed importance sampling from N(0, I) to a target, with Metropolis-adjusted Langevin moves (Neal 2001)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.numerics import checks
from quenched.numerics.annealed_importance import annealed_importance
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.sampling.neis import as_target, check_density, weight_variables
from quenched.sampling.targets import AbstractTarget, base_log_constant, base_log_density
from quenched.sampling.weights import weight_statistics

register_label("acceptance", Label("fraction of accepted moves", "a"))


class Walker(NamedTuple):
    """A particle x (d,), ln density and its gradient there, and how many of its moves were accepted."""

    x: Float[Array, " d"]
    log_density: Float[Array, ""]
    slope: Float[Array, " d"]
    accepted: Int[Array, ""]


class AnnealedWeights(NamedTuple):
    """Log weights (particles,), with mean Z_1/Z_0; the fraction of accepted moves."""

    log_weights: Float[np.ndarray, " n"]
    acceptance: float


def annealed_weights(
    target: AbstractTarget, *, rungs: int = 100, particles: int = 1000, step_size: float = 0.1, seed: int = 0
) -> AnnealedWeights:
    """Weights of ``particles`` independent walks up exp(-(1 - b) |x|^2/2) density(x)^b, b = 0, 1/K, ..., 1 with K = ``rungs``.

    After each increment one move y = x + tau grad + sqrt(2 tau) N(0, I), tau = ``step_size`` (default 0.1), accepted with the
    probability of Metropolis and Hastings. Density and gradient are kept between moves: K + 1 evaluations of each per particle.
    In float64. Raises ``ParameterError`` for counts below 1 and tau <= 0.
    """
    checks.integer_at_least("rungs", rungs, 1)
    checks.integer_at_least("particles", particles, 1)
    checks.positive("step_size", step_size)
    checks.seed(seed)
    with jax.enable_x64(True):
        logs, accepted = _walk(target, jax.random.key(seed), rungs, particles, step_size)
        return AnnealedWeights(np.asarray(logs), float(accepted) / rungs)


@eqx.filter_jit
def _walk(target: AbstractTarget, key: PRNGKeyArray, rungs: int, particles: int, tau: float) -> tuple[Array, Array]:
    def at(x: Float[Array, " d"], accepted: Int[Array, ""]) -> Walker:
        return Walker(x, *jax.value_and_grad(target.log_density)(x), accepted)

    def level(walker: Walker, b: Any) -> Any:
        """ln of the density in between: at b = 0 the target has no say, not even where it is zero."""
        return (1 - b) * base_log_density(walker.x) + jnp.where(b > 0, b * walker.log_density, 0.0)

    def drift(walker: Walker, b: Any) -> Any:
        return walker.x + tau * ((b - 1) * walker.x + b * walker.slope)

    def log_proposal(start: Walker, end: Walker, b: Any) -> Any:
        return -jnp.sum((end.x - drift(start, b)) ** 2) / (4 * tau)

    def increment(walker: Walker, low: Any, high: Any) -> Any:
        return (high - low) * (walker.log_density - base_log_density(walker.x))

    def move(own: PRNGKeyArray, walker: Walker, b: Any) -> Walker:
        key_noise, key_accept = jax.random.split(own)
        noise = jax.random.normal(key_noise, walker.x.shape)
        proposal = at(drift(walker, b) + jnp.sqrt(2 * tau) * noise, walker.accepted + 1)
        gain = level(proposal, b) - level(walker, b) + log_proposal(proposal, walker, b) - log_proposal(walker, proposal, b)
        accept = jnp.log(jax.random.uniform(key_accept)) < gain
        return jax.tree.map(lambda new, old: jnp.where(accept, new, old), proposal, walker)

    def draw(own: PRNGKeyArray) -> Walker:
        return at(jax.random.normal(own, (target.dimension,)), jnp.zeros((), jnp.int32))

    found = annealed_importance(key, draw, increment, move, jnp.linspace(0.0, 1.0, rungs + 1), particles)
    return found.log_weights, jnp.mean(found.states.accepted)


def annealed(
    log_density: AbstractTarget | Callable[[Any], Any],
    dimension: int | None = None,
    *,
    rungs: int = 100,
    particles: int = 1000,
    step_size: float = 0.1,
    seed: int = 0,
) -> xr.Dataset:
    """ln Z of exp(log_density(x)) on R^d by ``annealed_weights``, with the variables of ``neis`` and ``acceptance``.

    Few rungs give a mean that is carried by rare large weights: typical estimates are too small, and so are their errors; look
    at tail_index and largest_share. Raises ``ParameterError`` as ``neis`` does.
    """
    target = as_target(log_density, dimension)
    checks.seed(seed)
    with jax.enable_x64(True):
        check_density(target, jax.random.normal(jax.random.key(seed), (64, target.dimension)))
    found = annealed_weights(target, rungs=rungs, particles=particles, step_size=step_size, seed=seed)
    statistics = weight_statistics(found.log_weights)
    queries = particles * (rungs + 1)
    variables = {
        **weight_variables(statistics, statistics.value + base_log_constant(target.dimension), queries, queries),
        "acceptance": ((), found.acceptance),
    }
    arguments = {
        "engine": "annealed_langevin",
        "log_density": target,
        "rungs": rungs,
        "particles": particles,
        "step_size": step_size,
        "seed": seed,
    }
    return dataset(variables, {}, arguments)
