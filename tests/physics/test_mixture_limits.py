"""SGD on two clusters in two limits: learning rate to zero at fixed time, and large dimension (arXiv:2006.06098)."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from quenched.observables.statistics import mean_error

MODEL = qd.models.GaussianMixture(alpha=2.0, noise=0.5, start=qd.models.GaussianStart(variance=0.1))


@pytest.mark.slow
def test_the_continuous_limit_is_where_halved_learning_rates_lead() -> None:
    """m at time 4 is 0.9223, 0.9130, 0.9067 (+- 0.002) at lr 0.2, 0.1, 0.05; the limit lies beyond, by their last step."""
    rule = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.5, time=1.0))
    found = qd.continuous_limit(MODEL, rule, time=4.0, times=[4.0], samples=8192, runs=16)
    at, error = mean_error(found["overlap_at"].isel(t=0))
    assert found["lr"].values.tolist() == [0.2, 0.1, 0.05]
    np.testing.assert_allclose(at, [0.9223, 0.9130, 0.9067], atol=0.006 * 0.92)
    limit, spread = mean_error(found["overlap"].isel(t=0))
    linear = 2 * at[2] - at[1]
    assert abs(float(limit - linear)) < 4 * float(np.hypot(spread, 3 * error.max())) + float(found["overlap_discretisation"][0])
    assert 0.89 < float(limit) < float(at[2])


@pytest.mark.slow
def test_persistent_sgd_at_step_39() -> None:
    """m = 0.871 and C = 0.997, which two formulations of the effective process gave."""
    rule = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))
    ours = qd.solve(MODEL, rule, steps=39, times=[39], two_time=False, samples=8192, runs=8)
    for name, value in (("overlap", 0.871), ("norm", 0.997)):
        mean, error = mean_error(ours[name].isel(t=0))
        assert abs(float(mean) - value) < 0.01 * value + 4 * float(error)


@pytest.mark.slow
def test_fluctuations_fall_as_the_root_of_the_dimension_and_the_mean_goes_to_the_theory() -> None:
    """Persistent SGD at step 20, independent Gaussian data, d = 250 to 2000, 192 to 48 data sets."""
    rule = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))
    sizes, sets = np.array([250, 500, 1000, 2000]), [192, 192, 96, 48]
    theory = qd.solve(MODEL, rule, steps=20, times=[20], two_time=False, samples=16384, runs=16, seed=1)
    runs = [
        qd.simulate(MODEL, rule, steps=20, times=[20], size=int(d), disorder=count, seed=10 + k)
        for k, (d, count) in enumerate(zip(sizes, sets, strict=True))
    ]
    for name in ("overlap", "norm"):
        values = [run[name].isel(t=0).mean("replica").values for run in runs]
        spread = np.array([x.std(ddof=1) for x in values])
        # a standard deviation over n data sets is known to 1/sqrt(2 n)
        weights = np.sqrt(2 * np.array(sets))
        slope = np.polyfit(np.log(sizes), np.log(spread), 1, w=weights)[0]
        assert slope == pytest.approx(-0.5, abs=0.1), (name, spread)
        limit, own = mean_error(theory[name].isel(t=0))
        errors = np.hypot(spread / np.sqrt(sets), float(own))
        shift = np.array([x.mean() for x in values]) - float(limit)
        # what is left of the mean is of order 1/d: no more than statistics at the largest size
        assert abs(shift[-1]) < 4 * errors[-1], (name, shift, errors)
        assert np.all(np.abs(shift) < 4 * errors + 10 / sizes), (name, shift, errors)
