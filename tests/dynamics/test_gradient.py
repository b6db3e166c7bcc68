"""The gradient rule against a step written by hand, its conventions, and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from quenched.dynamics import (
    IID,
    Epochs,
    ExponentialDecay,
    Fresh,
    Full,
    Gradient,
    Momentum,
    Optax,
    Persistent,
    PowerLawDecay,
    Spherical,
)
from quenched.dynamics.gradient import own_keys
from quenched.losses import Door, Logistic
from quenched.models import (
    GaussianMixture,
    GaussianStart,
    PhaseRetrieval,
    SingleLayerData,
    SphericalStart,
)
from quenched.models.base import AbstractModel
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.records.description import build, describe

MODEL = GaussianMixture(alpha=1.5, loss=Logistic(output=Door()), clusters=3, start=GaussianStart(0.4, 1.0))
D = 40


def run(rule: Gradient, steps: int = 1, model: GaussianMixture = MODEL):
    """(disorder, states): the states at 0, ..., steps."""
    disorder = model.sample(jax.random.key(0), model.sizes(D), jnp.float32)
    states = [rule.init(model, model.initial(jax.random.key(1), disorder), disorder, jax.random.key(2))]
    step = jax.jit(lambda s, k: rule.step(model, s, disorder, k))
    for t in range(steps):
        states.append(step(states[-1], jax.random.fold_in(jax.random.key(3), t)))
    return disorder, states


def by_hand(rule: Gradient, disorder, state) -> np.ndarray:
    """w - lr [lambda w + d^{-1/2} sum_mu s_mu Lam'(y_mu, r_mu) x_mu], in float64."""
    w, x = np.asarray(state.weights, np.float64), np.asarray(disorder.x, np.float64)
    r = x @ w / math.sqrt(D)
    s = np.asarray(rule.batches.selected(state.batch), np.float64)
    if rule.normalise_batch:
        s /= rule.batches.mean
    slope = np.asarray(MODEL.loss.slope(disorder.y, jnp.asarray(r, jnp.float32)), np.float64)
    return w - rule.lr * (rule.ridge * w + x.T @ (s * slope) / math.sqrt(D))


@pytest.mark.parametrize(
    "rule",
    [
        Gradient(),
        Gradient(lr=0.1, ridge=0.3, batches=IID(0.4)),
        Gradient(ridge=0.3, batches=IID(0.4), normalise_batch=True),
        Gradient(batches=Epochs(0.25), normalise_batch=True),
    ],
)
def test_a_step_is_the_one_written_by_hand(rule: Gradient) -> None:
    disorder, states = run(rule, 2)
    for before, after in itertools.pairwise(states):
        np.testing.assert_allclose(after.weights, by_hand(rule, disorder, before), rtol=1e-4, atol=1e-5)


def test_the_sphere_is_kept_from_step_zero() -> None:
    model = dataclasses.replace(MODEL, start=GaussianStart(0.0, 1.0))
    _, states = run(Gradient(constraint=Spherical()), 3, model)
    for state in states:
        assert float(jnp.sum(state.weights**2)) == pytest.approx(D, rel=1e-6)


@pytest.mark.slow
def test_thermal_noise_has_variance_two_t_lr() -> None:
    temperature, lr, d = 0.7, 0.1, 20000
    cold, hot = Gradient(lr=lr), Gradient(lr=lr, temperature=temperature)
    model = GaussianMixture(alpha=1 / d)
    disorder = model.sample(jax.random.key(0), model.sizes(d), jnp.float32)
    w = model.initial(jax.random.key(1), disorder)
    a, b = (
        rule.step(model, rule.init(model, w, disorder, jax.random.key(2)), disorder, jax.random.key(5)) for rule in (cold, hot)
    )
    noise = np.asarray(b.weights - a.weights)
    assert abs(noise.mean()) < 4.5 * math.sqrt(2 * temperature * lr / d)
    assert abs(noise.var() / (2 * temperature * lr) - 1) < 4.5 * math.sqrt(2 / d)


def test_momentum_is_the_heavy_ball() -> None:
    decay = 0.8
    rule = Gradient(lr=0.1, transform=Momentum(decay))
    disorder, states = run(rule, 3)
    velocity = 0.0
    for before, after in itertools.pairwise(states):
        gradient = (np.asarray(before.weights, np.float64) - by_hand(rule, disorder, before)) / rule.lr
        velocity = decay * velocity + gradient
        np.testing.assert_allclose(after.weights, before.weights - 0.1 * velocity, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_external_field_is_added_to_minus_the_gradient() -> None:
    rule = Gradient(lr=0.1)
    disorder, (state,) = run(rule, 0)
    field = jnp.ones(D)
    key = jax.random.key(0)
    pushed = rule.step(MODEL, state, disorder, key, field).weights
    np.testing.assert_allclose(pushed - rule.step(MODEL, state, disorder, key).weights, 0.1, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "lbfgs", "polyak_sgd"])
def test_optax_optimisers_by_name(name: str) -> None:
    disorder, states = run(Gradient(lr=0.05, transform=Optax(name)), 10)
    before, after = (float(MODEL.losses(s.weights, disorder).mean()) for s in (states[0], states[-1]))
    assert after < before


def test_optimisers_with_keys_get_one_per_replica() -> None:
    rule = Gradient(lr=0.05, transform=Optax("noisy_sgd", {"key": 0}))
    disorder, (state,) = run(rule, 0)
    w = state.weights
    ends = [
        rule.step(MODEL, rule.init(MODEL, w, disorder, jax.random.key(k)), disorder, jax.random.key(9)).weights for k in (0, 1)
    ]
    assert float(jnp.max(jnp.abs(ends[0] - ends[1]))) > 1e-3
    keys = own_keys({"a": jax.random.key(0), "b": jax.random.key(0)}, jax.random.key(1))
    assert not np.array_equal(jax.random.key_data(keys["a"]), jax.random.key_data(keys["b"]))


@pytest.mark.parametrize("lr", [PowerLawDecay(0.3, 5.0, 0.5), ExponentialDecay(0.3, 0.1, 4.0)])
def test_schedules_reach_the_step_and_the_clock(lr) -> None:
    rule = Gradient(lr=lr)
    times = rule.times(6)
    rates = np.array([float(lr(t)) for t in range(6)])
    np.testing.assert_allclose(np.diff(times), rates, rtol=1e-6)
    disorder, states = run(rule, 3)
    for t in range(3):
        constant = Gradient(lr=float(rates[t]))
        np.testing.assert_allclose(states[t + 1].weights, by_hand(constant, disorder, states[t]), rtol=1e-4, atol=1e-5)


def test_fresh_batches_learn_from_new_samples() -> None:
    _, old = run(Gradient(), 1)
    _, new = run(Gradient(batches=Fresh()), 1)
    assert not np.allclose(old[1].weights, new[1].weights, atol=1e-4)


def test_a_rule_survives_its_description() -> None:
    rule = Gradient(
        lr=PowerLawDecay(), batches=Persistent(0.4, 2), ridge=1, transform=Optax("adam", {"b1": 0.8}), temperature=0.1
    )
    again = build(describe(rule))
    assert again == rule
    assert again.thermal
    assert isinstance(rule.ridge, float)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"lr": 0.0}, "lr must be > 0"),
        ({"lr": -0.2}, "lr must be > 0"),
        ({"lr": math.nan}, "lr must be a finite number"),
        ({"lr": "fast"}, "lr"),
        ({"ridge": -0.1}, "ridge must be >= 0"),
        ({"temperature": -1.0}, "temperature must be >= 0"),
        ({"batches": 0.3}, "batches"),
        ({"transform": "adam"}, "transform"),
        ({"constraint": "spherical"}, "constraint"),
        ({"batches": Persistent(0.3, 0.1)}, "persistence time must be >= lr"),
        ({"batches": Persistent(0.1, 1.0)}, "probability 1.8"),
    ],
)
def test_refusals(arguments: dict, match: str) -> None:
    with pytest.raises((ParameterError, TypeCheckError), match=match):
        Gradient(**arguments)


