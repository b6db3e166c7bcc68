"""The study of energy-conserving descent at a small size: it runs, draws, comes back from a file, and agrees with its theory."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.studies.energy_conserving_descent import EnergyConservingDescent, distribution, races
from tests.studies.outcomes import survives_a_file

TINY = EnergyConservingDescent(
    dimensions=(4,),
    minimum=0.3,
    steps=2000,
    replicas=64,
    race=300,
    valleys=(0.3,),
    valley_rates=(1.3,),
    valley_steps=100,
    basin_runs=20,
    basin_steps=500,
)


@pytest.fixture(scope="module", params=[pytest.param("tiny", marks=pytest.mark.slow)])
def outcome(request) -> xr.DataTree:
    return TINY.run(seed=1)


def test_it_draws_its_figures(outcome: xr.DataTree) -> None:
    figures = TINY.figures(outcome)
    assert set(figures) == {"distribution", "race", "valleys", "basins"}
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_xlabel()
            assert ax.get_ylabel()


def test_an_outcome_survives_a_file(outcome: xr.DataTree, tmp_path) -> None:
    survives_a_file(TINY, 1, outcome, tmp_path)


def test_runs_follow_the_law(outcome: xr.DataTree) -> None:
    theory, found = (outcome[f"{engine}/distribution"].to_dataset() for engine in ("theory", "experiment"))
    ratio = found["potential_quantile"] / theory["potential_quantile"]
    np.testing.assert_allclose(ratio, 1, atol=0.15)
    # a large step narrows the law
    coarse = outcome["experiment/coarse"].to_dataset()["potential_quantile"].sel(kind="sep", dimension=4)
    assert float(coarse[-1] - coarse[0]) < 0.9 * float(
        theory["potential_quantile"].sel(kind="sep", dimension=4).diff("probability").sum()
    )


def test_published_quantiles() -> None:
    found = distribution.expected((2, 4, 10), 0.01, 2.0)["potential_quantile"].sel(kind="bbi")
    expected = [
        [0.0170, 0.0376, 0.1414, 0.5317, 1.177],
        [0.0277, 0.0596, 0.1728, 0.4758, 0.918],
        [0.0510, 0.0959, 0.2079, 0.4233, 0.6966],
    ]
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_valley_that_is_not_crossed_in_time_is_not_a_number() -> None:
    found = races.valleys((0.1,), (1.3,), 5)["steps_needed"]
    assert np.isnan(found).all()


def test_perfect_mixing() -> None:
    assert float(races.basins_expected()["entry_ratio"]) == pytest.approx(1.664 / 0.864)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum": 0.0}, "minimum must be > 0"),
        ({"minimum": 1.5}, "minimum must be < energy/2"),
        ({"step": -0.1}, "step must be > 0"),
        ({"replicas": 4}, "replicas must be an integer >= 8"),
        ({"dimensions": (0,)}, "dimensions must be an integer >= 1"),
        ({"valleys": (2.0,)}, "valleys must lie in"),
    ],
)
def test_bad_values_are_named(changes, message) -> None:
    with pytest.raises(ParameterError, match=message):
        EnergyConservingDescent(**changes)
