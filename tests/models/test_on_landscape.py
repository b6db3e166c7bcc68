"""Samples whose mean is a landscape: their noise is what it is said to be, at every point and batch size."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.dynamics import GaussianBatch, Gradient, Minibatch, Reshuffled
from quenched.dynamics.arrival import Arrived
from quenched.dynamics.simulate import simulate
from quenched.models import landscape as land
from quenched.models.on_landscape import AdditiveNoise, MultiplicativeNoise, OnLandscape
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.records.description import build, describe

CHANNEL = OnLandscape(land.Channel(), AdditiveNoise((2.0, 0.5)), start=(-1.0, 0.3), count=60)
SCALED = OnLandscape(land.Quartic(), MultiplicativeNoise(land.Harmonic()), start=(0.7,), count=50)


@pytest.mark.parametrize("model", [CHANNEL, SCALED])
def test_the_mean_is_the_landscape_and_the_noise_its_covariance(model: OnLandscape) -> None:
    with jax.enable_x64(True):
        marks = model.sample(jax.random.key(0), model.sizes(None), jnp.float64)
        for theta in ([0.4, -0.2], [-1.3, 0.9]):
            point = jnp.asarray(theta[: model.landscape.dimension])
            assert np.mean(model.losses(point, marks)) == pytest.approx(float(model.landscape.potential(point)), abs=1e-12)
            slopes = np.asarray(jax.jacobian(model.losses)(point, marks))
            np.testing.assert_allclose(slopes.mean(axis=0), model.landscape.gradient(point), atol=1e-12)
            covariance = np.cov(slopes.T, bias=True).reshape(len(point), len(point))
            np.testing.assert_allclose(covariance, model.noise.covariance(point), atol=1e-12)


def test_gradient_and_hessian_of_a_landscape() -> None:
    with jax.enable_x64(True):
        channel, point = land.Channel(), jnp.array([1.0, 0.0])
        np.testing.assert_allclose(channel.gradient(point), [0, 0], atol=1e-12)
        np.testing.assert_allclose(channel.hessian(point), np.diag([0.843167, 4 - 3 * np.tanh(2)]), atol=1e-5)


@pytest.mark.parametrize("batches", [Minibatch(4), Reshuffled(4), GaussianBatch(4)])
def test_one_step_of_sgd(batches: object) -> None:
    """theta - eta (grad L + chi), chi of covariance Sigma/S (without replacement (n - S)/(n - 1) times that)."""
    run = simulate(CHANNEL, Gradient(lr=0.1, batches=batches), steps=1, replicas=20_000, seed=3, dtype="float64")
    moved = run.position.values[0, :, 1] - run.position.values[0, :, 0]
    with jax.enable_x64(True):
        slope = np.asarray(CHANNEL.landscape.gradient(jnp.asarray(CHANNEL.start)))
    factor = (60 - 4) / (60 - 1) if isinstance(batches, Reshuffled) else 1.0
    variance = 0.01 * np.array([2.0, 0.5]) / 4 * factor
    error = np.sqrt(variance / 20_000)
    assert np.all(np.abs(moved.mean(axis=0) + 0.1 * slope) < 4 * error)
    assert np.all(np.abs(moved.var(axis=0) / variance - 1) < 4 * np.sqrt(2 / 20_000))
    assert abs(np.corrcoef(moved.T)[0, 1]) < 4 / np.sqrt(20_000)


def test_arrival_at_a_ball_stops_a_replica() -> None:
    model = OnLandscape(land.Harmonic(), start=(1.0,), count=10)
    run = simulate(model, Gradient(lr=0.1), steps=40, stop=Arrived(0.0, radius=0.5), times=[0, 40])
    # 0.9^7 = 0.478
    assert run.stop_step.values.ravel() == [7]
    assert run.position.values[0, 0, -1, 0] == pytest.approx(0.9**7, rel=1e-5)


def test_a_step_that_is_unstable_at_the_start_is_announced() -> None:
    with pytest.warns(QuenchedWarning, match="lr is large"):
        simulate(OnLandscape(land.Harmonic(30.0), count=10), Gradient(lr=0.1), steps=1)


def parabola(theta: jax.Array) -> jax.Array:
    return theta[0] ** 2


@pytest.mark.parametrize("model", [CHANNEL, SCALED, OnLandscape(land.FromPotential(parabola))])
def test_description(model: OnLandscape) -> None:
    assert build(describe(model), consent=True) == model


def test_a_reader_of_files_knows_the_names() -> None:
    """In a process of its own: nothing else has imported the landscapes."""
    words = "import quenched as qd; qd.load; from quenched.records.description import is_public as known; "
    words += "assert all(map(known, ('DoubleWell', 'Channel', 'OnLandscape', 'AdditiveNoise', 'Arrived')))"
    subprocess.run([sys.executable, "-c", words], check=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OnLandscape(land.Channel()), "start must have 2 coordinates"),
        (lambda: AdditiveNoise(0.0), "variance must be > 0"),
        (lambda: OnLandscape(noise=AdditiveNoise((1.0, 2.0))), "variance must be one value or 1"),
        (lambda: OnLandscape(noise=MultiplicativeNoise(land.Channel())), "shape must have 1 dimensions, got 2"),
        (lambda: OnLandscape(count=1), "count must be an integer >= 2"),
        (lambda: Arrived(0.0, radius=0.0), "radius must be > 0"),
        (lambda: simulate(OnLandscape(), Gradient(), steps=1, size=3), "size must be None"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