def test_a_schedule_is_checked_against_the_batches() -> None:
    rule = Gradient(lr=PowerLawDecay(0.5), batches=Persistent(0.9, 0.3))
    with pytest.raises(ParameterError, match="persistence time"):
        rule.times(10)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Optax("adamantium"), "optimiser must be the name"),
        (lambda: Optax("adam", {"b7": 0.1}), "refuses arguments"),
        (lambda: Optax("constant_schedule"), "optimiser must be the name|constant_schedule refuses"),
        (lambda: Momentum(1.0), "decay must lie in"),
        (lambda: PowerLawDecay(initial=0.0), "initial must be > 0"),
        (lambda: PowerLawDecay(scale=-1.0), "scale must be > 0"),
        (lambda: PowerLawDecay(exponent=-1.0), "exponent must be >= 0"),
        (lambda: ExponentialDecay(final=0.0), "final must be > 0"),
    ],
)
def test_refusals_of_parts(make, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make()


def test_a_start_off_the_sphere_is_refused() -> None:
    rule = Gradient(constraint=Spherical())
    with pytest.raises(ParameterError, match="start must lie on the sphere"):
        rule.check(GaussianMixture(start=GaussianStart(0.3, 1.0)))
    with pytest.raises(ParameterError, match="start must lie on the sphere"):
        rule.check(SingleLayerData())
    rule.check(GaussianMixture(start=GaussianStart(0.6, 0.64)))
    rule.check(GaussianMixture(start=SphericalStart(0.3)))
    rule.check(PhaseRetrieval())


def test_models_without_a_loss_or_without_a_law_are_refused() -> None:
    class Silent(AbstractModel):
        def sizes(self, size):
            return ()

        def sample(self, key, sizes, dtype):
            return ()

        def initial(self, key, disorder):
            return ()

    with pytest.raises(IncompatibleError, match="Silent"):
        Gradient().check(Silent())
    with pytest.raises(IncompatibleError, match="SingleLayerData"):
        Gradient(batches=Fresh()).check(SingleLayerData())
    Gradient(batches=Full()).check(SingleLayerData())
