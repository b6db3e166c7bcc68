"""Hopfield models of blurred examples and their Boltzmann machines: laws of the patterns, couplings, duality, refusals."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy import stats

import quenched as qd
from quenched.models import BoltzmannMachine, Hopfield, hebbian
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.records import build, describe

KEY = jax.random.key(4)
SIZES = (7, 90)
NETWORKS = [
    Hopfield(0.1, 1, 1.0),
    Hopfield(0.1, 3, 0.6, "unsupervised"),
    Hopfield(0.1, 100, 0.4, "unsupervised", normalise=False),
    Hopfield(0.1, 3, 0.6, "supervised"),
    Hopfield(0.1, 100, 0.4, "supervised", normalise=False),
]


def drawn(model, sizes=SIZES, key=KEY):
    return model.sample(key, sizes, jnp.dtype("float32"))


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_couplings_are_those_of_the_boltzmann_machine_on_the_same_patterns(network):
    memory, layer = drawn(network), drawn(BoltzmannMachine(network))
    np.testing.assert_array_equal(memory.archetypes, layer.archetypes)
    np.testing.assert_array_equal(memory.examples, layer.examples)
    weights = np.asarray(layer.weights, np.float64)
    assert len(weights) == (7 * network.examples if network.rule == "unsupervised" else 7)
    expected = weights.T @ weights / 90
    np.fill_diagonal(expected, 0)
    # sums of a few hundred products of order one in float32
    np.testing.assert_allclose(memory.couplings, expected, atol=1e-6)
    np.testing.assert_array_equal(memory.couplings, memory.couplings.T)


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_fields_energy_and_order_parameters_are_the_sums_of_the_definition_and_equal_in_both(network):
    memory, dual = drawn(network), BoltzmannMachine(network)
    spins = jax.random.rademacher(jax.random.key(1), (90,), jnp.int8)
    s, couplings = np.asarray(spins, np.float64), np.asarray(memory.couplings, np.float64)
    seen, also = network.observe(spins, memory), dual.observe(spins, drawn(dual))
    np.testing.assert_allclose(network.fields(spins, memory), couplings @ s, atol=1e-5)
    np.testing.assert_allclose(dual.fields(spins, drawn(dual)), couplings @ s, atol=1e-5)
    overlaps = np.asarray(memory.examples, np.float64) @ s / 90
    expected = {
        "archetype_overlap": np.asarray(memory.archetypes[0]) @ s / 90,
        "example_overlap": overlaps.mean(),
        "largest_example_overlap": overlaps.max(),
        "spin_energy": -s @ couplings @ s / 180,
    }
    assert set(seen) == set(also) == set(expected)
    for name, value in expected.items():
        assert float(seen[name]) == pytest.approx(value, abs=1e-5)
        assert float(also[name]) == pytest.approx(value, abs=1e-5)


def test_the_first_examples_are_stored():
    for network in NETWORKS:
        memory = drawn(network)
        weights = np.asarray(drawn(BoltzmannMachine(network)).weights) * float(network.scale) ** 0.5
        first = np.asarray(memory.examples, np.float64)
        if network.rule == "unsupervised":
            np.testing.assert_allclose(weights[: len(first)] * len(first) ** 0.5, first, rtol=1e-5)
        else:
            np.testing.assert_allclose(weights[0], first.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("rule", hebbian.RULES)
def test_at_quality_one_every_number_of_examples_is_the_classic_hopfield_model(rule):
    classic = drawn(Hopfield(0.1))
    blurred = drawn(Hopfield(0.1, 20, 1.0, rule))
    np.testing.assert_array_equal(blurred.couplings, classic.couplings)
    archetypes = np.asarray(classic.archetypes, np.float64)
    expected = archetypes.T @ archetypes / 90
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(classic.couplings, expected, atol=1e-7)


def test_without_normalisation_the_couplings_are_smaller_by_the_second_moment():
    network = Hopfield(0.1, 10, 0.3)
    ratio = 0.3**2 + (1 - 0.3**2) / 10
    assert float(network.second_moment) == pytest.approx(ratio)
    bare = drawn(dataclasses.replace(network, normalise=False)).couplings
    np.testing.assert_allclose(bare, ratio * drawn(network).couplings, rtol=1e-5, atol=1e-9)


def test_examples_agree_with_their_archetype_at_the_quality():
    quality, examples, sizes = 0.3, 20, (30, 1000)
    layer = drawn(BoltzmannMachine(Hopfield(0.03, examples, quality, normalise=False)), sizes)
    signs = np.asarray(layer.weights).reshape(30, examples, 1000) * examples**0.5 * np.asarray(layer.archetypes)[:, None]
    np.testing.assert_allclose(np.abs(signs), 1, rtol=1e-5)
    agree = (signs > 0).sum(axis=1)
    _assert_binomial(agree, examples, quality)


def test_example_averages_have_the_law_of_an_average_of_examples():
    quality, examples, sizes = 0.3, 20, (30, 1000)
    layer = drawn(BoltzmannMachine(Hopfield(0.03, examples, quality, "supervised", normalise=False)), sizes)
    mean = np.asarray(layer.weights, np.float64) * np.asarray(layer.archetypes)
    agree = np.rint((mean + 1) / 2 * examples).astype(int)
    np.testing.assert_allclose(mean, 2 * agree / examples - 1, atol=1e-6)
    _assert_binomial(agree, examples, quality)


def _assert_binomial(agree, examples, quality):
    counts = np.bincount(agree.ravel(), minlength=examples + 1)
    expected = stats.binom.pmf(np.arange(examples + 1), examples, (1 + quality) / 2) * agree.size
    common = expected > 5
    assert stats.chisquare(counts[common], expected[common] * counts[common].sum() / expected[common].sum()).pvalue > 1e-4


def test_a_class_mean_approaches_its_archetype_as_the_theory_says():
    # docs/hopfield.md: cosine 1/sqrt(1 + rho), rho = 0.24 at r = 0.2 and M = 100; the share of right signs by the binomial law
    quality, examples, sizes = 0.2, 100, (40, 2000)
    layer = drawn(BoltzmannMachine(Hopfield(0.02, examples, quality, "supervised")), sizes)
    weights, archetypes = np.asarray(layer.weights, np.float64), np.asarray(layer.archetypes)
    cosine = np.mean(np.sum(weights * archetypes, axis=1) / np.linalg.norm(weights, axis=1)) / 2000**0.5
    assert cosine == pytest.approx(1 / 1.24**0.5, abs=4 * 0.5 / 80_000**0.5)
    support = np.arange(examples + 1)
    right = float(stats.binom.pmf(support, examples, (1 + quality) / 2) @ np.sign(2 * support - examples))
    assert np.mean(np.sign(np.round(weights, 6)) * archetypes) == pytest.approx(right, abs=4 / 80_000**0.5)
    assert right == pytest.approx(0.957, abs=0.01)


@pytest.mark.parametrize("rule", hebbian.RULES)
def test_the_memory_of_drawing_is_that_of_one_archetype(rule):
    network = Hopfield(0.1, 800, 0.3, rule)

    def bytes_for(count):
        compiled = jax.jit(lambda key: network.sample(key, (count, 500), jnp.float32)).lower(KEY).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # the archetypes themselves, and random numbers for one mean each, grow with K: some numbers per site, not M
    assert bytes_for(40) - bytes_for(10) < 30 * 500 * 20 * 4


@pytest.mark.parametrize(("start", "row"), [("archetype", "archetypes"), ("example", "examples"), ("random", None)])
def test_starts(start, row):
    network = Hopfield(0.1, 3, 0.6, start=start)
    for model in (network, BoltzmannMachine(network)):
        disorder = drawn(model)
        state = model.initial(jax.random.key(2), disorder)
        assert state.dtype == jnp.int8
        if row is None:
            assert abs(float(model.observe(state, disorder)["archetype_overlap"])) < 5 / 90**0.5
        else:
            np.testing.assert_array_equal(state, getattr(disorder, row)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"load": -0.1}, "^load must be >= 0, got -0.1"),
        ({"load": float("nan")}, "^load must be a finite number"),
        ({"quality": 0.0}, "^quality must lie in"),
        ({"quality": 1.1}, "^quality must lie in"),
        ({"quality": float("nan")}, "^quality must be a finite number"),
        ({"examples": 0}, "^examples must be an integer >= 1, got 0"),
        ({"examples": 2.5}, "examples"),
        ({"examples": True}, "^examples must be an integer >= 1, got True"),
        ({"rule": "hebb"}, "^rule must be one of 'unsupervised', 'supervised', got 'hebb'"),
        ({"start": "zero"}, "^start must be one of"),
    ],
)
def test_values_out_of_range_are_named(fields, message):
    # under the tests' hook a wrong type is refused before the value is looked at
    with pytest.raises((ParameterError, TypeCheckError), match=message):
        Hopfield(**fields)


@pytest.mark.parametrize(
    ("load", "size", "message"),
    [(0.02, 1, "^size must be an integer >= 2"), (0.02, None, "^size must be given"), (0.001, 100, "at least one archetype")],
)
def test_sizes_without_spins_or_archetypes_are_refused(load, size, message):
    for model in (Hopfield(load), BoltzmannMachine(Hopfield(load))):
        with pytest.raises(ParameterError, match=message):
            model.sizes(size)


def test_a_machine_of_something_else_is_refused():
    with pytest.raises((ParameterError, TypeCheckError), match="network"):
        BoltzmannMachine(qd.models.GaussianMixture())


def test_gradient_rules_refuse_spin_models():
    for model in (Hopfield(), BoltzmannMachine()):
        with pytest.raises(IncompatibleError, match=f"Gradient needs a model with a loss; {type(model).__name__} has none"):
            qd.simulate(model, qd.dynamics.Gradient(), steps=1, size=100)


def test_descriptions_bring_the_models_back():
    for network in NETWORKS:
        assert build(describe(BoltzmannMachine(network))) == BoltzmannMachine(network)
