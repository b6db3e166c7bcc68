"""Errors over disorder and replicas, jackknife, comparison of theory and experiment."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.observables.statistics import compare, independent, jackknife, mean_error, sigmas

RNG = np.random.default_rng(1)


def series(values: np.ndarray, dims: tuple[str, ...], steps: np.ndarray, lr: float = 0.1) -> xr.Dataset:
    coords = {"t": ("t", steps * lr), "step": ("t", steps)}
    return xr.Dataset({"loss": (dims, values)}, coords=coords)


def test_replicas_are_averaged_before_the_error_over_disorder() -> None:
    # replicas on one data set share its fluctuation: counting them as independent would give an error 5 times too small
    shift = RNG.normal(size=(40, 1, 1))
    values = xr.DataArray(shift + 1e-3 * RNG.normal(size=(40, 25, 3)), dims=("disorder", "replica", "t"))
    mean, error = mean_error(values)
    assert mean.dims == error.dims == ("t",)
    np.testing.assert_allclose(error, shift.std(ddof=1) / np.sqrt(40), rtol=1e-2)
    np.testing.assert_allclose(mean, shift.mean(), atol=1e-3)


def test_one_data_set_has_its_error_over_replicas_and_one_sample_has_none() -> None:
    values = xr.DataArray(RNG.normal(size=(1, 9)), dims=("disorder", "replica"))
    _, error = mean_error(values)
    assert float(error) == pytest.approx(values.values.std(ddof=1) / 3)
    assert np.isnan(mean_error(values[:, :1])[1])
    assert np.isnan(mean_error(values[0, 0])[1])
    assert independent(values)[1] == "replica"


def test_float32_samples_are_averaged_in_float64() -> None:
    values = xr.DataArray(np.full((3, 100_000), 16_777_216.0, np.float32) + 1, dims=("disorder", "replica"))
    mean, _ = mean_error(values)
    assert mean.dtype == np.float64


def test_a_missing_sample_is_not_averaged_away() -> None:
    mean, _ = mean_error(xr.DataArray([[1.0], [np.nan]], dims=("disorder", "replica")))
    assert np.isnan(mean)


def test_error_covers_the_truth_as_often_as_it_should() -> None:
    draws = xr.DataArray(RNG.normal(size=(10, 4000)), dims=("disorder", "case"))
    mean, error = mean_error(draws)
    beyond = float((abs(mean) > sigmas(10) * error).mean())
    expected = 0.0027
    assert abs(beyond - expected) < 4 * np.sqrt(expected / 4000)


def test_compare_matches_steps_and_combines_errors() -> None:
    theory = series(np.arange(11.0) + np.array([[-0.1], [0.1], [0.1], [-0.1]]), ("disorder", "t"), np.arange(11))
    samples = np.array([0.0, 5.0, 10.0]) + 0.5 + np.array([-0.3, 0.3])[:, None, None]
    experiment = series(samples, ("disorder", "replica", "t"), np.array([0, 5, 10]))
    # physical times may differ in the last bit without a mismatch
    experiment = experiment.assign_coords(t=experiment.t.values * (1 + 1e-15))
    result = compare(theory, experiment, "loss")
    np.testing.assert_allclose(result.difference, 0.5)
    error = np.hypot(0.1 * np.sqrt(4 / 3) / 2, 0.3)
    np.testing.assert_allclose(result.error, error)
    np.testing.assert_allclose(result.z, 0.5 / error)
    assert result.z.dims == ("t",)
    np.testing.assert_array_equal(result.step, [0, 5, 10])


def test_deterministic_theory_has_error_zero_and_an_exact_start_has_z_zero() -> None:
    theory = series(np.array([1.0, 2.0]), ("t",), np.arange(2))
    experiment = series(np.array([[1.0, 2.5], [1.0, 2.7]]), ("disorder", "t"), np.arange(2))
    result = compare(theory, experiment, "loss")
    np.testing.assert_array_equal(result.theory_error, 0)
    assert result.z.values[0] == 0
    assert result.z.values[1] == pytest.approx(6.0)
    one_run = compare(series(np.ones((1, 2)), ("disorder", "t"), np.arange(2)), experiment, "loss")
    assert np.isnan(one_run.z).all()


def test_compare_refuses_what_cannot_be_compared() -> None:
    theory = series(np.ones(2), ("t",), np.arange(2))
    with pytest.raises(ParameterError, match="experiment has no 'overlap'"):
        compare(theory.assign(overlap=theory.loss), theory, "overlap")
    with pytest.raises(ParameterError, match="common steps"):
        compare(theory, series(np.ones(2), ("t",), np.array([7, 8])), "loss")


def test_jackknife_is_the_standard_error_of_a_mean_and_propagates_a_ratio() -> None:
    x = RNG.normal(3.0, 0.1, size=(50, 2))
    value, error = jackknife(lambda m: m, x)
    np.testing.assert_allclose(value, x.mean(0))
    np.testing.assert_allclose(error, x.std(0, ddof=1) / np.sqrt(50))
    y = x * (1 + RNG.normal(0, 0.01, size=(50, 1)))
    ratio, ratio_error = jackknife(lambda a, b: a / b, y, x)
    # x and y are correlated: to first order only the factor of relative size 0.01 is left
    np.testing.assert_allclose(ratio_error, ((y / x).std(0, ddof=1)) / np.sqrt(50), rtol=0.05)
    assert np.isnan(jackknife(lambda m: m, x[:1])[1]).all()
    np.testing.assert_allclose(ratio, y.mean(0) / x.mean(0))


def test_a_sample_that_is_not_a_number_is_not_dropped() -> None:
    values = xr.DataArray([[1.0, np.nan], [2.0, 3.0]], dims=("disorder", "replica"))
    mean, error = mean_error(values)
    assert np.isnan(mean)
    assert np.isnan(error)
