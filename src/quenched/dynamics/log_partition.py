"""The partition function of a restricted Boltzmann machine, and of the Hopfield model that is its dual."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int8, PRNGKeyArray

from quenched.dynamics.block_gibbs import BlockGibbs
from quenched.models import BoltzmannMachine, Hopfield
from quenched.models.base import Disorder
from quenched.numerics import checks
from quenched.numerics.annealed_importance import annealed_importance, log_mean
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "free_energy": Label("free energy per spin, diagonal of the couplings included", "f"),
    "effective_sample_size": Label("effective sample size", "n_{eff}"),
    "relative_variance": Label("relative variance of a weight", r"\mathrm{Var}\,w/(E\,w)^2"),
}.items():
    register_label(_name, _label)


def log_partition(
    model: BoltzmannMachine | Hopfield,
    temperature: float | int,
    *,
    size: int,
    rungs: int = 1000,
    particles: int = 64,
    disorder: int = 1,
    seed: int = 0,
    dtype: str = "float32",
) -> xr.Dataset:
    """f = -T ln Z/N by annealed importance sampling from infinite temperature, Z = sum_sigma exp(sum_ij J_ij s_i s_j/(2 T)).

    J has its constant diagonal here, as in replica theory (``spin_free_energy`` of ``theory.hopfield``); without it f is larger
    by sum_i J_ii/(2 N). The ladder is linear in beta, one sweep of block Gibbs per rung; at beta = 0, ln Z = N ln 2 and every
    state is equally likely. A network of Hopfield's is given its hidden units.

    Dimension ``disorder``; variables free_energy, free_energy_error (of the sampling, not over disorder),
    effective_sample_size, relative_variance. The estimate of Z is unbiased, that of f is biased upwards by about T
    relative_variance/(2 N particles). Annealing finds the states that cooling finds: at low load that is retrieval, above it
    the glass, whose barriers make the effective sample size collapse.

    Raises ``ParameterError`` for T <= 0 and for fewer than one rung, particle or sample. Source: Neal (2001); Salakhutdinov,
    Murray, ICML 2008 (Boltzmann machines).
    """
    machine = BoltzmannMachine(model) if isinstance(model, Hopfield) else model
    checks.instance("model", machine, BoltzmannMachine)
    checks.positive("temperature", float(temperature))
    for name, value in (("rungs", rungs), ("particles", particles), ("disorder", disorder)):
        checks.integer_at_least(name, value, 1)
    checks.seed(seed)
    checks.one_of("dtype", dtype, ("float32", "float64"))
    sizes = machine.sizes(size)
    ladder = jnp.linspace(0, 1 / float(temperature), rungs + 1, dtype=dtype)
    keys = jax.random.split(jax.random.key(seed), disorder)
    prepared = traced(machine, dtype)
    found = [log_mean(np.asarray(_log_weights(prepared, key, ladder, sizes, particles, dtype))) for key in keys]
    scale = float(temperature) / size
    values = np.array([-scale * (size * np.log(2) + one.value) for one in found])
    columns: dict[str, Any] = {
        "free_energy": values,
        "free_energy_error": np.array([scale * one.error for one in found]),
        "effective_sample_size": np.array([one.effective_sample_size for one in found]),
        "relative_variance": np.array([one.relative_variance for one in found]),
    }
    provenance = {
        "engine": "annealed_importance",
        "model": machine,
        "temperature": float(temperature),
        "size": size,
        "rungs": rungs,
        "particles": particles,
        "seed": seed,
        "dtype": dtype,
    }
    variables = {name: ("disorder", column) for name, column in columns.items()}
    return dataset(variables, {"disorder": np.arange(disorder)}, provenance)


@eqx.filter_jit
def _log_weights(
    machine: BoltzmannMachine, key: PRNGKeyArray, ladder: Float[Array, " k"], sizes: tuple[int, ...], particles: int, dtype: str
) -> Float[Array, " particles"]:
    key_disorder, key_walk = jax.random.split(key)
    disorder = machine.sample(key_disorder, sizes, jnp.dtype(dtype))

    def draw(own: PRNGKeyArray) -> Int8[Array, " n"]:
        return jax.random.rademacher(own, (sizes[-1],), jnp.int8)

    def increment(spins: Any, low: Any, high: Any) -> Any:
        return (high - low) * _signal(machine, spins, disorder)

    def move(own: PRNGKeyArray, spins: Any, beta: Any) -> Any:
        # the last field of a rule is its temperature, which here is traced
        rule = eqx.tree_at(lambda r: r.temperature, BlockGibbs(), 1 / beta)
        return rule.step(machine, spins, disorder, own)

    return annealed_importance(key_walk, draw, increment, move, ladder, particles).log_weights


def _signal(machine: BoltzmannMachine, spins: Any, disorder: Disorder) -> Float[Array, ""]:
    """-H with the diagonal: |W sigma|^2/(2 N)."""
    return jnp.sum(machine.hidden_means(spins, disorder) ** 2) / 2
