"""Flows without variance: Poisson's equation on the torus, and the transport map (arXiv:2206.09908, section 3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import i0
from scipy.stats import kstest, norm

from quenched.numerics.checks import ParameterError
from quenched.sampling import (
    InfiniteTime,
    LogDensity,
    ModuleField,
    Problem,
    check_divergence,
    problem,
    torus_field,
    torus_problem,
    transport,
)


def _log_waves(x):
    """1 + Laplace V for V = (0.9/8 pi^2) cos(2 pi x) cos(2 pi y)."""
    return jnp.log1p(-0.9 * jnp.cos(2 * jnp.pi * x[0]) * jnp.cos(2 * jnp.pi * x[1]))


def _weights(field, log_density, x, time: float) -> np.ndarray:
    with jax.enable_x64(True):
        given, estimator = torus_problem(field, log_density), InfiniteTime(time=time, steps=50)
        one = jax.jit(lambda points: jax.lax.map(lambda y: estimator.weigh(given, y).log_weight, points, batch_size=500))
        return np.exp(one(jnp.asarray(x)))


def test_the_potential_of_two_waves() -> None:
    field, log_constant = torus_field(_log_waves, 2, points=16)
    assert log_constant == pytest.approx(0, abs=1e-14)
    assert field.modes.shape == (4, 2)
    assert np.all(np.abs(field.modes) == 1)
    assert np.allclose(field.cosines, 0.9 / (8 * np.pi**2) / 4)
    with jax.enable_x64(True):
        x = jnp.array([0.2, 0.7])
        velocity = jax.grad(lambda y: 0.9 / (8 * jnp.pi**2) * jnp.cos(2 * jnp.pi * y[0]) * jnp.cos(2 * jnp.pi * y[1]))(x)
        assert np.allclose(field.velocity((), x), velocity, atol=1e-15)


def test_the_divergence_of_any_torus_field_is_the_difference_of_the_densities() -> None:
    def log_density(x):
        return jnp.sum(2 * jnp.cos(2 * jnp.pi * (x - 0.3)))

    field, log_constant = torus_field(log_density, 2, points=32)
    assert log_constant == pytest.approx(2 * np.log(i0(2.0)), abs=1e-12)
    with jax.enable_x64(True):
        points = jax.random.uniform(jax.random.key(0), (6, 2))
        check_divergence(field, (), points)
        wanted = jnp.exp(jax.vmap(log_density)(points) - log_constant) - 1
        assert np.abs(jax.vmap(lambda y: field.divergence((), y))(points) - wanted).max() < 1e-10


@pytest.mark.slow
def test_the_variance_on_the_torus_dies_out_with_the_time() -> None:
    """Standard deviations near 0.021, 6e-4 and 2e-11 at T = 10, 20, 40 are carried by the few starts near the stagnation points:
    over batches of 2000 starts they scatter by 15 per cent at T = 10, and by 50 per cent at T = 20.
    """
    field, _ = torus_field(_log_waves, 2, points=16)
    x = np.random.default_rng(0).uniform(size=(2000, 2))
    early, middle, late = (_weights(field, _log_waves, x, time) for time in (10.0, 20.0, 40.0))
    assert early.std() == pytest.approx(0.0213, rel=4 * 0.15)
    assert 1e-5 < middle.std() < 3e-3
    assert late.std() < 1e-8
    assert np.abs(late - 1).max() < 1e-8
    vanilla = np.exp([float(_log_waves(y)) for y in x])
    assert vanilla.var() == pytest.approx(0.9**2 / 4, rel=0.1)


def _two_gaussians(w: float, s: float) -> Problem:
    with jax.enable_x64(True):
        field = ModuleField(lambda x: x - w / (1 - s))
        target = LogDensity(lambda x: -((x[0] - w) ** 2) / (2 * s**2), 1)
        return problem(field, field.initial(jax.random.key(0), 1), target)


def test_the_map_between_two_gaussians_is_affine() -> None:
    w, s = 1.0, 0.5
    x = np.random.default_rng(1).standard_normal((100, 1))
    given = _two_gaussians(w, s)
    coarse, _ = transport(given, x, time=40, steps=300)
    moved, times = transport(given, x, time=40, steps=600)
    errors = [np.abs(y - (s * x + w)).max() for y in (coarse, moved)]
    assert errors[1] < 1e-5
    # second order; where tau lies between two nodes changes the prefactor
    assert 2 < errors[0] / errors[1] < 8
    assert np.abs(times - np.log(s)).max() < 1e-5
    assert kstest(moved[:, 0], norm(w, s).cdf).pvalue > 0.01


def test_the_map_on_the_torus_makes_samples_of_the_target() -> None:
    """One angle: b = V' with V'' = rho_1 - 1 moves a uniform law to von Mises', by the inverse of its distribution function."""
    field, log_constant = torus_field(lambda x: jnp.cos(2 * jnp.pi * x[0]), 1)
    with jax.enable_x64(True):
        given = torus_problem(field, lambda x: jnp.cos(2 * jnp.pi * x[0]))
        start = np.random.default_rng(2).uniform(size=(500, 1))
        moved, _ = transport(given, start, time=60, steps=50)
    grid = np.linspace(0, 1, 4001)
    density = np.exp(np.cos(2 * np.pi * grid) - log_constant)
    cumulated = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) / 4000])
    assert kstest(moved[:, 0] % 1, lambda y: np.interp(y, grid, cumulated)).pvalue > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torus_field(_log_waves, 0), "dimension must"),
        (lambda: torus_field(_log_waves, 2, points=1), "points must"),
        (lambda: torus_field(lambda x: jnp.log(x[0]), 1), "log_density must be finite on the grid"),
        (lambda: transport(_two_gaussians(1.0, 0.5), np.zeros((1, 1)), time=0), "time must"),
        (lambda: transport(_two_gaussians(1.0, 0.5), np.zeros((1, 1)), steps=1), "steps must"),
    ],
)
def test_bad_input_is_refused(make, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
