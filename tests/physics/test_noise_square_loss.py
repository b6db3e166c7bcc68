"""Square loss: closed forms, the deterministic solver, the sampled solver and the simulation measure one and the same noise."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.observables import effective_temperature, fluctuation_response, mean_error
from quenched.theory import square_loss

LAGS = [1, 5, 20, 60]
# arXiv:2112.10852 setting, alpha = 3, Delta = 0.5, lr = 0.2: b -> (E2, T_eff at LAGS)
STATIONARY = {
    0.3: (0.2308233, [0.0077410, 0.0072732, 0.0062305, 0.0053960]),
    0.7: (0.2261871, [0.0083263, 0.0071693, 0.0058285, 0.0053784]),
}


def model(alpha: float = 3.0, variance: float = 0.1) -> qd.models.GaussianMixture:
    start = qd.models.GaussianStart(variance=variance)
    return qd.models.GaussianMixture(alpha=alpha, noise=0.5, loss=qd.losses.Square(), start=start)


def sgd(b: float, **options: float) -> qd.dynamics.Gradient:
    return qd.dynamics.Gradient(**{"lr": 0.2, **options}, batches=qd.dynamics.IID(b))


def at(ds: xr.Dataset, step: int | list[int], **along: int) -> xr.Dataset:
    return ds.swap_dims(t="step").sel(step=step, **along)


def spectrum(alpha: float, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the spectral law of Delta Z^T Z/d, alpha > 1: midpoints in the angle, exponentially exact."""
    angle = (np.arange(400) + 0.5) * np.pi / 400
    x = delta * (1 + alpha + 2 * np.sqrt(alpha) * np.cos(angle))
    return x, (2 * np.sqrt(alpha) * delta * np.sin(angle)) ** 2 / (2 * np.pi * delta * x) * np.pi / 400


@pytest.mark.parametrize("b", STATIONARY)
def test_closed_form(b: float) -> None:
    mean_square, temperature = STATIONARY[b]
    state = square_loss.stationary_state(model(), sgd(b))
    assert state.mean_square == pytest.approx(mean_square, abs=1e-6)
    assert state.effective_temperature(np.array(LAGS)) == pytest.approx(temperature, abs=1e-6)

    x, weight = spectrum(3.0, 0.5)
    assert weight.sum() == pytest.approx(1, abs=1e-12)
    s = 0.2 * (1 - b) / (2 - 0.2 * b * x)
    e2 = (1 - 1 / 3) * 0.5 / 1.5 / (1 - weight @ (x * s) / 3)
    assert state.mean_square == pytest.approx(e2, rel=1e-10)
    for lag in LAGS:
        rho = 1 - 0.2 * b * x
        displacement = e2 * weight @ (s * (1 - rho**lag))
        response = 0.2 * weight @ sum(rho**j for j in range(lag))
        assert state.half_displacement(lag) == pytest.approx(displacement, rel=1e-9)
        assert state.integrated_response(lag) == pytest.approx(response, rel=1e-9)
    assert state.replica_distance == pytest.approx(2 * e2 * weight @ s, rel=1e-10)
    assert state.replica_distance == pytest.approx(2 * state.half_displacement(20000), rel=1e-9)


@pytest.mark.parametrize("b", STATIONARY)
def test_the_deterministic_solver_becomes_stationary_there(b: float) -> None:
    ds = qd.solve(model(), sgd(b), steps=500, method="oracle", replicas=2)
    found = effective_temperature(fluctuation_response(ds, range(400, 440), LAGS))
    assert found.temperature.values == pytest.approx(STATIONARY[b][1], rel=1e-3)
    assert bool(found.stationary)
    state = square_loss.stationary_state(model(), sgd(b))
    assert 2 * at(ds, 500).loss.item() == pytest.approx(state.mean_square, rel=1e-6)
    assert at(ds, 500).replica_distance.item() == pytest.approx(state.replica_distance, rel=1e-6)


def test_replica_distance_of_the_deterministic_solver() -> None:
    under = at(qd.solve(model(), sgd(0.3), steps=199, replicas=2, method="oracle"), [10, 50, 199])
    assert under.replica_distance.values == pytest.approx([0.040534, 0.034243, 0.033864], abs=1e-5)
    over = at(qd.solve(model(0.5, 1.0), sgd(0.3), steps=199, replicas=2, method="oracle"), [10, 50, 199])
    assert over.replica_distance.values == pytest.approx([0.027330, 0.012850, 0.001496], abs=1e-5)
    assert over.loss.values[-1] == pytest.approx(0.005334, abs=1e-5)


@pytest.mark.slow
def test_replica_distance_by_simulation_on_both_sides_of_interpolation() -> None:
    for system, steps, size in ((model(), [10, 50], 300), (model(0.5, 1.0), [10, 50], 600)):
        theory = at(qd.solve(system, sgd(0.3), steps=50, replicas=2, method="oracle"), steps)
        run = qd.simulate(system, sgd(0.3), steps=50, times=steps, size=size, disorder=16, replicas=4, share_start=True, seed=3)
        mean, error = mean_error(run.replica_distance)
        assert np.all(error.values < 0.03 * mean.values)
        assert np.all(np.abs(mean.values - theory.replica_distance.values) < 4 * error.values)


