"""The square loss on two clusters: the deterministic theory, and the sampled one against it."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from tests.physics.mixture_tools import assert_above_bayes, assert_agree, assert_values, mixture

SQUARE = qd.losses.Square()


def spectral_response(alpha, noise, ridge, lr, steps):
    """R(t+1, 0) = int rho(x) (1 - lr ridge - lr x)^t with the Marchenko-Pastur law rho of Delta Z^T Z/d.

    By the midpoint rule in the angle, which converges geometrically because the bulk stays away from 0.
    """
    edges = noise * (1 + np.array([-1.0, 1.0]) * alpha**0.5) ** 2
    angle = np.pi * (np.arange(4000) + 0.5) / 4000
    half = (edges[1] - edges[0]) / 2
    x = edges.mean() + half * np.cos(angle)
    weight = (half * np.sin(angle)) ** 2 / (2 * noise * x) / 4000
    bulk = (weight[None] * (1 - lr * ridge - lr * x) ** np.arange(steps)[:, None]).sum(1)
    return bulk + max(0.0, 1 - alpha) * (1 - lr * ridge) ** np.arange(steps)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [2.0, 0.5])
def test_response_is_the_spectral_average(alpha):
    """1e-12 for the deterministic solver, 0.01 for Monte Carlo."""
    expected = spectral_response(alpha, 0.5, 0.1, 0.2, 60)
    model = mixture(SQUARE, alpha=alpha, noise=0.5)
    exact = qd.solve(model, qd.dynamics.Gradient(0.2, ridge=0.1), steps=60, method="oracle")
    np.testing.assert_allclose(exact["response"][1:, 0], expected, atol=1e-12)
    everyone = qd.dynamics.Gradient(0.2, qd.dynamics.IID(1.0), ridge=0.1)
    sampled = qd.solve(model, everyone, steps=60, method="sampled", samples=8192, runs=2)
    np.testing.assert_allclose(sampled["response"][:, 1:, 0].mean("disorder"), expected, atol=0.01)


def test_gradient_descent_values():
    theory = qd.solve(mixture(SQUARE, alpha=2.0, noise=0.5), qd.dynamics.Gradient(0.2, ridge=0.1), steps=60, method="oracle")
    expected = {
        1: {"overlap": 0.4, "norm": 0.26284, "loss": 0.18706},
        5: {"overlap": 0.581467, "norm": 0.488870, "loss": 0.110722},
        20: {"overlap": 0.621985, "norm": 0.680655, "loss": 0.090464},
        59: {"overlap": 0.629524, "norm": 0.768305, "loss": 0.087006},
    }
    for step, values in expected.items():
        for name, value in values.items():
            assert float(theory[name][step]) == pytest.approx(value, abs=1e-5), (step, name)


@pytest.fixture(scope="module")
def noisy():
    model, rule = mixture(SQUARE, alpha=2.0, noise=0.5), qd.dynamics.Gradient(0.4, qd.dynamics.IID(0.3), ridge=0.1)
    return model, rule, qd.solve(model, rule, steps=60, method="oracle")


def test_sgd_values(noisy):
    exact = noisy[2]
    for name, value in {"overlap": 0.571172, "norm": 0.544300, "loss": 0.105853}.items():
        assert float(exact[name][59]) == pytest.approx(value, abs=1e-5), name
    assert float(exact["correlation"][59, 29]) == pytest.approx(0.513686, abs=1e-5)


def test_monte_carlo_against_the_exact_solution(noisy):
    model, rule, exact = noisy
    sampled = qd.solve(model, rule, steps=60, method="sampled", samples=8192, runs=4)
    expected = {step: {name: float(exact[name][step]) for name in ("overlap", "norm")} for step in (5, 20, 59)}
    assert_values(sampled, expected, {"overlap": (0.0, 0.01), "norm": (0.0, 0.015)})


@pytest.mark.slow
def test_direct_simulation_of_sgd(noisy):
    model, rule, exact = noisy
    experiment = qd.simulate(
        model, rule, steps=60, size=500, disorder=16, replicas=4, seed=2, times=[1, 5, 20, 40, 60], two_time=True
    )
    assert_agree(exact, experiment, ["overlap", "norm", "loss", "test_error", "correlation"])
    assert_above_bayes(experiment, 2.0, 0.5)


@pytest.mark.parametrize(("alpha", "noise"), [(2.0, 0.5), (0.5, 1.0), (8.0, 0.2)])
def test_the_first_step_from_zero_is_bayes_optimal_and_nothing_beats_it(alpha, noise):
    """The first step of the square loss from w = 0 is the plug-in direction sum_mu y_mu x_mu."""
    model = mixture(SQUARE, alpha=alpha, noise=noise, variance=0.0)
    theory = qd.solve(model, qd.dynamics.Gradient(0.05), steps=100, method="oracle")
    m = 0.05 * alpha
    assert float(theory["overlap"][1]) == pytest.approx(m, rel=1e-12)
    assert float(theory["norm"][1]) == pytest.approx(m**2 * (1 + noise / alpha), rel=1e-12)
    assert float(theory["test_error"][1]) == pytest.approx(qd.theory.static.bayes_error(alpha, noise), rel=1e-12)
    assert_above_bayes(theory.isel(t=slice(1, None)), alpha, noise)
