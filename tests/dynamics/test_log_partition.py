"""Partition functions of restricted Boltzmann machines against enumeration and against replica theory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

import quenched as qd
from quenched.dynamics import BlockGibbs, log_partition
from quenched.models import BoltzmannMachine, Hopfield
from quenched.numerics.checks import ParameterError, QuenchedWarning


def _weights(network: Hopfield, size: int, disorder: int, dtype: str = "float32") -> np.ndarray:
    """W (disorder, P, N) of the networks that ``simulate`` draws with the same seed."""

    def weights(model, spins, disorder):
        return disorder.weights

    options = {"steps": 1, "times": [1], "size": size, "disorder": disorder, "dtype": dtype}
    run = qd.simulate(BoltzmannMachine(network), BlockGibbs(), final={"hidden": weights}, **options)
    return run["hidden"].values[:, 0].astype(float)


@pytest.mark.parametrize(("rule", "dtype"), [("unsupervised", "float32"), ("supervised", "float64")])
def test_a_small_machine_by_enumeration(rule: str, dtype: str) -> None:
    network, temperature = Hopfield(load=0.25, examples=3, quality=0.6, rule=rule), 0.7
    found = log_partition(network, temperature, size=12, rungs=300, particles=500, disorder=2, dtype=dtype)
    spins = np.array(list(itertools.product([-1, 1], repeat=12)))
    for i, weights in enumerate(_weights(network, 12, 2, dtype)):
        couplings = weights.T @ weights / 12
        error = float(found["spin_free_energy_error"][i])
        for name, matrix in (
            ("spin_free_energy", couplings),
            ("spin_free_energy_without_diagonal", couplings - np.diag(np.diag(couplings))),
        ):
            exponents = np.einsum("si,ij,sj->s", spins, matrix, spins) / (2 * temperature)
            assert abs(float(found[name][i]) + temperature * logsumexp(exponents) / 12) < 4 * error
        assert float(found["effective_sample_size"][i]) > 300


@pytest.mark.slow
def test_retrieval_of_one_archetype_by_an_integral() -> None:
    """Without other archetypes Z is an integral over the one hidden unit, at any N, in the phase with order too.

    Two states, equivalent by symmetry: annealing has no choice to make, which with many archetypes it has.
    """
    size, temperature = 200, 0.2
    network = Hopfield(load=1 / size, examples=50, quality=0.3, rule="supervised")
    found = log_partition(network, temperature, size=size, rungs=20 * size, disorder=4)
    x = np.linspace(-3, 3, 6001)
    for i, weights in enumerate(_weights(network, size, 4)[:, 0]):
        field = x[:, None] * weights / temperature
        exponents = -size * x**2 / (2 * temperature) + np.logaddexp(field, -field).sum(axis=1)
        log_z = logsumexp(exponents) + np.log(x[1] - x[0]) + 0.5 * np.log(size / (2 * np.pi * temperature))
        error = float(found["spin_free_energy_error"][i])
        assert error < 5e-4
        assert abs(float(found["spin_free_energy"][i]) + temperature * log_z / size) < 4 * error


def test_many_archetypes_at_low_temperature_are_a_warning() -> None:
    with pytest.warns(QuenchedWarning, match="effective sample size"):
        log_partition(Hopfield(load=0.1), 0.1, size=100, rungs=20)


def test_without_interaction_it_is_the_entropy() -> None:
    """At high temperature f -> -T ln 2 - sum_i J_ii/(2 N) + O(1/T)."""
    network = Hopfield(load=0.1, examples=2, quality=0.8)
    f = float(log_partition(network, 1000.0, size=50, rungs=10, particles=50)["spin_free_energy"][0])
    assert f == pytest.approx(-1000 * np.log(2) - 0.1 / (2 * network.second_moment), abs=2e-3)


@pytest.mark.slow
def test_the_paramagnet_of_replica_theory() -> None:
    """Above the spin-glass temperature there is one state: annealing meets no barrier, and corrections are of order 1/N.

    Below it a sum over states is not the free energy of one archetype, and annealing does not sample it.
    """
    network = Hopfield(load=0.05, examples=20, quality=0.5)
    found = log_partition(network, 1.5, size=1000, rungs=1000, particles=64, disorder=4)["spin_free_energy"]
    theory = float(qd.theory.hopfield.equilibrium(network, 1.5, state="spin_glass")["spin_free_energy"])
    assert float(found.mean()) == pytest.approx(theory, abs=5e-4)


def test_what_makes_no_sense_is_refused() -> None:
    network = Hopfield(load=0.25)
    for options, name in (
        ({"temperature": 0.0}, "temperature"),
        ({"particles": 0}, "particles"),
        ({"rungs": 0}, "rungs"),
        ({"disorder": 0}, "disorder"),
        ({"dtype": "int8"}, "dtype"),
        ({"size": 1}, "size"),
    ):
        with pytest.raises(ParameterError, match=name):
            log_partition(network, **{"temperature": 1.0, "size": 8, **options})
