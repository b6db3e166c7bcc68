"""The partition function of a restricted Boltzmann machine, and of the Hopfield model that is its dual."""

from __future__ import annotations

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int8, PRNGKeyArray

from quenched.dynamics.block_gibbs import BlockGibbs
from quenched.dynamics.plan import DISORDER, STEP, stream
from quenched.models import BoltzmannMachine, Hopfield
from quenched.models.base import Disorder
from quenched.numerics import checks
from quenched.numerics.annealed_importance import annealed_importance, log_mean
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "spin_free_energy": Label("free energy per spin", "f"),
    "spin_free_energy_error": Label("standard error of the free energy per spin", r"\delta f"),
    "spin_free_energy_without_diagonal": Label("free energy per spin without the diagonal of the couplings", "f_0"),
    "effective_sample_size": Label("effective sample size", "n_{eff}"),
    "relative_variance": Label("relative variance of a weight", r"\mathrm{Var}\,w/(E\,w)^2"),
}.items():
    register_label(_name, _label)

ENOUGH = 5
"""Effective sample size below which nothing is believed: its own estimate, and that of the error, then rest on a few weights."""


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

    J has its diagonal here, as in replica theory. The ladder is linear in beta, one sweep of block Gibbs per rung (default 1000);
    at beta = 0, ln Z = N ln 2 and every state is equally likely. A network of Hopfield's is given its hidden units. The networks
    are those of ``simulate`` at the same seed.

    Dimension ``disorder``; variables spin_free_energy, spin_free_energy_without_diagonal (larger by sum_i J_ii/(2 N): J_ii = 0,
    as simulated), spin_free_energy_error (of the sampling, not over disorder), effective_sample_size (at most ``particles``,
    default 64), relative_variance. The estimate of Z is unbiased, that of f is biased upwards by about T relative_variance/(2 N
    particles).

    The work that is lost where order sets in grows with N/rungs, and rare particles that lose none carry the weight: at T well
    below that point take rungs of several N. Where many states compete, the 2 K archetypes at low temperature or those of the
    glass, particles stay in the state that caught them, those in the lowest carry all weight, and no number of rungs helps. Z is
    a sum over states: at finite N the lowest archetypes dominate it, and f lies below replica theory by O(N^-1/2). An effective
    sample size below 5, in any sample, is a ``QuenchedWarning``: value and error are then not to be believed.

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
    root = jax.random.key(np.uint32(seed), impl="threefry2x32")
    with jax.enable_x64(dtype == "float64"):
        ladder = jnp.linspace(0, 1 / float(temperature), rungs + 1, dtype=dtype)
        prepared = traced(machine, dtype)
        raw = [_log_weights(prepared, root, np.uint32(i), ladder, sizes, particles, dtype) for i in range(disorder)]
        found = [log_mean(np.asarray(log_weights)) for log_weights, _ in raw]
    fewest = min(one.effective_sample_size for one in found)
    if fewest < ENOUGH:
        warnings.warn(
            f"the effective sample size is {fewest:.1f} of {particles} particles, less than {ENOUGH}: the free energy and its "
            "error are not to be believed (more rungs help, unless many states compete)",
            checks.QuenchedWarning,
            stacklevel=2,
        )
    scale = float(temperature) / size
    free = np.array([-scale * (size * np.log(2) + one.value) for one in found])
    columns: dict[str, Any] = {
        "spin_free_energy": free,
        "spin_free_energy_without_diagonal": free + np.array([float(trace) for _, trace in raw]) / (2 * size),
        "spin_free_energy_error": np.array([scale * one.error for one in found]),
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
        "disorder": disorder,
        "seed": seed,
        "dtype": dtype,
    }
    variables = {name: ("disorder", column) for name, column in columns.items()}
    return dataset(variables, {"disorder": np.arange(disorder)}, provenance)


@eqx.filter_jit
def _log_weights(
    machine: BoltzmannMachine,
    root: PRNGKeyArray,
    sample: Any,
    ladder: Float[Array, " k"],
    sizes: tuple[int, ...],
    particles: int,
    dtype: str,
) -> tuple[Float[Array, " particles"], Float[Array, ""]]:
    """Log weights of one network, and the trace of its couplings."""
    disorder = machine.sample(stream(root, DISORDER, sample), sizes, jnp.dtype(dtype))

    def draw(own: PRNGKeyArray) -> Int8[Array, " n"]:
        return jax.random.rademacher(own, (sizes[-1],), jnp.int8)

    def increment(spins: Any, low: Any, high: Any) -> Any:
        return (high - low) * _signal(machine, spins, disorder)

    def move(own: PRNGKeyArray, spins: Any, beta: Any) -> Any:
        # a rule's own constructor wants a number, and here the temperature is traced
        rule = eqx.tree_at(lambda r: r.temperature, BlockGibbs(), 1 / beta)
        return rule.step(machine, spins, disorder, own)

    walked = annealed_importance(stream(root, STEP, sample), draw, increment, move, ladder, particles)
    return walked.log_weights, jnp.sum(disorder.weights**2) / sizes[-1]


def _signal(machine: BoltzmannMachine, spins: Any, disorder: Disorder) -> Float[Array, ""]:
    """-H with the diagonal: |W sigma|^2/(2 N)."""
    return jnp.sum(machine.hidden_means(spins, disorder) ** 2) / 2