@pytest.mark.parametrize("lr", [0.1, 0.05])
def test_langevin_dynamics_has_its_own_temperature(lr: float) -> None:
    """B(1)/chi(1) = < 2 T/(2 - lr q) >, q = lam + x: T up to O(lr), at the same order at every lag."""
    rule = qd.dynamics.Gradient(lr=lr, ridge=0.2, temperature=0.05)
    state = square_loss.stationary_state(model(), rule)
    temperature = state.effective_temperature(np.array(LAGS))
    assert temperature[0] == pytest.approx({0.1: 0.05477, 0.05: 0.05225}[lr], abs=1e-4)
    x, weight = spectrum(3.0, 0.5)
    assert temperature[0] == pytest.approx(weight @ (0.1 / (2 - lr * (0.2 + x))), rel=1e-10)
    assert np.all(np.abs(temperature - 0.05) < 0.05 * lr)
    waiting, steps = 300, 380
    ds = qd.solve(model(), rule, steps=steps, method="oracle")
    found = effective_temperature(fluctuation_response(ds, range(waiting, waiting + 20), LAGS))
    assert found.temperature.values == pytest.approx(temperature, rel=1e-3)


def test_the_langevin_correction_is_linear_in_the_learning_rate() -> None:
    first, second = (
        float(
            square_loss.stationary_state(model(), qd.dynamics.Gradient(lr=lr, ridge=0.2, temperature=0.05)).effective_temperature(
                1
            )
        )
        for lr in (0.1, 0.05)
    )
    # Richardson: what is left is of order lr^2 <q^2> T/4 = 4e-4
    assert 2 * second - first == pytest.approx(0.05, abs=4e-4)


@pytest.mark.slow
def test_without_noise_there_is_no_temperature_and_no_distance() -> None:
    rule = sgd(1.0, ridge=0.2)
    ds = qd.solve(model(), rule, steps=700, method="oracle", replicas=2)
    assert np.abs(ds.replica_distance).max() < 1e-12
    found = effective_temperature(fluctuation_response(ds, range(600, 620), LAGS))
    assert np.abs(found.temperature).max() < 1e-12
    state = square_loss.stationary_state(model(), rule)
    assert np.abs(state.effective_temperature(np.array(LAGS))).max() < 1e-12
    assert state.replica_distance == 0


def test_two_replicas_do_not_change_the_deterministic_solution() -> None:
    one, two = (qd.solve(model(), sgd(0.3), steps=60, method="oracle", replicas=r) for r in (1, 2))
    for name in ("overlap", "norm", "loss", "correlation", "response"):
        np.testing.assert_allclose(one[name].values, two[name].values, atol=1e-12)


WINDOW, STEPS = 60, 120
"""Not yet stationary: B and chi are compared at the same waiting step, which needs no stationarity."""


@pytest.fixture(scope="module")
def exact() -> xr.Dataset:
    ds = qd.solve(model(), sgd(0.3), steps=STEPS, method="oracle", replicas=2)
    return ds.assign(fluctuation_response(ds, [WINDOW], LAGS).drop_dims("t"))


@pytest.mark.slow
def test_the_simulation_measures_the_same_noise(exact: xr.Dataset) -> None:
    probe = qd.dynamics.PerturbationResponse(sgd(0.3), start=WINDOW)
    run = qd.simulate(
        model(), probe, steps=STEPS, times=[WINDOW + k for k in [0, *LAGS]], size=300, disorder=16, replicas=4, seed=1
    )
    found = effective_temperature(fluctuation_response(run, lags=LAGS))
    agrees(found, exact, errors=0.04)


@pytest.mark.slow
def test_the_sampled_solver_finds_the_same_noise(exact: xr.Dataset) -> None:
    ds = qd.solve(model(), sgd(0.3), steps=STEPS, method="sampled", samples=8192, runs=6, replicas=2, seed=1)
    agrees(effective_temperature(fluctuation_response(ds, [WINDOW], LAGS)), exact, errors=0.02)
    for step in (10, 50, 120):
        mean, error = mean_error(at(ds, step).replica_distance)
        assert abs(mean.item() - at(exact, step).replica_distance.item()) < 4 * error.item() + 1e-5


@pytest.mark.slow
def test_replica_distance_over_parametrised_in_a_large_system() -> None:
    """alpha < 1, no ridge: zero modes, so that the sampled solver needs the exact response."""
    system, steps = model(0.5, 1.0), [10, 50]
    theory = at(qd.solve(system, sgd(0.3), steps=50, replicas=2, method="oracle"), steps)
    run = qd.simulate(system, sgd(0.3), steps=50, times=steps, size=1500, disorder=32, replicas=4, share_start=True, seed=5)
    solved = qd.solve(
        system, sgd(0.3), steps=50, method="sampled", replicas=2, samples=2048, runs=8, response="exact", two_time=False, seed=2
    )
    for step, expected in zip(steps, theory.replica_distance.values, strict=True):
        for ds in (run, solved):
            mean, error = mean_error(at(ds, step).replica_distance)
            print(step, expected, mean.item(), error.item())
            assert error.item() < 0.02 * expected
            assert abs(mean.item() - expected) < 4 * error.item()


def agrees(found: xr.Dataset, exact: xr.Dataset, errors: float) -> None:
    """B, chi and their ratio within 4 standard errors, which must be small enough to say something."""
    b, chi = exact.half_displacement.values[0], exact.integrated_response.values[0]
    for name, expected in (("half_displacement", b), ("integrated_response", chi), ("temperature", b / chi)):
        value, error = found[name].values, found[f"{name}_error"].values
        print(name, expected, value, error)
        assert np.all(error < errors * expected), (name, error / expected)
        # chi after one step is lr in every sample: no statistics there, only the rounding of float32
        assert np.all(np.abs(value - expected) < 4 * error + 1e-5 * expected), (name, (value - expected) / error)
