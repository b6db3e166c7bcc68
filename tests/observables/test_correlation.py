"""Displacements and the integrated response from two-time functions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.observables import correlation as co

RNG = np.random.default_rng(2)
T, D = 7, 50


@pytest.fixture(scope="module")
def walk() -> tuple[np.ndarray, xr.DataArray]:
    w = RNG.normal(size=(2, T, D))
    times = np.cumsum(RNG.uniform(0.1, 0.3, T))
    coords = {"t": times, "t_prime": times, "step": ("t", np.arange(T)), "step_prime": ("t_prime", np.arange(T))}
    return w, xr.DataArray(np.einsum("atd,asd->ats", w, w) / D, dims=("disorder", "t", "t_prime"), coords=coords)


def test_displacement_from_the_correlation_is_that_of_the_weights(walk: tuple[np.ndarray, xr.DataArray]) -> None:
    w, c = walk
    direct = ((w[:, :, None] - w[:, None, :]) ** 2).mean(-1)
    np.testing.assert_allclose(co.mean_square_displacement(c), direct, atol=1e-12)
    b = co.half_displacement(c)
    np.testing.assert_allclose(b, direct / 2, atol=1e-12)
    assert b.dims == c.dims
    assert b.name == "half_displacement"
    # the order of dimensions does not matter
    np.testing.assert_allclose(co.half_displacement(c.transpose("t_prime", "disorder", "t")).transpose(*c.dims), b)


def test_decorrelation_is_one_minus_the_cosine(walk: tuple[np.ndarray, xr.DataArray]) -> None:
    w, c = walk
    unit = w / np.linalg.norm(w, axis=-1, keepdims=True)
    np.testing.assert_allclose(co.decorrelation(c), 1 - np.einsum("atd,asd->ats", unit, unit), atol=1e-12)


def test_integrated_response_is_the_sum_over_learning_rates() -> None:
    times = np.append(0, np.cumsum(RNG.uniform(0.1, 0.3, T - 1)))
    r = np.tril(RNG.normal(size=(3, T, T)), -1)
    coords = {"t": times, "t_prime": times, "step": ("t", np.arange(T))}
    chi = co.integrated_response(xr.DataArray(r, dims=("disorder", "t", "t_prime"), coords=coords))
    lr = np.diff(times)
    for t in range(T):
        for tw in range(T):
            expected = sum((lr[s] * r[:, t, s] for s in range(tw, t)), start=np.zeros(3))
            np.testing.assert_allclose(chi[:, t, tw], expected, atol=1e-13)


def test_integrated_response_needs_every_step() -> None:
    steps = np.array([0, 2, 4])
    coords = {"t": steps * 0.1, "t_prime": steps * 0.1, "step": ("t", steps)}
    with pytest.raises(ParameterError, match="every step"):
        co.integrated_response(xr.DataArray(np.zeros((3, 3)), dims=("t", "t_prime"), coords=coords))
