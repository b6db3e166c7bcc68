"""One form for all methods, units of time, schedules, and two dimensions without detailed balance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from quenched.models import landscape as land
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.theory import fokker_planck as fp
from quenched.theory.fokker_planck.schedule import annealed

WELL = land.DoubleWell()
BOX = (-2.3, 2.7)
PLANE = ((-2.3, 2.7), (-3.2, 3.2))
WARM = fp.Temperature.at(0.08, 0.1)


KRAMERS = (np.sqrt(3.15683 * 1.835035) + np.sqrt(0.843167 * 1.835035)) / (2 * np.pi) * np.exp(-0.282924 / 0.08)


@pytest.mark.parametrize(
    ("method", "rate", "flat"),
    [
        ("eigen", 0.014448, 0.64852),
        ("eyring-kramers", KRAMERS, 1.93495 / 2.93495),
        ("transfer", 0.01511, 0.6634),
        ("kinetic", 0.013712, 0.64852),
    ],
)
def test_every_method_in_one_form(method: str, rate: float, flat: float) -> None:
    found = fp.mixing(WELL, WARM, BOX, method=method)
    assert found.attrs["method"] == method
    assert found.attrs["time_unit"] == "eta_k"
    assert float(found.gap_rate) == pytest.approx(rate, rel=0.005)
    assert float(found.mixing_time * found.gap_rate) == pytest.approx(1)
    assert float(found.basin_mass[1]) == pytest.approx(flat, rel=1e-3)
    assert float(found.basin_mass.sum()) == pytest.approx(1, abs=1e-10)
    if method not in ("eyring-kramers", "kramers"):
        assert float(found.stationary_density.sum()) * float(found.theta[1] - found.theta[0]) == pytest.approx(1, abs=1e-10)


def test_the_two_state_rate_is_the_gap_at_low_temperature() -> None:
    eigen, two = (fp.mixing(WELL, 0.02, BOX, method=method, cells=2000) for method in ("eigen", "asymptotic"))
    assert float(eigen.gap_rate) == pytest.approx(4.0121e-7, rel=0.002)
    assert float(two.gap_rate) == pytest.approx(4.012e-7, rel=0.002)


def test_units_of_time_are_converted_and_never_mixed() -> None:
    temperature = fp.Temperature.at(0.08, 0.1, 0.5)
    found = {unit: fp.mixing(WELL, temperature, BOX, method="kinetic", time_unit=unit) for unit in ("steps", "eta_k", "t_prime")}
    rates = [float(found[unit].gap_rate) for unit in ("steps", "eta_k", "t_prime")]
    np.testing.assert_allclose(np.divide(rates, rates[0]), [1, 10, 5])
    assert rates[2] == pytest.approx(0.011353, rel=0.005)
    # without mass the natural time is t', in which the gap is that of the same T
    light = fp.mixing(WELL, temperature, BOX)
    assert light.attrs["time_unit"] == "t_prime"
    assert float(light.gap_rate) == pytest.approx(0.014448, rel=0.001)
    assert fp.same_unit(light, found["t_prime"]) == "t_prime"
    with pytest.raises(ParameterError, match="answers must have one time_unit, got t_prime, steps"):
        fp.same_unit(light, found["steps"])
    walk = fp.relax(fp.line(WELL, WARM, *BOX, 200), -1.0, [1.0, 2.0])
    np.testing.assert_allclose(fp.in_unit(walk, "steps", WARM).t, [10, 20])


def test_kramers_formula_has_the_formula_without_inertia_as_its_limit() -> None:
    ratios = []
    for eta in (0.1, 0.01):
        heavy, light = (fp.mixing(WELL, fp.Temperature.at(0.08, eta), BOX, method=m) for m in ("kramers", "eyring-kramers"))
        ratios.append(1 - float(heavy.gap_rate / light.gap_rate))
    # the first correction is |lambda_s| m/g^2, of first order in eta
    assert ratios[0] / ratios[1] == pytest.approx(10, rel=0.15)
    assert ratios[1] == pytest.approx(1.835 * 0.01 / 2, rel=0.05)
    both = [
        fp.mixing(WELL, fp.Temperature.at(0.08, 0.1, 0.5), BOX, method=m, time_unit="t_prime") for m in ("kramers", "kinetic")
    ]
    assert 0.8 < float(both[1].gap_rate / both[0].gap_rate) < 1


def test_two_dimensions_in_the_same_form() -> None:
    where = {"minima": ([-1.0, 0.0], [1.0, 0.0]), "saddle": [-0.2, 0.0]}
    found = fp.mixing(land.Channel(), 0.1, PLANE, cells=(100, 70), **where)
    assert float(found.gap_rate) == pytest.approx(2.777e-2, rel=0.01)
    assert float(found.basin_mass[1] / found.basin_mass[0]) == pytest.approx(4.197, rel=0.01)
    assert found.stationary_density.dims == ("theta", "theta_2")
    formula = fp.mixing(land.Channel(), 0.1, PLANE, method="eyring-kramers", **where)
    assert float(formula.basin_mass[1] / formula.basin_mass[0]) == pytest.approx(4.826, rel=1e-3)
    assert float(found.gap_rate / formula.gap_rate) == pytest.approx(0.878, abs=0.01)


def test_noise_along_the_curvature_prefers_the_flat_well_exponentially() -> None:
    """D ~ 1 - 0.6 tanh 2x, as the stiffness: the preference grows as exp(const/T); for constant noise it is a determinant."""

    def stiff(x: jax.Array) -> jax.Array:
        return 1 - 0.6 * jnp.tanh(2 * x)

    logs = []
    for t in (0.1, 0.05):
        even = fp.mixing(WELL, t, (-3.0, 5.0), cells=1600).basin_mass
        uneven = fp.mixing(WELL, t, (-3.0, 5.0), noise=stiff, cells=1600).basin_mass
        assert 1.8 < float(even[1] / even[0]) < 1.94
        logs.append(float(np.log(uneven[1] / uneven[0])))
    assert logs[1] > 1.5 * logs[0] > 1.5


# ---- schedules


def test_a_constant_schedule_is_relaxation() -> None:
    exact = fp.relax(fp.line(WELL, 0.08, *BOX, 300), -1.0, [0.0, 2.0, 5.0])
    for order, substeps in ((1, (100, 200)), (2, (40, 80))):
        errors = []
        for count in substeps:
            found = fp.anneal(WELL, lambda t: 0.08, *BOX, 300, -1.0, [0.0, 2.0, 5.0], substeps=count, order=order)
            p = found.density.values * (found.theta.values[1] - found.theta.values[0])
            np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-10)
            assert p.min() >= (-1e-14 if order == 1 else -1e-4)
            errors.append(np.abs(found.density - exact.density).sum("theta").values[1:])
        np.testing.assert_allclose(np.log2(errors[0] / errors[1]), order, atol=0.35)


def test_a_falling_temperature_against_the_general_stepper() -> None:
    def heat(t: float) -> float:
        return 0.12 / (1 + 0.05 * t)

    found = fp.anneal(WELL, heat, *BOX, 200, -1.0, [10.0, 40.0], substeps=50)
    same = fp.evolve(lambda t: fp.line(WELL, float(heat(t)), *BOX, 200), -1.0, [10.0, 40.0], 50)
    np.testing.assert_allclose(found.density, same.density, atol=1e-9)


def test_the_end_of_a_schedule_differentiates() -> None:
    process = fp.line(WELL, 0.1, *BOX, 120)
    with jax.enable_x64(True):
        level, begin = jnp.asarray(process.phi * 0.1), jnp.asarray((process.x < -0.2) / (process.x < -0.2).sum())
        steps, weights = jnp.full(60, 0.5), jnp.full(60, 1.0)

        def flat(decay: jax.Array) -> jax.Array:
            heat = 0.12 * jnp.exp(-decay * jnp.cumsum(steps))
            return jnp.sum(annealed(level, heat, process.width, begin, steps, weights)[-1] * (process.x > -0.2))

        slope = jax.grad(flat)(jnp.asarray(0.02))
        assert float(slope) == pytest.approx(float(flat(0.02001) - flat(0.01999)) / 2e-5, rel=1e-5)
        # cooling too early leaves more in the sharp well
        assert slope < 0


# ---- two dimensions without balance


def bowl(theta: jax.Array) -> jax.Array:
    return 0.5 * theta[0] ** 2 + theta[1] ** 2


BOWL = land.FromPotential(bowl, size=2)


def test_a_rotating_force_in_a_bowl() -> None:
    """Linear drift -A x, noise diag(1, 2): a Gaussian whose covariance solves A C + C A^T = 2 D, with currents."""
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    box, strength = ((-4.5, 4.5), (-4.5, 4.5)), np.array([1.0, 2.0])
    found = fp.flow(BOWL, 0.5, box, (100, 100), noise=lambda x: jnp.asarray(strength), force=lambda x: -jnp.asarray(turn) @ x)
    drift = np.diag([1.0, 2.0]) + turn
    covariance = solve_continuous_lyapunov(drift, np.diag(strength))
    grid = np.stack(np.meshgrid(found.x, found.y, indexing="ij"))
    moments = np.einsum("iab,jab,ab->ij", grid, grid, found.stationary)
    np.testing.assert_allclose(moments, covariance, atol=0.01)
    assert np.abs(found.current_x).max() > 1e-3
    # what flows into a cell flows out
    h = found.x[1] - found.x[0]
    through_x, through_y = np.pad(found.current_x, ((1, 1), (0, 0))), np.pad(found.current_y, ((0, 0), (1, 1)))
    divergence = np.diff(through_x, axis=0) + np.diff(through_y, axis=1)
    assert np.abs(divergence * h).max() < 1e-12
    rates = np.linalg.eigvals(drift)
    assert fp.flow_gap(found).real == pytest.approx(rates.real.min(), rel=0.02)
    assert abs(fp.flow_gap(found).imag) == pytest.approx(np.abs(rates.imag).max(), rel=0.02)


def test_a_flow_with_balance_is_the_plane() -> None:
    box, cells = PLANE, (80, 60)
    found, exact = fp.flow(land.Channel(), 0.1, box, cells), fp.plane(land.Channel(), 0.1, box, cells)
    np.testing.assert_allclose(found.stationary, exact.stationary, atol=1e-10)
    assert fp.flow_gap(found).real == pytest.approx(fp.plane_gap(exact), rel=1e-6)
    assert np.abs(found.current_x).max() < 1e-10


def test_noise_of_the_place_in_two_dimensions() -> None:
    """Noise of x alone along x: a product of the law of one dimension, in Ito's sense, and a Gaussian."""

    def noise(theta: jax.Array) -> jax.Array:
        return jnp.array([1 + 0.5 * jnp.tanh(theta[0]), 1.0])

    found = fp.flow(BOWL, 0.3, ((-3, 4), (-3, 3)), (140, 40), noise=noise)
    one = fp.line(land.Harmonic(), 0.3, -3, 4, 140, noise=lambda x: 1 + 0.5 * jnp.tanh(x), wall=10)
    np.testing.assert_allclose(found.stationary.sum(axis=1), one.stationary, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fp.mixing(WELL, 0.1, BOX, method="guess"), "method must be one of"),
        (lambda: fp.mixing(WELL, 0.1, BOX, method="transfer"), "temperature must be a Temperature"),
        (lambda: fp.mixing(WELL, 0.1, BOX, time_unit="steps"), "temperature must be a Temperature with its parts for time_unit"),
        (lambda: fp.mixing(WELL, WARM, BOX, time_unit="hours"), "time_unit must be one of"),
        (lambda: fp.mixing(land.Harmonic(), 0.1, (-3, 3), method="asymptotic"), "for every well, got 1 of 2"),
        (lambda: fp.mixing(land.Channel(), 0.1, PLANE), "minima and saddle must be given"),
        (lambda: fp.mixing(WELL, WARM, BOX, method="kinetic", noise=jnp.cosh), "constant noise only"),
        (lambda: fp.anneal(WELL, lambda t: 1.0 - t, *BOX, 50, -1.0, [2.0]), "temperature_at must be > 0"),
        (lambda: fp.anneal(WELL, lambda t: 0.1, *BOX, 50, -1.0, [2.0, 1.0]), "times must increase"),
        (lambda: fp.flow(BOWL, 0.1, PLANE, (20, 20), noise=lambda x: jnp.array([[1.0, 0.3], [0.3, 1.0]])), "turn the axes"),
        (lambda: fp.flow(BOWL, 0.1, PLANE, (20, 20), noise=lambda x: jnp.array([1.0, x[0]])), "noise must be > 0 everywhere"),
        (lambda: fp.flow(WELL, 0.1, PLANE), "landscape must have two dimensions"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()


def test_a_gap_of_the_transfer_operator_below_rounding_is_refused() -> None:
    with pytest.raises(ConvergenceError, match="to be seen in an eigenvalue"):
        fp.mixing(WELL, fp.Temperature.at(0.006, 0.1), (-1.8, 2.0), method="transfer", cells=800)
