"""Fokker-Planck solvers against closed forms and against each other (arXiv:2112.00987)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.models import landscape as land
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.numerics.critical_points import critical_point
from quenched.theory import fokker_planck as fp

WELL = land.DoubleWell()
TOP = -0.200434
BOX = (-2.6, 2.9)


def well(t: float, cells: int = 2000) -> fp.Line:
    return fp.line(WELL, t, *BOX, cells)


def test_the_canonical_landscape() -> None:
    minima, tops = fp.barriers(WELL, *BOX)
    np.testing.assert_allclose([m.position[0] for m in minima], [-1, 1], atol=1e-8)
    np.testing.assert_allclose([m.hessian[0, 0] for m in minima], [3.15683, 0.843167], atol=1e-5)
    assert tops[0].position[0] == pytest.approx(TOP, abs=1e-6)
    assert tops[0].value == pytest.approx(0.282924, abs=1e-6)
    assert tops[0].hessian[0, 0] == pytest.approx(-1.835035, abs=1e-6)


def test_the_stationary_law_of_a_harmonic_well_is_exact() -> None:
    found = fp.stationary(fp.line(land.Harmonic(), 1.0, -6, 6, 50))
    x = found.theta.values
    exact = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum() / (x[1] - x[0])
    assert np.sum(np.abs(found.stationary_density - exact)) * (x[1] - x[0]) < 1e-12
    assert np.sum(np.abs(exact - np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))) * (x[1] - x[0]) < 1e-8


def test_the_rates_of_a_harmonic_well_converge_at_second_order() -> None:
    errors = []
    for cells in (50, 100, 200, 400):
        rates = fp.spectrum(fp.line(land.Harmonic(), 1.0, -6, 6, cells), 4)
        np.testing.assert_allclose(rates, [0, 1, 2, 3], atol=0.1)
        errors.append(abs(rates[1] - 1))
    np.testing.assert_allclose(errors, [9.5e-3, 2.4e-3, 6.0e-4, 1.5e-4], rtol=0.05)
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2, atol=0.1)


@pytest.mark.parametrize(("convention", "power"), [("ito", 3.0), ("stratonovich", 2.5), ("anti-ito", 2.0)])
def test_noise_that_depends_on_the_state(convention: str, power: float) -> None:
    """Drift -x, D = (1 + x^2)/4: p ~ (1 + x^2)^-3 in Ito's sense, and half a power less per half step of the convention."""
    process = fp.line(land.Harmonic(), 0.25, -60, 60, 800, noise=lambda x: 1 + x**2, convention=convention, wall=0)
    exact = (1 + process.x**2) ** -power
    np.testing.assert_allclose(process.stationary, exact / exact.sum(), rtol=1e-8)


@pytest.mark.parametrize(
    ("t", "rate", "ratio", "masses"),
    [
        (0.1, 2.8966e-2, 0.844, 1.8154),
        (0.05, 1.8169e-3, 0.897, 1.8934),
        (0.03, 4.3808e-5, 0.940, 1.9201),
        (0.02, 4.0121e-7, 0.961, 1.9291),
        (0.015, 3.6307e-9, 0.971, 1.9322),
    ],
)
def test_gap_and_masses_of_the_double_well(t: float, rate: float, ratio: float, masses: float) -> None:
    process = well(t)
    found = fp.gap(process)
    assert found == pytest.approx(rate, rel=0.005)
    kramers = fp.escape_rate(WELL, t, [-1.0], [TOP]) + fp.escape_rate(WELL, t, [1.0], [TOP])
    assert found / kramers == pytest.approx(ratio, abs=0.005)
    left, right = fp.basin_mass(process, TOP)
    assert right / left == pytest.approx(masses, abs=2e-3)
    assert fp.mass_ratio(WELL, t, [1.0], [-1.0]) == pytest.approx(np.sqrt(3.15683 / 0.843167), rel=1e-4)
    assert fp.spectrum(process, 2)[1] == pytest.approx(found, rel=1e-7)


