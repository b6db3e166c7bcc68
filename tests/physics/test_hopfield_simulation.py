"""Hopfield models of blurred examples by simulation, against replica-symmetric theory at the numbers of docs/hopfield.md."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import quenched as qd
from quenched.dynamics import BlockGibbs, Glauber, ParallelGlauber, SingleFlipStable
from quenched.models import BoltzmannMachine, Hopfield, hebbian
from quenched.observables import EdwardsAnderson, mean_error, time_averages


def equilibrium(model, rule, size, disorder, *, burn_in=60, steps=260, replicas=1):
    """Mean and standard error over disorder samples of the order parameters after thermalisation."""
    run = qd.simulate(
        model,
        rule,
        steps=steps,
        size=size,
        disorder=disorder,
        replicas=replicas,
        seed=1,
        times=list(range(0, steps + 1, 10)),
        accumulators=(EdwardsAnderson(burn_in),),
    )
    means = time_averages(run, burn_in)
    return {name: tuple(float(part) for part in mean_error(means[name])) for name in means.data_vars}


def arrest(model, size, disorder):
    """The same at the end of sequential dynamics at T = 0, which stops by itself."""
    run = qd.simulate(model, Glauber(), steps=200, size=size, disorder=disorder, seed=1, times=[200], stop=SingleFlipStable())
    assert np.all(run["stop_step"].values >= 0)
    return {name: tuple(float(part[-1]) for part in mean_error(run[name])) for name in run.data_vars if "t" in run[name].dims}


@pytest.mark.slow
def test_small_data_sets_need_the_binomial_average():
    m, error = equilibrium(Hopfield(0.05, 5, 0.8), Glauber(0.2), 4000, 16, steps=160)["archetype_overlap"]
    assert error < 0.005
    assert abs(m - 0.9231) < 0.01
    # the Gaussian approximation of the average over examples gives 0.9400
    assert abs(m - 0.9400) > 3 * error


THERMAL = [
    (Hopfield(0.02, 20, 0.5), 0.4, 2000, {"archetype_overlap": 0.8645, "example_overlap": 0.4632, "edwards_anderson": 0.8153}),
    (
        Hopfield(0.02, 20, 0.5, "supervised"),
        0.4,
        2000,
        {"archetype_overlap": 0.8712, "example_overlap": 0.4659, "edwards_anderson": 0.8210},
    ),
    (Hopfield(0.02, 40, 0.3, "supervised"), 0.2, 4000, {"archetype_overlap": 0.8768}),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "temperature", "size", "theory"), THERMAL, ids=["unsupervised", "supervised", "supervised-blurred"]
)
def test_equilibrium_at_finite_temperature(model, temperature, size, theory):
    found = equilibrium(model, Glauber(temperature), size, 12)
    for name, value in theory.items():
        mean, error = found[name]
        assert error < 0.01
        assert abs(mean - value) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "theory", "tolerance"), [("unsupervised", 0.9682, 0.01), ("supervised", 0.9720, 0.006)])
def test_retrieval_at_zero_temperature(rule, theory, tolerance):
    m, error = arrest(Hopfield(0.02, 20, 0.5, rule), 4000, 12)["archetype_overlap"]
    assert error < tolerance / 2
    assert abs(m - theory) < tolerance
    if rule == "supervised":
        # the Gaussian approximation
        assert abs(m - 0.9795) > 3 * error


CONCEPT = [
    ("unsupervised", 150, 0.924, 0.015),
    ("unsupervised", 250, 0.983, 0.015),
    ("unsupervised", 400, 0.997, 0.015),
    ("supervised", 100, 0.923, 0.01),
    ("supervised", 150, 0.974, 0.01),
    ("supervised", 250, 0.996, 0.01),
    ("supervised", 400, 0.999, 0.01),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "examples", "theory", "tolerance"), CONCEPT)
def test_the_archetype_emerges_with_the_number_of_examples(rule, examples, theory, tolerance):
    m, error = arrest(Hopfield(0.02, examples, 0.2, rule), 3000, 8)["archetype_overlap"]
    assert error < tolerance
    assert abs(m - theory) < tolerance


@pytest.mark.slow
def test_few_examples_are_memorised_one_by_one():
    found = arrest(Hopfield(0.01, 3, 0.5, start="example"), 4000, 8)
    theory = {"archetype_overlap": 0.5009, "largest_example_overlap": 0.9983, "example_overlap": (0.9983 + 2 * 0.2517) / 3}
    for name, value in theory.items():
        assert abs(found[name][0] - value) < 0.02


@pytest.mark.slow
def test_at_more_examples_the_memory_of_one_is_lost():
    found = arrest(Hopfield(0.01, 5, 0.5, start="example"), 4000, 8)
    assert found["largest_example_overlap"][0] < 0.65
    assert abs(found["archetype_overlap"][0] - 0.71) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("examples", "m", "n"), [(10, 0.8885, 0.5060), (20, 0.9773, 0.5004)])
def test_from_an_example_the_network_goes_to_the_archetype(examples, m, n):
    found = arrest(Hopfield(0.01, examples, 0.5, start="example"), 4000, 8)
    assert abs(found["archetype_overlap"][0] - m) < 0.02
    assert abs(found["example_overlap"][0] - n) < 0.02


def one_step(load, examples, quality, rule):
    """m after one parallel step from the archetype at T = 0, by the binomial average, at N -> infinity."""
    rho = (1 - quality**2) / (examples * quality**2)
    noise = (1 + rho) ** 2 if rule == "supervised" else 1 + (1 - quality**4) / (examples * quality**4)
    agree = np.arange(examples + 1)
    mean = 2 * agree / examples - 1
    weights = stats.binom.pmf(agree, examples, (1 + quality) / 2)
    return float(weights @ special.erf(mean / quality / np.sqrt(2 * load * noise)))


ONE_STEP = [
    ("unsupervised", 0.05, 10, 0.4, 0.7409),
    ("unsupervised", 0.1, 5, 0.8, 0.9391),
    ("supervised", 0.05, 10, 0.4, 0.7782),
    ("supervised", 0.02, 40, 0.25, 0.8761),
    ("supervised", 0.1, 5, 0.8, 0.9409),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "load", "examples", "quality", "published"), ONE_STEP)
def test_one_parallel_step_from_every_archetype(rule, load, examples, quality, published):
    expected = one_step(load, examples, quality, rule)
    assert expected == pytest.approx(published, abs=1e-4)
    model, move = Hopfield(load, examples, quality, rule), ParallelGlauber()
    disorder = model.sample(jax.random.key(5), model.sizes(4000), jnp.dtype("float32"))

    def after(archetype):
        return jnp.mean(archetype * move.step(model, archetype, disorder, jax.random.key(0)), dtype=jnp.float32)

    overlaps = np.asarray(jax.lax.map(after, disorder.archetypes))
    error = overlaps.std(ddof=1) / len(overlaps) ** 0.5
    # 1/(standard error)^2 archetypes, and a first correction of relative order 1/K to the load
    assert overlaps.mean() == pytest.approx(expected, abs=0.004)
    assert error < 0.002


@pytest.mark.slow
def test_glauber_and_block_gibbs_sample_the_same_law_on_the_same_disorder():
    network = Hopfield(0.02, 5, 0.8, "supervised")
    options = {"size": 2000, "disorder": 4, "steps": 1060, "replicas": 2}
    flips = equilibrium(network, Glauber(0.4), **options)
    layers = equilibrium(BoltzmannMachine(network), BlockGibbs(0.4), **options)
    for name, most in (("archetype_overlap", 0.003), ("edwards_anderson", 0.005), ("spin_energy", 0.002)):
        assert abs(flips[name][0] - layers[name][0]) < most
    for name, theory in (("archetype_overlap", 0.8978), ("edwards_anderson", 0.8586)):
        assert abs(layers[name][0] - theory) < 0.02


def accuracy(n, count, examples, quality):
    """E_g Phi((r^2 + s_1 g)/s_0)^(K-1): the fresh example is closest to the mean of its own class, at large N."""
    second = quality**2 + (1 - quality**2) / examples
    g = np.linspace(-8, 8, 2001)
    weights = np.exp(-(g**2) / 2) / np.exp(-(g**2) / 2).sum()
    scores = (quality**2 + np.sqrt((second - quality**4) / n) * g) / np.sqrt(second / n)
    return float(weights @ special.ndtr(scores) ** (count - 1))


CLASSES = [(500, 50, 100, 0.2, 0.947), (1000, 100, 20, 0.15, 0.561), (300, 30, 5, 0.3, 0.809)]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "count", "examples", "quality", "published"), CLASSES)
def test_the_most_active_hidden_unit_names_the_class_of_a_fresh_example(n, count, examples, quality, published):
    expected = accuracy(n, count, examples, quality)
    assert expected == pytest.approx(published, abs=1e-3)
    machine = BoltzmannMachine(Hopfield(count / n, examples, quality, "supervised"))

    def right(key):
        key_disorder, key_fresh = jax.random.split(key)
        disorder = machine.sample(key_disorder, (count, n), jnp.dtype("float32"))
        keys = jax.random.split(key_fresh, count)
        fresh = jax.vmap(lambda k, xi: hebbian.draw_examples(k, xi, 20, quality))(keys, disorder.archetypes)
        means = jax.vmap(jax.vmap(lambda s: machine.hidden_means(s, disorder)))(fresh)
        return jnp.mean(jnp.argmax(means, axis=-1) == jnp.arange(count)[:, None])

    found = np.asarray(jax.lax.map(right, jax.random.split(jax.random.key(2), 10)))
    assert found.mean() == pytest.approx(expected, abs=0.03)
