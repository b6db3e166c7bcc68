"""Effective temperature: exact in equilibrium, errors that cover, ageing that is noticed, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.numerics.checks import ParameterError
from quenched.observables.fdt import effective_temperature, fluctuation_response
from quenched.records.datasets import dataset

LR, Q, TEMPERATURE, STEPS = 0.1, 0.8, 0.05, 120
DECAY = 1 - LR * Q
VARIANCE = 2 * TEMPERATURE / (Q * (2 - LR * Q))
# one mode of w(t+1) = (1 - lr q) w(t) + sqrt(2 T lr) xi: B/chi at every lag
EXACT = 2 * TEMPERATURE / (2 - LR * Q)


def theory(c: np.ndarray, r: np.ndarray, dims: tuple[str, ...] = (), loss: float = 0.1) -> xr.Dataset:
    n = c.shape[-1]
    t = np.arange(n) * LR
    two = (*dims, "t", "t_prime")
    variables = {
        "correlation": (two, c),
        "response": (two, r),
        "norm": ((*dims, "t"), np.diagonal(c, axis1=-2, axis2=-1)),
        "loss": ((*dims, "t"), np.full(c.shape[:-1], loss)),
    }
    coords = {"t": t, "step": ("t", np.arange(n)), "t_prime": t, "step_prime": ("t_prime", np.arange(n))}
    return dataset(variables, coords, {"engine": "toy"})


def lags() -> np.ndarray:
    return np.arange(STEPS + 1)[:, None] - np.arange(STEPS + 1)


def equilibrium() -> xr.Dataset:
    k = lags()
    return theory(VARIANCE * DECAY ** np.abs(k) + 0.3, np.tril(DECAY ** np.maximum(k - 1, 0), -1))


def walkers(samples: int, n: int, rng: np.random.Generator) -> xr.Dataset:
    """Independent systems of n modes, started in equilibrium, with their exact response: a theory with sampled correlations."""
    w = np.sqrt(VARIANCE) * rng.normal(size=(samples, n))
    path = [w]
    for _ in range(STEPS):
        path.append(DECAY * path[-1] + np.sqrt(2 * TEMPERATURE * LR) * rng.normal(size=(samples, n)))
    w = np.stack(path, 1)
    c = np.einsum("atd,asd->ats", w, w) / n
    return theory(c, np.broadcast_to(np.tril(DECAY ** np.maximum(lags() - 1, 0), -1), c.shape), ("disorder",))


def test_equilibrium_has_one_temperature_by_every_definition() -> None:
    result = effective_temperature(fluctuation_response(equilibrium(), lags=[1, 2, 5, 10, 30]))
    for name in ("temperature", "local_temperature", "slope_temperature", "two_time_temperature"):
        np.testing.assert_allclose(result[name], EXACT, rtol=1e-10)
    assert bool(result.stationary)
    assert not bool(result.ageing)
    assert np.isnan(result.temperature_error).all()
    np.testing.assert_allclose(result.lag_time, result.lag * LR)


def test_default_window_and_direct_use_of_a_theory() -> None:
    result = effective_temperature(equilibrium())
    assert result.sizes["waiting"] == 20
    assert int(result.lag[0]) == 1
    assert int(result.lag[-1]) == STEPS // 4
    np.testing.assert_allclose(result.temperature, EXACT, rtol=1e-10)


def test_sampled_temperature_agrees_within_its_jackknife_error() -> None:
    result = effective_temperature(fluctuation_response(walkers(16, 200, np.random.default_rng(3)), lags=[1, 5, 20]))
    z = (result.temperature - EXACT) / result.temperature_error
    assert np.all(np.abs(z) < 4.1)
    assert abs(float((result.slope_temperature - EXACT) / result.slope_temperature_error)) < 4.1
    assert bool(result.stationary)


@pytest.mark.slow
def test_jackknife_error_is_the_scatter_of_repetitions() -> None:
    rng = np.random.default_rng(4)
    found = [effective_temperature(fluctuation_response(walkers(8, 50, rng), [60], [5])) for _ in range(60)]
    scatter = np.std([float(r.temperature[0]) for r in found], ddof=1)
    quoted = np.sqrt(np.mean([float(r.temperature_error[0]) ** 2 for r in found]))
    # 60 repetitions know the scatter to 1/sqrt(118), and 60 x 7 degrees of freedom the quoted error better
    assert abs(quoted / scatter - 1) < 4 * np.sqrt(1 / 118 + 1 / 840)


def test_displacement_and_not_the_correlation_difference_is_used() -> None:
    # a common factor of the weights that changes in time moves C(t,t) - C(t,tw) by far more than B at lag 1
    ds = equilibrium()
    bumped = ds.assign(correlation=ds.correlation * (1 + 0.05 * (ds.step % 2)) * (1 + 0.05 * (ds.step_prime % 2)))
    result = effective_temperature(fluctuation_response(bumped, [60, 62], [2]))
    np.testing.assert_allclose(result.temperature, EXACT, rtol=1e-10)


def test_random_walk_ages() -> None:
    t = np.arange(STEPS + 1) * LR
    walk = theory(2 * TEMPERATURE * np.minimum(t[:, None], t), np.tril(np.ones((STEPS + 1, STEPS + 1)), -1))
    result = effective_temperature(walk)
    assert bool(result.ageing)
    assert abs(float(result.drift.sel(check="norm"))) > float(result.drift_allowed.sel(check="norm"))
    np.testing.assert_allclose(result.two_time_temperature, TEMPERATURE, rtol=1e-9)


def test_slowing_displacement_is_noticed_at_constant_norm() -> None:
    # weights on a sphere that rotate more and more slowly: norm and loss stay, B(tw + k, tw) depends on tw
    angle = np.log(1 + np.arange(STEPS + 1) / 10)
    c = np.exp(-np.abs(angle[:, None] - angle))
    result = effective_temperature(theory(c, np.tril(np.ones_like(c), -1)))
    assert bool(result.ageing)
    assert abs(float(result.drift.sel(check="norm"))) <= float(result.drift_allowed.sel(check="norm"))


def test_probe_of_a_simulation_is_read_by_time_with_its_start_from_the_provenance() -> None:
    start, k = 20, np.arange(STEPS + 1) - 20
    chi = np.where(k > 0, (1 - DECAY ** np.maximum(k, 0)) / Q, 0.0)
    scale = np.random.default_rng(5).uniform(0.9, 1.1, (6, 2, 1))
    dims = ("disorder", "replica", "t")
    variables = {
        "half_displacement": (dims, EXACT * chi * scale),
        "integrated_response": (dims, chi * np.ones_like(scale)),
        "loss": (dims, 0.1 * np.ones((6, 2, STEPS + 1))),
    }
    coords = {"t": np.arange(STEPS + 1) * LR, "step": ("t", np.arange(STEPS + 1))}
    provenance = {"engine": "simulate", "rule": {"class": "PerturbationResponse", "start": start}}
    ds = dataset(variables, coords, provenance)
    fr = fluctuation_response(ds, lags=[1, 10, 40])
    np.testing.assert_allclose(fr.integrated_response.mean(("disorder", "replica", "waiting")), chi[[21, 30, 60]])
    result = effective_temperature(fr)
    per_set = scale.mean(1)[:, 0]
    np.testing.assert_allclose(result.temperature, EXACT * per_set.mean(), rtol=1e-10)
    np.testing.assert_allclose(result.temperature_error, EXACT * per_set.std(ddof=1) / np.sqrt(6), rtol=1e-8)
    np.testing.assert_allclose(result.half_displacement_error, result.integrated_response * result.temperature_error, rtol=1e-8)
    with pytest.raises(ParameterError, match="start of the probe, 20"):
        fluctuation_response(ds, waiting_steps=30)
    with pytest.raises(ParameterError, match="steps of the Dataset"):
        fluctuation_response(ds, lags=[500])


def test_no_noise_is_temperature_zero() -> None:
    k = lags()
    still = theory(np.full(k.shape, 0.3), np.tril(DECAY ** np.maximum(k - 1, 0), -1))
    result = effective_temperature(still)
    np.testing.assert_allclose(result.temperature, 0, atol=1e-15)
    np.testing.assert_allclose(result.slope_temperature, 0, atol=1e-15)
    assert bool(result.stationary)


def test_refusals_name_the_reason() -> None:
    ds = equilibrium()
    with pytest.raises(ParameterError, match=r"over-parametrised.*replica distance"):
        effective_temperature(ds.assign(loss=ds.loss * 1e-7))
    with pytest.raises(ParameterError, match="integrated_response must be > 0"):
        effective_temperature(ds.assign(response=-ds.response))
    with pytest.raises(ParameterError, match=r"lags must be increasing steps >= 1"):
        fluctuation_response(ds, lags=[0, 1])
    with pytest.raises(ParameterError, match="last step 120"):
        fluctuation_response(ds, waiting_steps=[100], lags=[30])
    with pytest.raises(ParameterError, match="must hold `correlation` and `response`"):
        fluctuation_response(ds.drop_vars("response"))
    fr = fluctuation_response(ds)
    with pytest.raises(ParameterError, match="one system at a time"):
        effective_temperature(xr.concat([fr, fr], "rule", data_vars="all"))


def test_sgd_on_the_square_loss_has_the_exact_temperatures() -> None:
    # one temperature per mode: the curve falls with the lag although the dynamics is convex and stationary
    model = qd.models.GaussianMixture(alpha=3.0, noise=0.5, loss=qd.losses.Square())
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(0.3))
    waiting, k = list(range(250, 330, 4)), [1, 5, 20, 60]
    result = effective_temperature(fluctuation_response(qd.solve(model, rule, steps=390), waiting, k))
    # the softest mode, x = Delta (1 - sqrt(alpha))^2, forgets its start with the square of exp(-lr b x tw)
    transient = np.exp(-2 * 0.2 * 0.3 * 0.5 * (1 - np.sqrt(3.0)) ** 2 * waiting[0])
    np.testing.assert_allclose(result.temperature, [0.0077410, 0.0072732, 0.0062305, 0.0053960], rtol=3 * transient + 1e-5)
    assert bool(result.stationary)


@pytest.mark.slow
def test_simulation_and_theory_agree_at_the_same_waiting_time() -> None:
    model = qd.models.GaussianMixture(alpha=3.0, noise=0.5, loss=qd.losses.Square())
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(0.3))
    lags = [1, 5, 20, 60]
    exact = effective_temperature(fluctuation_response(qd.solve(model, rule, steps=120), [60], lags))
    probe = qd.dynamics.PerturbationResponse(rule, start=60)
    ds = qd.simulate(model, probe, steps=120, size=400, replicas=4, disorder=10, seed=4)
    measured = effective_temperature(fluctuation_response(ds, lags=lags))
    for name in ("temperature", "half_displacement", "integrated_response"):
        # rounding of float32 is all the error that chi has at lag 1
        error = np.hypot(measured[f"{name}_error"], 1e-6)
        assert np.all(np.abs(measured[name] - exact[name]) < 4.1 * error), name