@pytest.mark.parametrize("t", [0.1, 0.02, 0.005])
def test_the_derivative_of_the_gap(t: float) -> None:
    """Against a difference of gaps; T d ln lambda_1/dT tends to dE/T."""

    def rate(t: float) -> float:
        return fp.gap(well(t, 800))

    found = fp.gap_derivative(WELL, t, *BOX, 800)
    assert found == pytest.approx((rate(1.0001 * t) - rate(0.9999 * t)) / (2e-4 * t), rel=1e-4)
    assert found * t / rate(t) == pytest.approx(0.282924 / t, rel=0.02)


def test_the_derivative_of_the_gap_with_noise_that_depends_on_the_state() -> None:
    def rate(t: float) -> float:
        return fp.gap(fp.line(WELL, t, -2.6, 4.0, 800, noise=uneven))

    def uneven(x: jax.Array) -> jax.Array:
        return 1 - 0.5 * jnp.tanh(2 * x)

    found = fp.gap_derivative(WELL, 0.1, -2.6, 4.0, 800, noise=uneven)
    assert found == pytest.approx((rate(0.10001) - rate(0.09999)) / 2e-5, rel=1e-5)


def test_rates_that_drown_in_rounding_are_refused() -> None:
    three = land.FromPotential(lambda x: 1 - jnp.cos(2 * jnp.pi * x[0]) + 1e3 * jnp.maximum(jnp.abs(x[0]) - 1.3, 0) ** 2)
    with pytest.raises(ConvergenceError, match="a rate must be > 1e-13"):
        fp.spectrum(fp.line(three, 0.02, -1.7, 1.7, 1000), 3)


def test_a_gap_far_below_rounding_is_the_two_state_rate() -> None:
    """dE/T = 57: exact passage times say 1/tau_ab + 1/tau_ba, and so does the gap, where eigenvalue solvers return noise."""
    t = 0.005
    there = fp.mean_first_passage(WELL, t, -1.0, 1.0, far=-2.0)
    back = fp.mean_first_passage(WELL, t, 1.0, -1.0, far=2.2)
    process = fp.line(WELL, t, -2.0, 2.2, 4000)
    assert fp.gap(process) == pytest.approx(1 / there + 1 / back, rel=5e-3)


@pytest.mark.parametrize(
    ("t", "time", "ratio"), [(0.1, 59.765, 1.3520), (0.05, 849.39, 1.1348), (0.02, 3.7848e6, 1.0416), (0.01, 5.1571e12, 1.0196)]
)
def test_mean_first_passage(t: float, time: float, ratio: float) -> None:
    found = fp.mean_first_passage(WELL, t, -1.0, 1.0, far=-2.6)
    assert found == pytest.approx(time, rel=1e-3)
    assert found * fp.escape_rate(WELL, t, [-1.0], [TOP]) == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize(
    ("eta", "rate", "flat"), [(0.02, 0.01455, 0.6508), (0.1, 0.01511, 0.6634), (0.2, 0.01690, 0.6956), (0.3, 0.02664, 0.8001)]
)
def test_finite_learning_rates(eta: float, rate: float, flat: float) -> None:
    found = fp.transfer(WELL, fp.Temperature.at(0.08, eta), -2.2, 2.6, 700)
    assert found.gap == pytest.approx(rate, rel=0.005)
    assert found.stationary[found.x > TOP].sum() == pytest.approx(flat, rel=0.005)


def test_the_limit_of_small_learning_rates() -> None:
    process = well(0.08)
    assert fp.gap(process) == pytest.approx(0.014448, rel=0.001)
    assert fp.basin_mass(process, TOP)[1] == pytest.approx(0.64852, rel=0.001)


def test_relaxation_conserves_and_ends_at_the_rate_of_the_gap() -> None:
    process = well(0.08, 800)
    rates = fp.spectrum(process, 3)
    times = np.linspace(3 / rates[2], 8 / rates[2], 6)
    found = fp.relax(process, -1.0, np.concatenate([[0.0, 0.1, 1.0], times]))
    p = found.density.values * process.width
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-10)
    assert p.min() >= -1e-14
    distance = np.sqrt(np.sum((p - process.stationary) ** 2 / process.stationary, axis=1))[3:]
    slope = np.polyfit(times, np.log(distance), 1)[0]
    assert -slope == pytest.approx(rates[1], rel=0.01)


