"""Displacements, exponents, circulation and spectra of processes whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from quenched.numerics.checks import ParameterError
from quenched.observables.diffusion import anomalous_exponent, circulation, measured_spectrum
from quenched.observables.displacement import Projections, StepLength, log_spaced
from quenched.theory import ornstein_uhlenbeck as ou
from tests.dynamics.test_minibatches import problem

RULE = qd.dynamics.Gradient(lr=0.05, batches=qd.dynamics.Minibatch(size=4), transform=qd.dynamics.Momentum(decay=0.8))


def test_what_is_accumulated_is_what_a_trajectory_says() -> None:
    model, _ = problem(40)
    q = np.eye(3)[:2]
    instruments = (StepLength(steps=40, blocks=4), Projections(q, steps=40, every=5))
    run = qd.simulate(model, RULE, steps=40, replicas=2, record_weights=True, accumulators=instruments, seed=1, dtype="float64")
    w = run["weights"].values[0]
    steps = np.sum(np.diff(w, axis=1) ** 2, axis=2)
    np.testing.assert_allclose(run["step_displacement"].values[0], steps.reshape(2, 4, 10).mean(2), rtol=1e-9)
    np.testing.assert_allclose(run["projection"].values[0], (w[:, 5::5] - w[:, :1])[..., :2], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(run["projected_velocity"].values[0], (w[:, 5::5] - w[:, 4::5][:, :8])[..., :2], atol=1e-9)


def test_steps_beyond_the_buffer_are_dropped() -> None:
    model, _ = problem(40)
    run = qd.simulate(model, RULE, steps=12, accumulators=(Projections(np.eye(3)[:1], steps=6, every=2),), seed=1)
    assert run["projection"].shape[-2:] == (3, 1)
    assert np.all(np.isfinite(run["projection"]))


def test_log_spaced_steps() -> None:
    steps = log_spaced(1000)
    assert steps[0] == 1
    assert steps[-1] == 1000
    assert list(steps) == sorted(set(steps))


@pytest.mark.parametrize("c", [0.5, 1.0, 1.3])
def test_the_exponent_of_a_power_law(c: float) -> None:
    k = np.array(log_spaced(10_000))
    rows = 3 * k**c * np.exp(0.05 * np.random.default_rng(0).normal(size=(40, len(k))))
    found = anomalous_exponent(k, rows, (10, 1000))
    assert abs(float(found.exponent) - c) < 4 * float(found.exponent_error) < 0.05
    assert found.attrs["window"] == "10 to 1000"
    assert np.median(found.local_exponent) == pytest.approx(c, abs=0.05)


def test_the_bootstrap_error_is_the_scatter_between_experiments() -> None:
    k = np.array(log_spaced(1000))
    random = np.random.default_rng(1)
    found = [anomalous_exponent(k, k * random.exponential(size=(30, 1)) ** np.log(k), (1, 1000)) for _ in range(60)]
    scatter = np.std([float(f.exponent) for f in found], ddof=1)
    assert np.mean([float(f.exponent_error) for f in found]) == pytest.approx(scatter, rel=0.4)


def test_circulation_of_a_two_dimensional_process() -> None:
    """Exact steps of dx = -A x dt + sqrt(2 D) dW: <x o dy - y o dx>/dt = 2 Q = 1.8 (arXiv:2107.09133, fig. 3)."""
    from scipy.linalg import expm

    process = ou.OrnsteinUhlenbeck([[2.5, -1.5], [-1.5, 2.5]], np.diag([4.0, 1.0]))
    dt, random = 1e-3, np.random.default_rng(0)
    m = expm(-process.drift * dt)
    root = np.linalg.cholesky(process.covariance - m @ process.covariance @ m.T)
    x = np.linalg.cholesky(process.covariance) @ random.normal(size=(2, 4000))
    path = [x]
    for _ in range(1000):
        x = m @ x + root @ random.normal(size=x.shape)
        path.append(x)
    found = circulation(*np.moveaxis(np.array(path), 0, -1))
    error = float(found.circulation_error) / dt
    assert abs(float(found.circulation) / dt - process.circulation[0, 1]) < 5 * error
    assert error < 0.1


def test_the_measured_spectrum_is_that_of_the_theory() -> None:
    """Welch's estimate of momentum SGD on one noisy mode: AR(2), frequency by frequency."""
    rule = ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=1)
    random = np.random.default_rng(0)
    x, v = np.zeros(400), np.zeros(400)
    path = []
    for step in range(4500):
        v = 0.9 * v - x + random.normal(size=400)
        x = x + 0.1 * v
        if step >= 500:
            path.append(x)
    found = measured_spectrum(np.array(path).T, segment=500)
    theory = ou.power_spectrum(rule, [1.0], [1.0], found.frequency.values).power_spectrum.values[0]
    # the window smears the resonance and leaks into the far tail; subtracting the mean takes from the first bins
    w = found.frequency.values
    clean = (np.abs(w - 0.32) > 0.15) & (w > 2.5 * w[0]) & (theory > 1e-3 * theory.max())
    error = found.power_spectrum_error.values[clean] / theory[clean]
    assert error.max() < 0.03
    ratio = found.power_spectrum.values[clean] / theory[clean]
    assert np.all(np.abs(ratio - 1) < 5 * error + 0.02)


def test_white_noise_is_white_at_the_largest_frequency_too() -> None:
    """The frequency pi has one sign only."""
    found = measured_spectrum(np.random.default_rng(1).normal(size=(400, 1000)), segment=100)
    power, error = found.power_spectrum.values, found.power_spectrum_error.values
    assert found.frequency.values[-1] == pytest.approx(np.pi)
    middle = power[5:-1].mean()
    assert abs(power[-1] - middle) < 5 * error[-1]
    assert error[-1] < 0.05 * middle


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: anomalous_exponent([1, 2, 3, 4], np.ones(4), (1, 4)), "window must hold at least 5 of the steps, got 4"),
        (lambda: anomalous_exponent(np.arange(10), np.ones(10), (0, 9)), "steps must be > 0"),
        (lambda: anomalous_exponent(np.arange(1, 9), np.ones(7), (1, 9)), "displacement must have the steps"),
        (lambda: anomalous_exponent(np.arange(1, 9), np.zeros(8), (1, 9)), "displacement must be positive"),
        (lambda: circulation(np.ones(2), np.ones(2)), "trajectories of equal length >= 3"),
        (lambda: measured_spectrum(np.ones(20)), "segment must be <= the length of the trajectories, 20"),
        (lambda: StepLength(steps=3, blocks=5), "steps must be an integer >= 5"),
        (lambda: Projections(np.ones(3), steps=3), r"directions must be an array \(direction, N\)"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
