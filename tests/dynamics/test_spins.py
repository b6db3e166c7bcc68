"""Rules for spins: exactly sequential sweeps, exact equilibria, descent, gauge symmetry, the Edwards-Anderson overlap."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.dynamics import BlockGibbs, Glauber, Gradient, ParallelGlauber, SingleFlipStable
from quenched.dynamics.engine import trajectory
from quenched.dynamics.spins import sweep, thresholds
from quenched.models import BoltzmannMachine, GaussianMixture, Hopfield
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.observables import EdwardsAnderson, time_averages


def in_turn(couplings, spins, limits, order):
    """The definition: fields kept up to date, one spin after the other."""
    spins = np.array(spins, np.float64)
    fields = couplings @ spins
    for i in order:
        if spins[i] * fields[i] < limits[i]:
            spins[i] = -spins[i]
            fields += 2 * couplings[:, i] * spins[i]
    return spins


@pytest.mark.parametrize("temperature", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("n", [2, 63, 64, 65, 200])
def test_a_sweep_visits_one_spin_after_the_other(n, temperature):
    rng = np.random.default_rng(n)
    # whole numbers: no rounding decides about a flip, and fields of zero occur
    couplings = np.tril(rng.integers(-2, 3, (n, n)), -1)
    couplings = couplings + couplings.T
    spins, order = rng.choice([-1, 1], n), rng.permutation(n)
    limits = np.asarray(thresholds(jax.random.key(n), n, temperature * n**0.5, jnp.float32))
    new = sweep(jnp.asarray(couplings, jnp.float32), jnp.asarray(spins, jnp.int8), jnp.asarray(limits), jnp.asarray(order))
    np.testing.assert_array_equal(new, in_turn(couplings, spins, limits, order))


def test_a_chain_of_flips_runs_through_a_whole_block():
    # every spin follows the one before it: each pass of the block settles one more spin
    n = 50
    couplings = np.zeros((n, n))
    for i in range(1, n):
        couplings[i, i - 1] = couplings[i - 1, i] = 2 * (n - i)
    spins = np.ones(n)
    limits = np.where(np.arange(n) == 0, np.inf, 0.0)
    new = sweep(jnp.asarray(couplings, jnp.float32), jnp.asarray(spins, jnp.int8), jnp.asarray(limits), jnp.arange(n))
    np.testing.assert_array_equal(new, in_turn(couplings, spins, limits, range(n)))
    assert new[0] == -1


def test_a_spin_without_field_keeps_its_value_at_zero_temperature():
    spins = jnp.asarray([1, -1, -1], jnp.int8)
    new = sweep(jnp.zeros((3, 3)), spins, thresholds(jax.random.key(0), 3, 0.0, jnp.float32), jnp.arange(3))
    np.testing.assert_array_equal(new, spins)


NETWORK = Hopfield(0.1, 3, 0.7, start="random")


@pytest.mark.slow
@pytest.mark.parametrize("rule", [Glauber(0.5), ParallelGlauber(0.5)], ids=repr)
def test_random_numbers_of_a_replica_do_not_depend_on_how_many_there_are(rule):
    few, many = (
        trajectory(NETWORK, rule, jax.random.key(1), steps=6, sizes=(7, 70), replicas=r, snapshots=True).records["weights"]
        for r in (2, 4)
    )
    np.testing.assert_array_equal(few, many[:, :2])
    assert np.any(np.asarray(many[-1, 0]) != np.asarray(many[-1, 1]))


@pytest.mark.slow
def test_blocks_of_disorder_samples_are_the_samples_one_by_one():
    runs = [
        qd.simulate(NETWORK, Glauber(0.5), steps=4, size=70, replicas=2, disorder=3, block=block, record_weights=True)
        for block in (1, 3)
    ]
    np.testing.assert_array_equal(runs[0]["weights"], runs[1]["weights"])


@pytest.mark.slow
def test_replicas_that_have_stopped_do_not_hold_the_others_order():
    run = {"steps": 12, "size": 70, "replicas": 6, "seed": 3, "record_weights": True}
    free = qd.simulate(NETWORK, Glauber(), **run)
    stopped = qd.simulate(NETWORK, Glauber(), stop=SingleFlipStable(), **run)
    steps = stopped["stop_step"].values
    assert len(set(steps.ravel())) > 1
    # at a stable state nothing moves, whether it is frozen or not
    np.testing.assert_array_equal(free["weights"], stopped["weights"])


@pytest.mark.slow
@pytest.mark.parametrize("model", [NETWORK, Hopfield(0.1, 5, 0.4, "supervised", start="random")], ids=repr)
def test_zero_temperature_goes_down_to_a_stable_state_and_stops(model):
    run = qd.simulate(model, Glauber(), steps=100, size=300, replicas=8, stop=SingleFlipStable(), record_weights=True)
    energy = run["spin_energy"].values
    # the energy is a float32 sum of 300 terms of order one
    assert np.all(np.diff(energy, axis=-1) <= 1e-6)
    stop = run["stop_step"].values
    assert np.all(stop >= 1)
    weights = run["weights"].values
    assert np.all(weights[:, :, -1] == weights[:, :, -2])
    disorder = model.sample(_disorder_key(), model.sizes(300), jnp.dtype("float32"))
    for spins in weights[0, :, -1]:
        fields = np.asarray(disorder.couplings, np.float64) @ spins
        assert np.all(fields * spins >= -1e-6)


def _disorder_key():
    from quenched.dynamics.plan import DISORDER, stream

    return stream(jax.random.key(np.uint32(0), impl="threefry2x32"), DISORDER, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (NETWORK, Glauber(0.4)),
        (NETWORK, Glauber(0.0)),
        (NETWORK, ParallelGlauber(0.4)),
        (BoltzmannMachine(NETWORK), BlockGibbs(0.4)),
        (BoltzmannMachine(NETWORK), ParallelGlauber(0.0)),
    ],
    ids=repr,
)
def test_reflecting_sites_changes_no_trajectory(model, rule):
    disorder = model.sample(jax.random.key(3), (7, 70), jnp.dtype("float32"))
    signs = jax.random.rademacher(jax.random.key(8), (70,), jnp.int8)

    def reflected(leaf):
        factor = signs[:, None] * signs if leaf.shape == (70, 70) else signs
        return leaf * factor.astype(leaf.dtype)

    state = rule.init(model, model.initial(jax.random.key(4), disorder), disorder, jax.random.key(5))
    mirror = jax.tree.map(reflected, disorder)
    other = rule.init(model, rule.weights(state) * signs, mirror, jax.random.key(5))
    for step in range(5):
        key = jax.random.fold_in(jax.random.key(6), step)
        state, other = rule.step(model, state, disorder, key), rule.step(model, other, mirror, key)
        np.testing.assert_array_equal(rule.weights(state) * signs, rule.weights(other))
        seen, also = model.observe(rule.weights(state), disorder), model.observe(rule.weights(other), mirror)
        for name, value in seen.items():
            assert float(also[name]) == pytest.approx(float(value), abs=1e-6)


N, T = 6, 0.7


def enumerated(model, weight):
    """Exact means over the 2^N states with probability proportional to ``weight`` (J, all states)."""
    disorder = model.sample(_disorder_key(), model.sizes(N), jnp.dtype("float32"))
    states = np.array(list(itertools.product((-1, 1), repeat=N)))
    couplings = np.asarray(drawn_couplings(model), np.float64)
    probability = weight(couplings, states)
    probability /= probability.sum()
    energy = -0.5 * np.einsum("si,ij,sj->s", states, couplings, states) / N
    overlap = states @ np.asarray(disorder.archetypes[0]) / N
    return probability @ energy, probability @ overlap**2


def drawn_couplings(model):
    network = model.network if isinstance(model, BoltzmannMachine) else model
    return network.sample(_disorder_key(), network.sizes(N), jnp.dtype("float32")).couplings


def boltzmann(couplings, states):
    return np.exp(0.5 * np.einsum("si,ij,sj->s", states, couplings, states) / T)


def peretto(couplings, states):
    return np.prod(2 * np.cosh(states @ couplings / T), axis=1)


def squared_overlap(model, spins, disorder):
    return model.observe(spins, disorder)["archetype_overlap"] ** 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrap", "rule", "weight"),
    [(False, Glauber(T), boltzmann), (True, BlockGibbs(T), boltzmann), (False, ParallelGlauber(T), peretto)],
    ids=["Glauber", "BlockGibbs", "ParallelGlauber"],
)
@pytest.mark.parametrize("supervision", ["unsupervised", "supervised"])
def test_equilibrium_is_that_of_all_states_enumerated(wrap, rule, weight, supervision):
    network = Hopfield(0.34, 3, 0.6, supervision, start="random")
    model = BoltzmannMachine(network) if wrap else network
    replicas, steps = 2000, 60
    run = qd.simulate(model, rule, steps=steps, size=N, replicas=replicas, times=[steps], observables={"square": squared_overlap})
    energy, square = enumerated(model, weight)
    for name, exact in (("spin_energy", energy), ("square", square)):
        values = run[name].values.ravel()
        # replicas are independent, but for the order of their sites: standard error of their mean
        assert values.mean() == pytest.approx(exact, abs=4 * float(values.std()) / replicas**0.5)


def test_the_parallel_equilibrium_is_another_one():
    energies = [enumerated(Hopfield(0.34, 3, 0.6), weight)[0] for weight in (boltzmann, peretto)]
    assert abs(energies[0] - energies[1]) > 0.01


REFUSED = [
    (Glauber(), GaussianMixture(), "Glauber needs a spin model with a matrix of couplings; GaussianMixture has none"),
    (Glauber(), BoltzmannMachine(), "Glauber needs a spin model with a matrix of couplings; BoltzmannMachine has none"),
    (ParallelGlauber(), GaussianMixture(), "ParallelGlauber needs a spin model; GaussianMixture has no local fields"),
    (BlockGibbs(), Hopfield(), "BlockGibbs needs a model with hidden units; Hopfield has none"),
    (BlockGibbs(), GaussianMixture(), "BlockGibbs needs a model with hidden units; GaussianMixture has none"),
]


@pytest.mark.parametrize(("rule", "model", "message"), REFUSED)
def test_models_without_what_a_rule_needs_are_refused_by_name(rule, model, message):
    with pytest.raises(IncompatibleError, match=message):
        qd.simulate(model, rule, steps=1, size=100)


def test_the_stop_condition_refuses_models_without_fields():
    with pytest.raises(IncompatibleError, match="SingleFlipStable needs a spin model; GaussianMixture has no local fields"):
        qd.simulate(GaussianMixture(), Gradient(), steps=1, size=100, stop=SingleFlipStable())


@pytest.mark.parametrize("rule", [Glauber, ParallelGlauber, BlockGibbs])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_temperature_out_of_range_is_named(rule, value):
    with pytest.raises(ParameterError, match=r"^temperature must be"):
        rule(temperature=value)


def test_block_gibbs_at_zero_temperature_is_refused():
    with pytest.raises(ParameterError, match=r"^temperature must be > 0, got 0.0"):
        BlockGibbs(temperature=0)


# ---- time averages


def accumulated(accumulator, states):
    state = accumulator.init(jnp.asarray(states[0]))
    update = jax.jit(accumulator.update)
    for step, spins in enumerate(states[1:], 1):
        state = update(state, jnp.asarray(spins), step)
    return float(accumulator.finish(state)["edwards_anderson"])


def test_edwards_anderson_is_the_mean_over_pairs_of_blocks():
    states = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (1 + 5 + 17, 40))
    # steps 6, ..., 22 count; of blocks of 5 three are finished
    blocks = states[6:21].reshape(3, 5, 40).mean(axis=1)
    pairs = [blocks[a] @ blocks[b] / 40 for a in range(3) for b in range(3) if a != b]
    assert accumulated(EdwardsAnderson(burn_in=5, block=5), states) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert np.isnan(accumulated(EdwardsAnderson(burn_in=5, block=9), states))


def test_edwards_anderson_of_correlated_spins_has_no_bias_of_one_over_the_sweeps():
    # spins of known mean that keep their value with probability 0.7: correlation time of a few steps
    rng = np.random.default_rng(1)
    n, steps, stay = 20_000, 100, 0.7
    means = rng.uniform(-1, 1, n)
    states = [np.where(rng.random(n) < (1 + means) / 2, 1, -1).astype(np.int8)]
    for _ in range(steps):
        fresh = np.where(rng.random(n) < (1 + means) / 2, 1, -1).astype(np.int8)
        states.append(np.where(rng.random(n) < stay, states[-1], fresh))
    exact = np.mean(means**2)
    naive = np.mean(np.mean(np.array(states[1:], float), axis=0) ** 2)
    # one time average is too large by (1 - q)(1 + stay)/(1 - stay)/steps
    assert naive - exact == pytest.approx((1 - exact) * 1.7 / 0.3 / steps, rel=0.1)
    # the ends of neighbouring blocks of 20: mean over pairs of steps in them of stay^|t - t'|
    ends = np.mean([stay ** (20 + b - a) for a in range(20) for b in range(20)])
    bias = (1 - exact) * ends * 2 / 5
    assert accumulated(EdwardsAnderson(), states) == pytest.approx(exact + bias, abs=0.005)
    assert bias < (naive - exact) / 5


@pytest.mark.parametrize("fields", [{"burn_in": -1}, {"block": 0}])
def test_impossible_averages_are_refused(fields):
    with pytest.raises(ParameterError, match=f"^{next(iter(fields))} must be an integer"):
        EdwardsAnderson(**fields)


def test_time_averages_leave_the_burn_in_out():
    t = np.arange(5)
    run = xr.Dataset({"m": (("replica", "t"), t[None] * 1.0), "q": ("replica", [0.5])}, {"t": t, "step": ("t", 10 * t)})
    found = time_averages(run, 10)
    assert found["m"].values == pytest.approx([3.0])
    assert found["q"].values == pytest.approx([0.5])
    with pytest.raises(ParameterError, match=r"^burn_in must be smaller than the last observed step, 40, got 40"):
        time_averages(run, 40)


def test_a_rule_keeps_its_compiled_program_when_the_temperature_changes():
    disorder = NETWORK.sample(jax.random.key(3), (7, 70), jnp.dtype("float32"))
    spins = NETWORK.initial(jax.random.key(4), disorder)
    traces = []

    @eqx.filter_jit
    def step(rule, spins):
        traces.append(rule)
        return rule.step(NETWORK, rule.init(NETWORK, spins, disorder, jax.random.key(0)), disorder, jax.random.key(1))

    for temperature in (0.0, 0.5):
        step(eqx.tree_at(lambda r: r.temperature, Glauber(), jnp.asarray(temperature)), spins)
    assert len(traces) == 1