def test_schedules_by_implicit_steps() -> None:
    """A constant schedule is relaxation; a falling temperature freezes what has not crossed."""
    process = well(0.08, 300)
    exact = fp.relax(process, -1.0, [5.0]).density.values
    errors = []
    for substeps in (100, 200):
        found = fp.evolve(lambda t: process, -1.0, [5.0], substeps).density.values
        assert np.sum(found) * process.width == pytest.approx(1, abs=1e-10)
        errors.append(np.abs(found - exact).sum() * process.width)
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    cold = fp.evolve(lambda t: fp.line(WELL, 0.08 if t < 20 else 0.03, *BOX, 300), -1.0, [20.0, 200.0], 50).density.values
    assert fp.masses(process, cold[1] * process.width, TOP)[1] == pytest.approx(
        fp.masses(process, cold[0] * process.width, TOP)[1], abs=0.02
    )


def test_absorbing_and_periodic_ends() -> None:
    flat = land.FromPotential(lambda theta: 0.0 * theta[0])
    rates = fp.spectrum(fp.line(flat, 1.0, 0, np.pi, 400, boundary="absorbing"), 3)
    np.testing.assert_allclose(rates, [1, 4, 9], rtol=1e-4)
    around = fp.spectrum(fp.line(flat, 1.0, 0, 2 * np.pi, 400, boundary="periodic"), 3)
    np.testing.assert_allclose(around, [0, 1, 1], atol=1e-3)
    cosine = fp.line(land.Cosine(), 0.2, 0, 1, 200, boundary="periodic")
    assert fp.spectrum(cosine, 1)[0] == pytest.approx(0, abs=1e-8)


def test_the_kinetic_rates_of_a_harmonic_well() -> None:
    for friction, expected in ((0.5, 0.25 + 0.968246j), (3.0, 0.381966)):
        found = fp.kinetic_spectrum(land.Harmonic(), 1.0, -7, 7, mass=1.0, friction=friction, nodes=80, functions=10)
        assert abs(found[0]) < 1e-8
        assert np.min(np.abs(found - expected)) < 1e-4


@pytest.mark.parametrize(
    ("eta", "beta", "rate"), [(0.1, 0.0, 0.013712), (0.1, 0.5, 0.011353), (0.1, 0.9, 0.002977), (0.01, 0.9, 0.008550)]
)
def test_momentum_slows_the_escape(eta: float, beta: float, rate: float) -> None:
    """The gap per unit of t' = eta k/(1 - beta), at T = 0.08."""
    temperature = fp.Temperature.at(0.08, eta, beta)
    found = fp.kinetic_spectrum(WELL, temperature, -2.1, 2.5, nodes=300, functions=64, count=2)
    assert found[1].real * (1 - beta) == pytest.approx(rate, rel=0.005)
    if beta < 0.9:
        # Kramers' formula, at high friction
        both = sum(fp.escape_rate(WELL, temperature, [m], [TOP], dynamics="momentum") for m in (-1.0, 1.0))
        assert 0.8 < found[1].real / both < 1


@pytest.mark.parametrize(
    ("t", "rate", "ratio", "masses"),
    [(0.1, 2.777e-2, 0.878, 4.197), (0.06, 4.337e-3, 0.904, 4.468), (0.04, 4.250e-4, 0.937, 4.615)],
)
def test_two_dimensions(t: float, rate: float, ratio: float, masses: float) -> None:
    found = fp.plane(land.Channel(), t, ((-2.3, 2.7), (-3.2, 3.2)), (160, 110))
    assert fp.plane_gap(found) == pytest.approx(rate, rel=0.01)
    kramers = sum(fp.escape_rate(land.Channel(), t, [m, 0.0], [-0.2, 0.0]) for m in (-1.0, 1.0))
    assert fp.plane_gap(found) / kramers == pytest.approx(ratio, abs=0.01)
    left, right = fp.plane_masses(found, TOP)
    assert right / left == pytest.approx(masses, rel=0.01)


