"""The study of large batches and sharp minima at a small size: it runs, draws, comes back from a file, and agrees with itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits
from quenched.lab.options import parse_run
from quenched.models import TwoLayerNetwork
from quenched.models.landscape import Cosine, DoubleWell, Harmonic, Tilted
from quenched.numerics.checks import ParameterError
from quenched.studies.sgd_fokker_planck import SgdFokkerPlanck, measure, network
from quenched.studies.simulations import compute
from tests.studies.outcomes import survives_a_file

TINY = SgdFokkerPlanck(
    compare=(4, 12),
    momenta=(0.0, 0.5),
    momentum_batch=4,
    examples=4000,
    chains=200,
    samples=512,
    cells=300,
    network=TwoLayerNetwork(data=Digits(train=64, test=32), width=3),
    network_sizes=(4, 16),
    network_lr=0.5,
    network_reference=8,
    network_epochs=2,
    network_replicas=2,
)


@pytest.fixture(scope="module", params=[pytest.param("tiny", marks=pytest.mark.slow)])
def outcome(request) -> xr.DataTree:
    return TINY.run(seed=3)


def test_it_draws_its_figures(outcome: xr.DataTree) -> None:
    figures = TINY.figures(outcome)
    assert set(figures) == {"batch-size", "momentum-and-noise", "network"}
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_xlabel()
            assert ax.get_ylabel()


def test_an_outcome_survives_a_file(outcome: xr.DataTree, tmp_path) -> None:
    survives_a_file(TINY, 3, outcome, tmp_path)


def test_populations_agree_with_the_transfer_operator(outcome: xr.DataTree) -> None:
    theory, found = (outcome[f"{engine}/populations"]["flat_fraction"] for engine in ("theory", "experiment"))
    error = np.sqrt(theory * (1 - theory) / TINY.chains)
    likely = theory * TINY.chains > 5
    assert likely.sum() > 20
    # times of one set of runs are correlated: the largest of all is about one number for each batch size
    assert float(np.abs((found - theory) / error).where(likely).max()) < 4


def test_mixing_times_agree_where_they_can_be_measured(outcome: xr.DataTree) -> None:
    theory = outcome["theory/mixing"]["mixing_steps"].sel(rule="transfer operator")
    found, error = (outcome["experiment/mixing"][name].isel(rule=0) for name in ("mixing_steps", "mixing_steps_error"))
    assert np.isfinite(found.values[0])
    z = ((found - theory) / error).values
    assert np.all(np.abs(z[np.isfinite(z)]) < 4)


def test_the_summary_is_about_the_own_batch_size(outcome: xr.DataTree) -> None:
    exact = outcome["theory/mixing"]["mixing_steps"].sel(rule="transfer operator", batch_size=8)
    assert float(outcome["mixing_steps"].sel(engine="theory")) == float(exact)
    last = outcome["experiment/populations"]["flat_fraction"].sel(rule="S=8").isel(examples=-1)
    assert float(outcome["flat_fraction"].sel(engine="experiment")) == float(last)
    assert outcome["mixing_steps"].attrs["units"] == "steps"


def test_the_ways_to_compare_batch_sizes_of_a_network() -> None:
    runs = network.simulations(TINY)
    plan = {key[1:]: (one.rule.lr, one.arguments["steps"]) for key, one in runs.items()}
    assert plan == {
        (network.RATE, "4"): (0.5, 32),
        (network.RATE, "16"): (0.5, 8),
        (network.RATIO, "4"): (0.25, 32),
        (network.RATIO, "16"): (1.0, 8),
        (network.TIME, "4"): (0.5, 32),
        (network.TIME, "16"): (0.5, 32),
    }


def test_a_network_after_training(outcome: xr.DataTree) -> None:
    found = outcome["experiment/network"].to_dataset()
    assert set(network.MEASURED) <= set(found.data_vars)
    # the same run where the ways to compare coincide
    first, third = (found["sharpness"].sel(rule=way, batch_size=4) for way in (network.RATE, network.TIME))
    assert float(first) == float(third)
    assert np.all(found["hessian_trace"] > found["sharpness"] * 0.5)


def test_the_mirror_image_gives_the_same_numbers() -> None:
    """The flat minimum may lie on either side."""
    small = dataclasses.replace(TINY, compare=(), momenta=(), network=None)
    mirror = dataclasses.replace(small, landscape=DoubleWell(asymmetry=-0.6), low=-2.7, high=2.3)
    place, other = measure.wells(small), measure.wells(mirror)
    assert (other.sharp, other.top, other.right) == pytest.approx((-place.sharp, -place.top, False))
    for part, name in ((measure.mixing_times, "final_flat_fraction"), (measure.preferences, "log_preference")):
        np.testing.assert_allclose(part(small, place)[name], part(mirror, other)[name], rtol=1e-6)
    first, second = measure.populations(small, place), measure.populations(mirror, other)
    np.testing.assert_allclose(first["flat_fraction"], second["flat_fraction"], atol=2e-3)


@pytest.mark.slow
def test_a_batch_of_points_gives_the_numbers_of_single_points() -> None:
    study = dataclasses.replace(TINY, compare=(), momenta=(), wide=0.0, chains=50, network=None)
    hotter = dataclasses.replace(study, noise=9.0)
    assert study.together() is not None
    for one, tree in zip((study, hotter), compute([study, hotter], [3, 3]), strict=True):
        alone = one.run(seed=3)
        np.testing.assert_allclose(tree["flat_fraction"], alone["flat_fraction"], atol=1e-6)


def test_parameters_from_the_command_line() -> None:
    words = ["--scale", "map", "--landscape", "Tilted", "--landscape.depth", "0.02", "--batch_size", "6"]
    found = parse_run(SgdFokkerPlanck, words).study
    assert found == dataclasses.replace(SgdFokkerPlanck.presets()["map"], landscape=Tilted(depth=0.02), batch_size=6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, "lr must be > 0"),
        ({"noise": -1.0}, "noise must be > 0"),
        ({"compare": (0,)}, "compare must be an integer >= 1"),
        ({"momenta": (1.0,)}, "momenta must lie in"),
        ({"examples": 100}, "examples must be >= 20 steps of the largest batch, 480"),
        ({"low": 3.0}, "low must be < high"),
        ({"network_sizes": (8,)}, "network_sizes must be two or more"),
    ],
)
def test_bad_values(fields, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        SgdFokkerPlanck(**fields)


@pytest.mark.parametrize("landscape", [Harmonic(), Cosine()])
def test_a_landscape_without_two_wells_is_refused(landscape) -> None:
    with pytest.raises(ParameterError, match=r"for every well, got 1 of 2|must have two minima"):
        dataclasses.replace(TINY, landscape=landscape).run()
