"""Gap statistics."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.observables import gaps

RNG = np.random.default_rng(7)


def array(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("disorder", "replica", "sample"), name="gap")


def test_numbers_of_a_known_boundary() -> None:
    h = array(np.array([0.9, 1.0, 1.019, 1.021, 2.0])[None, None] * np.ones((3, 2, 1)))
    norm = xr.DataArray(np.full((3, 2), 4.0), dims=("disorder", "replica"))
    result = gaps.statistics(h, 1.0, norm)
    assert float(result.violated) == pytest.approx(1 / 5)
    assert float(result.at_margin) == pytest.approx(3 / 5)
    assert float(result.normalised_margin) == pytest.approx(0.5)
    assert float(result.mean_gap) == pytest.approx(np.mean([0.9, 1.0, 1.019, 1.021, 2.0]) / 2)
    assert float(result.at_margin_error) == 0


def test_negative_margin_has_its_window_above() -> None:
    h = array(np.array([[[-0.505, -0.495, -0.485]]]))
    assert float(gaps.statistics(h, -0.5).at_margin) == pytest.approx(2 / 3)
    assert float(gaps.statistics(h, -0.5).violated) == pytest.approx(1 / 3)


def test_errors_are_over_data_sets() -> None:
    shift = RNG.normal(size=(5, 1, 1))
    result = gaps.statistics(array(shift + np.zeros((5, 4, 10))))
    assert float(result.mean_gap_error) == pytest.approx(shift.std(ddof=1) / np.sqrt(5))


def test_histogram_is_a_density_whatever_its_limits() -> None:
    h = array(RNG.normal(1.5, 0.5, size=(6, 3, 500)))
    full = gaps.histogram(h, 40)
    width = full.right - full.left
    assert float((full.density * width).sum()) == pytest.approx(1)
    part = gaps.histogram(h, 20, (1.0, 2.0))
    inside = float(((h >= 1.0) & (h <= 2.0)).mean())
    assert float((part.density * (part.right - part.left)).sum()) == pytest.approx(inside)
    # bins hold 1/sqrt(count) of noise; the density of a Gaussian is known
    exact = np.exp(-((part.gap - 1.5) ** 2) / 0.5) / (0.5 * np.sqrt(2 * np.pi))
    counting = np.sqrt(exact / (9000 * 0.05))
    assert np.all(np.abs(part.density - exact) < 4 * counting + 0.01)


def test_all_gaps_equal_and_no_axis() -> None:
    assert float(gaps.histogram(array(np.ones((1, 1, 4))), 1).density[0]) > 0
    with pytest.raises(ParameterError, match="axis of samples"):
        gaps.statistics(xr.DataArray(np.ones(3), dims="replica"))
