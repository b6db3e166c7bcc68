"""The law that SGD samples in one dimension (arXiv:2108.09507): noise shape, Laplace weights, the best temperature."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from quenched.models.landscape import DoubleWell, FromPotential, Harmonic, Tilted
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.theory.effective_potential import effective_potential, optimal_temperature, temperature_scan

WELL, TOP = DoubleWell(), -0.200434
TRAIN = Tilted()
TEST = FromPotential(lambda x: (TRAIN.potential(x - 0.35) + TRAIN.potential(x + 0.35)) / 2)
BARRIER = -0.186069
BOX = (-2.6, 3.2)


def sloped(x):
    return 1 - 0.8 * jnp.tanh(2 * x)


@pytest.mark.parametrize(
    ("t", "ratio", "laplace"), [(0.2, 34.45, 38.34), (0.1, 241.6, 273.0), (0.05, 12838, 13845), (0.03, 2.499e6, 2.599e6)]
)
def test_noise_that_is_larger_at_the_sharp_minimum(t: float, ratio: float, laplace: float) -> None:
    found = float(temperature_scan(WELL, WELL, [t], TOP, -4, 6, noise=sloped).flat_mass[0])
    assert found / (1 - found) == pytest.approx(ratio, rel=1e-3)
    v = effective_potential(WELL, 1e-9, -1.5, 1.5, noise=sloped)
    depth = np.interp([1.0, -1.0], v.theta, v.effective_potential)
    assert depth[0] - depth[1] == pytest.approx(-0.392614, abs=1e-5)
    flat, sharp = float(sloped(1.0)), float(sloped(-1.0))
    guess = np.exp(-(depth[0] - depth[1]) / t) * (sharp / flat) * np.sqrt((3.15683 / sharp) / (0.843167 / flat))
    assert guess == pytest.approx(laplace, rel=1e-3)


def test_constant_noise_makes_the_difference_of_two() -> None:
    found = float(temperature_scan(WELL, WELL, [0.05], TOP, *BOX).flat_mass[0])
    assert found / (1 - found) == pytest.approx(1.893, rel=1e-3)


def test_the_second_moment_of_a_step() -> None:
    """Quadratic loss, Sigma/S = 1: variance eta/(2 - eta) with the raw moment, eta/2 with the covariance."""
    for eta, raw in ((0.1, 0.05263), (0.5, 0.33333)):
        for moment, expected in (("raw", raw), ("covariance", eta / 2)):
            found = effective_potential(Harmonic(), eta / 2, -60, 60, lr=eta, moment=moment, points=400_001)
            p = np.exp(found.log_density.values) * (found.theta[1] - found.theta[0]).item()
            # the tails of the raw law are power laws: the box cuts them
            assert np.sum(p * found.theta.values**2) == pytest.approx(
                expected, abs=1e-4 if eta < 0.3 or moment != "raw" else 3e-4
            )


def test_temperature_trades_depth_against_flatness() -> None:
    scan = temperature_scan(TRAIN, TEST, [0.01, 0.02, 0.05, 0.1, 0.2], BARRIER, *BOX)
    np.testing.assert_allclose(scan.mean_test_loss, [0.19111, 0.16974, 0.15862, 0.16990, 0.19613], atol=1e-4)
    np.testing.assert_allclose(scan.mean_loss, [0.00843, 0.01988, 0.04201, 0.06969, 0.10485], atol=1e-4)
    np.testing.assert_allclose(scan.flat_mass, [0.0979, 0.3151, 0.5189, 0.5803, 0.6007], atol=1e-4)
    best, value = optimal_temperature(TRAIN, TEST, (0.005, 0.5), *BOX)
    assert best == pytest.approx(0.0441, rel=0.02)
    assert value == pytest.approx(0.15832, abs=1e-4)


def test_with_noise_like_the_curvature_colder_is_better() -> None:
    scan = temperature_scan(TRAIN, TEST, [0.01, 0.05, 0.2], BARRIER, -4, 6, noise=sloped)
    np.testing.assert_allclose(scan.flat_mass, [1.0, 0.9998, 0.9662], atol=1e-4)
    np.testing.assert_allclose(scan.mean_test_loss, [0.08412, 0.08896, 0.11366], atol=1e-4)
    with pytest.raises(ConvergenceError, match="no minimum inside"):
        optimal_temperature(TRAIN, TEST, (0.01, 0.5), -4, 6, noise=sloped)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_potential(WELL, 0.0, -2, 2), "temperature must be > 0"),
        (lambda: effective_potential(WELL, 0.1, -2, 2, noise=lambda x: x), "noise must be > 0 in the box"),
        (lambda: effective_potential(WELL, 0.1, 2, -2), "low must be < high"),
        (lambda: effective_potential(WELL, 0.1, -2, 2, moment="raw"), "lr must be given"),
        (lambda: temperature_scan(WELL, WELL, [0.1, -1.0], 0.0, -2, 2), "temperature must be > 0"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