def test_mixing_takes_exponentially_longer_with_larger_batches() -> None:
    """ln(mixing steps) is linear in S with slope 2 dE/(eta sigma^2), and the preference for the flat well hardly changes."""
    sizes = np.array([2.0, 2.4, 2.8, 3.2])
    steps, flat = [], []
    for size in sizes:
        temperature = fp.Temperature(lr=0.1, batch_size=size)
        process = fp.line(WELL, temperature, *BOX, 2000)
        # Kramers' prefactor of lambda_1 carries no T in one dimension: what is left is the exponent
        steps.append(np.log(1 / fp.gap(process) / temperature.lr))
        flat.append(fp.basin_mass(process, TOP)[1])
    assert np.polyfit(sizes, steps, 1)[0] == pytest.approx(2 * 0.282924 / 0.1, rel=0.03)
    assert np.all(np.diff(flat) > 0)
    assert np.ptp(flat) < 0.01


def test_what_a_larger_batch_does_at_the_smallest_batches() -> None:
    for size, time, flat in ((1, 550, 0.6544), (2, 1.488e5, 0.6581), (3, 4.191e7, 0.6588)):
        process = fp.line(WELL, fp.Temperature(lr=0.1, batch_size=size), *BOX, 2000)
        assert 1 / fp.gap(process) == pytest.approx(time, rel=0.01)
        assert fp.basin_mass(process, TOP)[1] == pytest.approx(flat, abs=2e-4)


def test_critical_points_are_certified() -> None:
    saddle = critical_point(land.Channel().potential, [-0.3, 0.2], 1)
    assert saddle.falling == 1
    assert saddle.residual < 1e-10
    with pytest.raises(ConvergenceError, match="no critical point was reached"):
        critical_point(lambda x: x[0], [0.0])
    with pytest.raises(ConvergenceError, match="has 1 negative eigenvalues, 0 were asked for"):
        critical_point(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fp.line(WELL, 0.0, -2, 2), "temperature must be > 0"),
        (lambda: fp.line(WELL, 0.1, -1.3, 1.5), "widen it, or pass wall=0"),
        (lambda: fp.line(land.Quartic(), 0.1, 2, -2), "low must be < high"),
        (lambda: fp.line(WELL, float("nan"), -2, 2), "temperature must be a finite number"),
        (lambda: fp.line(land.FromPotential(lambda x: -(x[0] ** 2)), 0.1, -2, 2), "the loss must confine"),
        (lambda: fp.barriers(land.Quartic(), -1, 1, wells=2), "for every well, got 1 of 2"),
        (lambda: fp.line(land.Channel(), 0.1, -2, 2), "landscape must have one dimension, got 2"),
        (lambda: fp.line(WELL, 0.1, *BOX, noise=lambda x: x), "noise must be > 0 everywhere in the box"),
        (lambda: fp.line(WELL, 0.1, *BOX, convention="klimontovich"), "convention must be one of"),
        (lambda: fp.line(land.Cosine(), 0.1, 0, 1.5, boundary="periodic"), "whole periods"),
        (lambda: fp.line(land.FromPotential(lambda x: jnp.log(x[0])), 0.1, -1, 1), "loss must be finite"),
        (lambda: fp.relax(well(0.1, 100), 5.0, [1.0]), "start must lie in the box"),
        (lambda: fp.relax(well(0.1, 100), 0.0, [-1.0]), "times must be >= 0"),
        (lambda: fp.transfer(WELL, fp.Temperature.at(0.08, 0.1, 0.5), -2, 2), "momentum must be 0"),
        (lambda: fp.transfer(WELL, fp.Temperature.at(0.08, 0.001), -2, 2, 50), "two per standard deviation"),
        (lambda: fp.transfer(WELL, fp.Temperature.at(0.08, 1.5), -2.2, 2.6), "lr must keep a step inside the box"),
        (lambda: fp.mean_first_passage(WELL, 0.1, -1.0, 1.0, far=0.0), "start must lie between"),
        (lambda: fp.escape_rate(WELL, 0.1, [-1.0], [TOP], dynamics="momentum"), "with its parts"),
        (lambda: fp.barriers(land.FromPotential(lambda x: x[0]), -1, 1), "must have a minimum"),
        (lambda: fp.plane(land.Channel(), 0.1, ((-1.2, 1.2), (-1, 1))), "widen it"),
        (lambda: fp.Temperature(momentum=1.0), "momentum must lie in"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
