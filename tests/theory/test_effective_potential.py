"""The law that SGD samples in one dimension (arXiv:2108.09507): noise shape, Laplace weights, the best temperature."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from quenched.models.landscape import DoubleWell, FromPotential, Harmonic, Tilted
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.theory import fokker_planck as fp
from quenched.theory.effective_potential import (
    basin_weights,
    curl_test,
    effective_potential,
    laplace_weights,
    local_covariance,
    mode_shift,
    optimal_temperature,
    potential_along,
    temperature_scan,
)

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
    basins = basin_weights(WELL, t, -4, 6, noise=sloped)
    np.testing.assert_allclose(basins.minimum, [-1, 1], atol=1e-9)
    assert float(basins.depth[1] - basins.depth[0]) == pytest.approx(-0.392614, abs=1e-6)
    assert float(basins.basin_mass[1]) == pytest.approx(found, abs=1e-5)
    assert float(basins.laplace_mass[1] / basins.laplace_mass[0]) == pytest.approx(laplace, rel=1e-3)
    # the formula by hand
    flat, sharp = float(sloped(1.0)), float(sloped(-1.0))
    guess = np.exp(0.392614 / t) * (sharp / flat) * np.sqrt((3.15683 / sharp) / (0.843167 / flat))
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


def test_finite_volumes_sample_the_same_law() -> None:
    process = fp.line(WELL, 0.05, -4, 6, 2400, noise=sloped)
    exact = effective_potential(WELL, 0.05, -4, 6, noise=sloped)
    density = np.interp(process.x, exact.theta, np.exp(exact.log_density))
    assert np.sum(np.abs(process.stationary - density * process.width)) < 2e-5


def test_laplace_in_several_dimensions() -> None:
    """Equal depths: the ratio of the square roots of the determinants."""
    found = laplace_weights([0.0, 0.0], [np.diag([4.0, 1.0]), np.diag([1.0, 1.0])], 0.1)
    np.testing.assert_allclose(found, [1 / 3, 2 / 3], rtol=1e-12)


STIFF = np.array([[1.0, 0.6], [0.6, 1.0]])
UNEVEN = np.diag([0.4, 0.1])


def tilted_bowl(x):
    return 0.5 * x @ STIFF @ x


def test_uneven_constant_noise_has_no_potential_but_a_covariance() -> None:
    points = np.random.default_rng(0).normal(size=(7, 2))
    assert curl_test(tilted_bowl, lambda x: jnp.asarray(UNEVEN), 1.0, points).attrs["largest"] > 0.1
    found = local_covariance(STIFF, UNEVEN, 1.0)
    np.testing.assert_allclose(found, [[0.540625, -0.234375], [-0.234375, 0.240625]], atol=1e-12)
    with pytest.raises(ParameterError, match=r"noise and loss must have a potential, got a curl of 0\.5"):
        potential_along(tilted_bowl, lambda x: jnp.asarray(UNEVEN), 1.0, [0, 0], [1, 1])


@pytest.mark.slow
def test_the_covariance_without_a_potential_by_finite_volumes() -> None:
    process = fp.flow(
        FromPotential(lambda x: 0.5 * x[0] ** 2 + 0.6 * x[0] * x[1] + 0.5 * x[1] ** 2, 2),
        1.0,
        ((-4.5, 4.5), (-3.0, 3.0)),
        (240, 240),
        noise=lambda x: jnp.array([0.4, 0.1]) + 0 * x,
    )
    p = process.stationary
    x, y = np.meshgrid(process.x, process.y, indexing="ij")
    found = [np.sum(p * x * x), np.sum(p * x * y), np.sum(p * y * y)]
    np.testing.assert_allclose(found, [0.540625, -0.234375, 0.240625], atol=3e-4)


def test_noise_that_depends_on_the_loss_alone_has_a_potential() -> None:
    """Sigma = s(U) I with s = 1 + U: v = ln(1 + U) + T ln(1 + U)."""
    noise = lambda x: (1 + tilted_bowl(x)) * jnp.eye(2)  # noqa: E731
    points = np.random.default_rng(1).normal(size=(7, 2))
    assert curl_test(tilted_bowl, noise, 0.1, points).attrs["largest"] < 1e-12
    found = potential_along(tilted_bowl, noise, 0.1, [0.2, -0.1], [1.0, 2.0])
    ends = [np.log1p(float(tilted_bowl(np.array(e)))) for e in ([0.2, -0.1], [1.0, 2.0])]
    assert float(found.effective_potential[-1]) == pytest.approx(1.1 * (ends[1] - ends[0]), rel=1e-9)
    again = potential_along(tilted_bowl, noise, 0.1, [0.2, -0.1], [1.0, 2.0], projected=True)
    np.testing.assert_allclose(again.effective_potential, found.effective_potential, atol=1e-9)
    assert (found.attrs["projection"], again.attrs["projection"]) == ("false", "true")


def test_the_most_likely_place_is_not_the_minimum() -> None:
    t = 1e-3
    v = effective_potential(WELL, t, -1.2, -0.8, noise=sloped, points=400_001)
    mode = float(v.theta[int(np.argmin(v.effective_potential.values))])
    shift = mode_shift(WELL, lambda x: sloped(x)[None] * jnp.ones((1, 1)), t, [-1.0])[0]
    assert mode + 1 == pytest.approx(shift, rel=0.05)
    assert abs(shift) > 1e-5


def test_the_covariance_at_finite_learning_rate() -> None:
    eta, size, h, sigma = 0.3, 4.0, 2.0, 1.5
    found = local_covariance(h, sigma, eta / (2 * size), lr=eta)
    assert found[0, 0] == pytest.approx(eta * sigma / (size * h * (2 - eta * h)), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_potential(WELL, 0.0, -2, 2), "temperature must be > 0"),
        (lambda: effective_potential(WELL, 0.1, -2, 2, noise=lambda x: x), "noise must be > 0 in the box"),
        (lambda: effective_potential(WELL, 0.1, 2, -2), "low must be < high"),
        (lambda: effective_potential(WELL, 0.1, -2, 2, moment="raw"), "lr must be given"),
        (lambda: effective_potential(WELL, 1.0, -1.2, 1.2), "the box must reach to where v is 10 T above"),
        (lambda: temperature_scan(WELL, WELL, [0.1, -1.0], 0.0, -2, 2), "temperature must be > 0"),
        (lambda: basin_weights(WELL, 0.01, 1.2, 2.0, wall=0), "loss must have a minimum"),
        (lambda: laplace_weights([0.0, 1.0], [1.0, -1.0], 0.1), "hessians must be positive, got an eigenvalue -1"),
        (lambda: local_covariance(STIFF, UNEVEN, 0.1, lr=1.5), "lr times the largest curvature must be < 2, got 2.4"),
        (lambda: local_covariance(-STIFF, UNEVEN, 0.1), "hessian must be positive"),
        (lambda: curl_test(tilted_bowl, lambda x: jnp.diag(x), 0.1, [[1.0, -1.0]]), "noise must be positive definite"),
        (lambda: curl_test(tilted_bowl, lambda x: x, 0.1, [[1.0, 1.0]]), r"noise must have the shape \(d, d\)"),
        (lambda: potential_along(tilted_bowl, lambda x: jnp.eye(2), 0.1, [0, 0], [0, 0]), "two different points"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
