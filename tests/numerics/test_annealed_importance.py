"""Annealed importance sampling on laws with known constants."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.numerics.annealed_importance import annealed_importance, log_mean
from quenched.numerics.checks import ParameterError

NARROW = 0.3


@functools.partial(jax.jit, static_argnames=("rungs", "particles"))
def _to_a_narrow_gaussian(rungs: int, particles: int, seed: int = 0):
    """From N(0, 1) to exp(-x^2/(2 s^2)) in two dimensions along the geometric path, with random-walk Metropolis moves."""

    def log_density(x, t):
        return -jnp.sum(x**2) / 2 * ((1 - t) + t / NARROW**2)

    def move(key, x, t):
        key_step, key_accept = jax.random.split(key)
        proposal = x + 0.5 * jax.random.normal(key_step, x.shape)
        accept = jnp.log(jax.random.uniform(key_accept)) < log_density(proposal, t) - log_density(x, t)
        return jnp.where(accept, proposal, x)

    return annealed_importance(
        jax.random.key(seed),
        lambda own: jax.random.normal(own, (2,)),
        lambda x, low, high: log_density(x, high) - log_density(x, low),
        move,
        jnp.linspace(0.0, 1.0, rungs + 1),
        particles,
    )


def test_the_ratio_of_two_gaussians() -> None:
    found = log_mean(np.asarray(_to_a_narrow_gaussian(100, 2000).log_weights))
    assert found.error < 0.02
    assert abs(found.value - 2 * np.log(NARROW)) < 4 * found.error
    # importance sampling without a ladder is exact in the mean too, and worse
    direct = log_mean(np.asarray(_to_a_narrow_gaussian(1, 2000).log_weights))
    assert direct.relative_variance > 3 * found.relative_variance


def test_particles_end_in_the_target() -> None:
    states = np.asarray(_to_a_narrow_gaussian(200, 4000).states)
    assert states.std() == pytest.approx(NARROW, rel=0.05)


def test_the_error_is_that_of_many_repetitions() -> None:
    runs = [log_mean(np.asarray(_to_a_narrow_gaussian(30, 200, seed).log_weights)) for seed in range(40)]
    values = np.array([run.value for run in runs])
    assert values.std(ddof=1) == pytest.approx(np.mean([run.error for run in runs]), rel=0.35)


def test_numbers_of_known_weights() -> None:
    w = np.array([1.0, 2.0, 3.0, 6.0])
    found = log_mean(np.log(w) + 800)
    assert found.value == pytest.approx(800 + np.log(3.0), abs=1e-12)
    assert found.relative_variance == pytest.approx(w.var(ddof=1) / 9)
    assert found.error == pytest.approx(w.std(ddof=1) / 3 / 2)
    assert found.effective_sample_size == pytest.approx(12**2 / 50)


def test_weights_that_vanish() -> None:
    assert log_mean(np.array([-np.inf, 0.0])).value == pytest.approx(-np.log(2))
    nothing = log_mean(np.array([-np.inf, -np.inf]))
    assert nothing.value == -np.inf
    assert nothing.effective_sample_size == 0
    assert np.isnan(log_mean(np.zeros(1)).error)


def test_what_is_no_weight_is_refused() -> None:
    with pytest.raises(ParameterError, match="log_weights must be numbers"):
        log_mean(np.array([0.0, np.nan]))
    with pytest.raises(ParameterError, match=r"len\(log_weights\)"):
        log_mean(np.zeros(0))
    for rungs, particles, name in ((0, 5, "ladder"), (3, 0, "particles")):
        with pytest.raises(ParameterError, match=name):
            _to_a_narrow_gaussian(rungs, particles)
