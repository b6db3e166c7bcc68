"""Histograms of local fields."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.numerics.checks import ParameterError
from quenched.observables import field_histogram, gauged_fields


def _fields(disorder: int, replicas: int, sites: int = 4000) -> xr.DataArray:
    values = np.random.default_rng(0).standard_normal((disorder, replicas, sites))
    return xr.DataArray(values, dims=("disorder", "replica", "site"))


@pytest.mark.parametrize(("disorder", "replicas"), [(20, 1), (1, 20), (10, 2)])
def test_a_gaussian_has_its_density(disorder: int, replicas: int) -> None:
    found = field_histogram(_fields(disorder, replicas), bins=20, limits=(-3.0, 3.0))
    h = found["field"].values
    # the mean of the density over a bin, which is 0.3 wide
    expected = np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi) * (1 + (h**2 - 1) * 0.3**2 / 24)
    z = (found["field_density"].values - expected) / found["field_density_error"].values
    assert np.abs(z).max() < 4.5
    # what lies beyond the limits counts in the norm
    assert float(found["field_density"].sum()) * 0.3 == pytest.approx(0.9973, abs=0.002)


def test_one_network_has_no_error_and_all_fields_fit() -> None:
    found = field_histogram(_fields(1, 1))
    assert np.isnan(found["field_density_error"]).all()
    width = float(found["field"][1] - found["field"][0])
    assert float(found["field_density"].sum()) * width == pytest.approx(1.0)


def test_fields_of_a_network_lie_along_its_archetype() -> None:
    model = qd.models.Hopfield(load=0.05)
    run = qd.simulate(model, qd.dynamics.Glauber(), steps=20, size=200, disorder=3, final={"local_field": gauged_fields})
    fields, energy = run["local_field"], run["spin_energy"].isel(t=-1)
    # in the retrieval state nearly all fields are along the archetype, and their mean along the spins is -2 H/N
    assert float((fields > 0).mean()) > 0.98
    assert float(np.abs(fields).mean()) == pytest.approx(-2 * float(energy.mean()), rel=1e-4)


def test_what_cannot_be_counted_is_refused() -> None:
    fields = _fields(2, 1)
    with pytest.raises(ParameterError, match="bins"):
        field_histogram(fields, bins=0)
    with pytest.raises(ParameterError, match="limits"):
        field_histogram(fields, limits=(1.0, 1.0))
    with pytest.raises(ParameterError, match="finite"):
        field_histogram(fields.where(fields > 0))
