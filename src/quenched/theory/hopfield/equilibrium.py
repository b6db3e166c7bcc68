"""Replica-symmetric states of a Hopfield model, as a Dataset with the names of the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from quenched.models.hopfield import Hopfield
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.hopfield.example import example_state
from quenched.theory.hopfield.fields import State
from quenched.theory.hopfield.glass import spin_glass
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.retrieval import retrieval

STATES = ("archetype", "example", "spin_glass")
"""Which solution: retrieval of the archetype, of one example, or none (paramagnet above the spin-glass temperature)."""

for _name, _label in {
    "spin_susceptibility": Label("susceptibility of the spins", "C"),
    "spin_free_energy": Label("free energy per spin", "f"),
    "replicon": Label("smallest eigenvalue of the replica-symmetric stability", r"\Lambda"),
    "other_example_overlap": Label("overlap with the other examples of the archetype", "n'"),
}.items():
    register_label(_name, _label)


def equilibrium(
    model: Hopfield, temperature: float | int = 0.0, *, state: str = "archetype", average: str = "auto"
) -> xr.Dataset:
    """Order parameters of a Hopfield model in the limit N -> infinity at fixed load K/N and M examples, replica symmetric.

    With the gauge xi = 1 and h = (1/(M Gamma)) sum_a n_a chi_a + sqrt(load p) z, z ~ N(0, 1),

        m = E tanh(beta h),  n_a = E chi_a tanh(beta h),  q = E tanh^2(beta h),  C = beta (1 - q),
        p = q sum_k mu_k lambda_k^2/(1 - lambda_k C)^2,

    lambda_k the eigenvalues of the covariance of one archetype's stored patterns. ``state``: "archetype" (all n_a equal; the
    stable one of its solutions), "example" (one n_a larger, unsupervised only), or "spin_glass" (m = n = 0; q = 0 above the
    spin-glass temperature). ``average``: "binomial" is exact in M, "gaussian" the large-M form, "auto" (default) binomial up to
    2000 examples. ``temperature`` (default 0) is in the model's own units, as in the simulation.

    Scalar variables: archetype_overlap m, example_overlap (mean n_a), largest_example_overlap, edwards_anderson q,
    spin_susceptibility C, spin_energy (J_ii = 0, as simulated), spin_free_energy (with the constant diagonal of J; at T = 0 the
    energy with it), replicon 1 - load beta^2 sum_k mu_k lambda_k^2/(1 - lambda_k C)^2 E sech^4(beta h), negative where replica
    symmetry is broken, as it always is at T = 0 (-inf there, where load > 0); other_example_overlap for "example".

    Raises ``NoSolutionError`` where the state does not exist (for the archetype with its critical load), ``ParameterError`` for
    T < 0, 0 < T < 0.001 R/Gamma, an unknown state or average, ``IncompatibleError`` for "example" with the supervised rule.
    Sources: arXiv:2109.00454, arXiv:2203.01304; Amit, Gutfreund, Sompolinsky, Ann. Phys. 173 (1987) 30.
    """
    checks.one_of("state", state, STATES)
    law = PatternLaw.of(model, average)
    checks.non_negative("temperature", float(temperature))
    # without normalisation the couplings, hence energies and temperatures, are R times those of this room
    unit = 1.0 if model.normalise else law.second_moment
    extra: dict[str, float] = {}
    reduced = float(temperature) / unit
    if state == "example":
        found, other = example_state(law, model.load, reduced)
        extra["other_example_overlap"] = other
    else:
        found = (retrieval if state == "archetype" else spin_glass)(law, model.load, reduced)
    free, energy = free_energy(law, found), energy_with_diagonal(law, found) + diagonal(law, found.load)
    scalars = {
        "archetype_overlap": found.m,
        "example_overlap": found.n,
        "largest_example_overlap": found.largest,
        "edwards_anderson": found.q,
        "spin_susceptibility": found.susceptibility / unit,
        "spin_energy": energy * unit,
        "spin_free_energy": free * unit,
        "replicon": replicon(law, found),
        **extra,
    }
    provenance: dict[str, Any] = {
        "engine": "replica_symmetric",
        "model": model,
        "temperature": float(temperature),
        "state": state,
        "average": law.average,
    }
    return dataset({name: ((), np.float64(value)) for name, value in scalars.items()}, {}, provenance)


def free_energy(law: PatternLaw, state: State) -> float:
    """f per spin, the constant diagonal of J included, units Gamma = R.

    -beta f = ln 2 + E ln cosh(beta h) - beta sum_a n_a^2/(2 M R) - (load/2) sum_k mu_k [ln(1 - lambda_k C) - beta lambda_k
    q/(1 - lambda_k C)] - (load beta^2/2) p (1 - q).
    """
    t, c, q = state.temperature, state.susceptibility, state.q
    if t == 0:
        return energy_with_diagonal(law, state)
    values, counts = law.spectrum
    gap = 1 - values * c
    spins = np.log(2) + state.fields.average(_log_cosh, t) - state.square / (2 * law.second_moment * t)
    noise = state.load / 2 * float(np.sum(counts * (np.log(gap) - values * q / (t * gap))))
    p = q * float(law.noise(c))
    return float(-t * (spins - noise) + state.load / (2 * t) * p * (1 - q))


def energy_with_diagonal(law: PatternLaw, state: State) -> float:
    """d(beta f)/d beta, the constant diagonal of J included.

    -sum_a n_a^2/(2 M R) - (load/2) sum_k mu_k lambda_k [1/(1 - lambda_k C) + lambda_k q C/(1 - lambda_k C)^2].
    """
    c, q = state.susceptibility, state.q
    values, counts = law.spectrum
    gap = 1 - values * c
    return float(
        -state.square / (2 * law.second_moment) - state.load / 2 * np.sum(counts * values * (1 / gap + values * q * c / gap**2))
    )


def diagonal(law: PatternLaw, load: float) -> float:
    """What the energy gains when the diagonal of J is dropped: sum_i J_ii/(2 N)."""
    return load / 2 if law.rule == "supervised" else load / (2 * law.second_moment)


def replicon(law: PatternLaw, state: State) -> float:
    """1 - load beta^2 g(C) E sech^4(beta h); positive where replica symmetry is stable (de Almeida-Thouless)."""
    if state.load == 0:
        return 1.0
    t = state.temperature
    if t == 0:
        return -np.inf
    return float(1 - state.load / t**2 * law.noise(state.susceptibility) * state.fields.average(_fourth, t))


def _log_cosh(x: np.ndarray) -> np.ndarray:
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(2)


def _fourth(x: np.ndarray) -> np.ndarray:
    return (1 - np.tanh(x) ** 2) ** 2
