"""Logistic loss, stationary: effective temperature and replica distance of the theory, against known numbers and simulation."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.observables import effective_temperature, fluctuation_response, mean_error

MODEL = qd.models.GaussianMixture(alpha=4.0, noise=1.0, start=qd.models.GaussianStart(variance=0.1))
LAGS = [1, 10, 20, 60]
WAITING = 80


class Row(NamedTuple):
    """Expected numbers at lags 1, 10, 60 with their relative tolerance; None: not given."""

    temperature: tuple[float, float, float]
    response: tuple[float | None, float | None, float | None]
    tolerance: float
    response_tolerance: float


ROWS = {
    qd.dynamics.IID(0.3): Row((0.0093, 0.0087, 0.0080), (0.2, 1.408, 2.570), 0.03, 0.005),
    qd.dynamics.Persistent(0.3, 2.0): Row((0.0077, 0.0278, 0.0312), (0.2, 1.419, 2.637), 0.04, 0.04),
    qd.dynamics.Persistent(0.6, 0.6): Row((0.0085, 0.0180, 0.0170), (0.2, None, 2.013), 0.04, 0.04),
}


def rule(batches: qd.dynamics.AbstractBatches) -> qd.dynamics.Gradient:
    return qd.dynamics.Gradient(lr=0.2, ridge=0.2, batches=batches)


@functools.cache
def theory(batches: qd.dynamics.AbstractBatches) -> xr.Dataset:
    """B and chi by lag, with the loss and the replica distance at the end."""
    ds = qd.solve(MODEL, rule(batches), steps=WAITING + 20 + 60, samples=8192, runs=6, replicas=2, seed=11)
    return fluctuation_response(ds, range(WAITING, WAITING + 20), LAGS).assign(replica_distance=ds.replica_distance[:, -1])


@functools.cache
def simulation(batches: qd.dynamics.AbstractBatches, replicas: int) -> xr.Dataset:
    probe = qd.dynamics.PerturbationResponse(rule(batches), start=WAITING)
    times = [WAITING + k for k in [0, *LAGS]]
    ds = qd.simulate(
        MODEL, probe, steps=times[-1], times=times, size=500, disorder=8, replicas=replicas, share_start=True, seed=4
    )
    return fluctuation_response(ds, lags=LAGS).assign(replica_distance=ds.replica_distance[..., -1])


@pytest.mark.slow
@pytest.mark.parametrize("batches", ROWS, ids=str)
def test_theory_gives_the_known_numbers(batches: qd.dynamics.AbstractBatches) -> None:
    row, found = ROWS[batches], effective_temperature(theory(batches))
    assert bool(found.stationary)
    for lag, temperature, response in zip((1, 10, 60), row.temperature, row.response, strict=True):
        point = found.sel(lag=lag)
        print(
            batches, lag, temperature, point.temperature.item(), point.temperature_error.item(), point.integrated_response.item()
        )
        assert point.temperature.item() == pytest.approx(temperature, rel=row.tolerance)
        if response is not None:
            assert point.integrated_response.item() == pytest.approx(response, rel=row.response_tolerance)
    if isinstance(batches, qd.dynamics.IID):
        assert theory(batches).loss.mean().item() == pytest.approx(0.361, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("batches", ROWS, ids=str)
def test_theory_and_simulation_agree(batches: qd.dynamics.AbstractBatches) -> None:
    """T_eff, chi and B at every lag, and the replica distance: within four combined standard errors, of a few per cent."""
    left, right = effective_temperature(theory(batches)), effective_temperature(simulation(batches, 4))
    for name in ("temperature", "integrated_response", "half_displacement"):
        error = np.hypot(left[f"{name}_error"].values, right[f"{name}_error"].values)
        difference = right[name].values - left[name].values
        print(batches, name, left[name].values, right[name].values, difference / error)
        assert np.all(error < 0.05 * left[name].values)
        # one step after the field is switched on the response is lr exactly
        assert np.all(np.abs(difference) < 4 * error + 1e-5 * left[name].values)
    (expected, left_error), (value, right_error) = (
        mean_error(f(batches).replica_distance) for f in (theory, lambda b: simulation(b, 4))
    )
    error = np.hypot(left_error.item(), right_error.item())
    print(batches, "distance", expected.item(), value.item(), (value - expected).item() / error)
    assert error < 0.05 * expected.item()
    assert abs((value - expected).item()) < 4 * error


@pytest.mark.slow
def test_coloured_noise_heats_with_the_lag_and_white_noise_cools() -> None:
    """Persistent batches with b tau = 0.6 = 3 lr push in one direction at short lags; independent ones do not."""
    white, coloured = (effective_temperature(theory(b)) for b in (qd.dynamics.IID(0.3), qd.dynamics.Persistent(0.3, 2.0)))
    step = coloured.temperature.sel(lag=[1, 10, 20]).diff("lag").values
    assert np.all(step > 4 * coloured.temperature_error.values.max())
    # saturation: what it gains after lag 20 is less than a tenth of what it gained before
    assert (
        abs(coloured.temperature.sel(lag=60) - coloured.temperature.sel(lag=20))
        < 0.1 * step.sum() + 4 * coloured.temperature_error.max()
    )
    drop = white.temperature.sel(lag=1) - white.temperature.sel(lag=60)
    assert drop > 4 * np.hypot(white.temperature_error.sel(lag=1), white.temperature_error.sel(lag=60))


@pytest.mark.slow
@pytest.mark.parametrize("batches", ROWS, ids=str)
def test_replicas_are_as_far_apart_as_one_wanders(batches: qd.dynamics.AbstractBatches) -> None:
    """Convex loss: the time-averaged weights coincide, hence dist = 2 B(k) once C(k) has decayed, to e^(-0.04 80)."""
    ds = qd.solve(MODEL, rule(batches), steps=180, samples=8192, runs=6, replicas=2, seed=12)
    found = fluctuation_response(ds, range(90, 100), [80])
    distance = mean_error(ds.replica_distance.isel(t=slice(90, None)).mean("t"))[0].item()
    twice = 2 * found.half_displacement.mean().item()
    print(batches, distance, twice)
    assert distance == pytest.approx(twice, rel=0.05)


@pytest.mark.slow
def test_a_second_replica_does_not_change_the_first() -> None:
    batches = qd.dynamics.Persistent(0.3, 2.0)
    one, two = (
        qd.solve(MODEL, rule(batches), steps=60, samples=4096, runs=12, replicas=replicas, seed=seed)
        for replicas, seed in ((1, 100), (2, 200))
    )

    def numbers(ds: xr.Dataset) -> xr.Dataset:
        now = ds.isel(t=[10, 30, 60])
        c, r = (ds[name].isel(t=[30, 60, 60], t_prime=[10, 20, 40]) for name in ("correlation", "response"))
        diagonal = xr.DataArray([0, 1, 2], dims="pair")
        pairs = {
            n: f.isel(t=diagonal, t_prime=diagonal).drop_vars(["t", "t_prime", "step", "step_prime"])
            for n, f in (("c", c), ("r", r))
        }
        return xr.Dataset({"m": now.overlap, "norm": now.norm, "loss": now.loss, **pairs})

    (a, ea), (b, eb) = mean_error(numbers(one)), mean_error(numbers(two))
    z = (a - b) / np.sqrt(ea**2 + eb**2)
    for name in z.data_vars:
        print(name, z[name].values)
        assert np.all(np.abs(z[name].values) < 4), (name, z[name].values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "batches", [pytest.param(qd.dynamics.IID(1.0), marks=pytest.mark.slow), qd.dynamics.Persistent(1.0, 0.7)], ids=str
)
def test_the_whole_batch_makes_no_noise(batches: qd.dynamics.AbstractBatches) -> None:
    simulated = qd.simulate(MODEL, rule(batches), steps=30, times=[0, 1, 30], size=120, disorder=2, replicas=3, share_start=True)
    assert np.all(simulated.replica_distance == 0)


@pytest.mark.slow
def test_the_whole_batch_makes_no_noise_in_theory_and_no_temperature() -> None:
    solved = qd.solve(MODEL, rule(qd.dynamics.Full()), steps=30, samples=256, runs=2, replicas=2, two_time=False)
    assert np.abs(solved.replica_distance).max() < 1e-12
    probe = qd.dynamics.PerturbationResponse(rule(qd.dynamics.IID(1.0)), start=900)
    run = qd.simulate(MODEL, probe, steps=930, times=[900, 910, 930], size=60, disorder=2, dtype="float64")
    found = effective_temperature(fluctuation_response(run))
    # the slowest mode decays by 1 - lr lam = 0.96 a step: nothing is left
    assert np.abs(found.temperature).max() < 1e-12


@pytest.mark.slow
def test_the_response_is_linear_in_the_field() -> None:
    probe = qd.dynamics.PerturbationResponse(rule(qd.dynamics.IID(0.3)), strength=0.05, start=10)
    full, half = (
        qd.simulate(
            MODEL,
            qd.dynamics.PerturbationResponse(probe.rule, strength=s, start=10),
            steps=30,
            size=100,
            disorder=2,
            dtype="float64",
        )
        for s in (0.05, 0.025)
    )
    change = np.abs(full.integrated_response - half.integrated_response).max() / full.integrated_response.max()
    # curvature of the logistic loss: third derivative <= 0.1, (0.05 chi)^2/2 = 3e-3 of it
    assert float(change) < 1e-3
    same, other = full.half_displacement, half.half_displacement
    np.testing.assert_array_equal(same.values, other.values)
