"""Partition functions of restricted Boltzmann machines against enumeration and against replica theory."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.dynamics import log_partition
from quenched.models import BoltzmannMachine, Hopfield
from quenched.numerics.checks import ParameterError


@pytest.mark.parametrize("rule", ["unsupervised", "supervised"])
def test_a_small_machine_by_enumeration(rule: str) -> None:
    network, temperature = Hopfield(load=0.25, examples=3, quality=0.6, rule=rule), 0.7
    found = log_partition(network, temperature, size=12, rungs=300, particles=500, disorder=2)
    spins = np.array(list(itertools.product([-1, 1], repeat=12)))
    machine = BoltzmannMachine(network)
    for i, key in enumerate(jax.random.split(jax.random.key(0), 2)):
        disorder = machine.sample(jax.random.split(key)[0], machine.sizes(12), jnp.dtype("float32"))
        energy = -((spins @ np.asarray(disorder.weights, float).T) ** 2).sum(axis=1) / 24
        exact = -temperature * np.log(np.exp(-energy / temperature).sum()) / 12
        assert abs(float(found["free_energy"][i]) - exact) < 4 * float(found["free_energy_error"][i])
        assert float(found["effective_sample_size"][i]) > 300


def test_without_interaction_it_is_the_entropy() -> None:
    """At high temperature f -> -T ln 2 - sum_i J_ii/(2 N) + O(1/T)."""
    network = Hopfield(load=0.1, examples=2, quality=0.8)
    f = float(log_partition(network, 1000.0, size=50, rungs=10, particles=50)["free_energy"][0])
    assert f == pytest.approx(-1000 * np.log(2) - 0.1 / (2 * network.second_moment), abs=2e-3)


@pytest.mark.slow
def test_the_paramagnet_of_replica_theory() -> None:
    """Above the spin-glass temperature annealing meets no barrier, and corrections are of order 1/N."""
    network = Hopfield(load=0.05, examples=20, quality=0.5)
    found = log_partition(network, 1.5, size=1000, rungs=1000, particles=64, disorder=4)["free_energy"]
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
