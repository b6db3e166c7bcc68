"""The study of shift-curvature at a small size: it runs, draws, comes back from a file, and agrees with itself."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from quenched.data import Arrays, Digits, GaussianTeacher
from quenched.lab.options import parse_run
from quenched.models import GeneralisedLinear, RandomLabels, TwoLayerNetwork
from quenched.models.landscape import Harmonic
from quenched.numerics.checks import ParameterError
from quenched.studies.shift_curvature import ShiftCurvature, anatomy, particles, trade_off
from quenched.studies.shift_curvature.problem import SAME
from tests.studies.outcomes import survives_a_file

TINY = ShiftCurvature(
    model=GeneralisedLinear(GaussianTeacher(dimension=3, train=100, test=100)),
    ladder=(1.0, 4.0),
    equal=(1, 4),
    chains=16,
    settle=20.0,
    time=60.0,
    particles_at=(0.15, 0.2),
    particles=100,
    particle_time=100.0,
    network=TwoLayerNetwork(data=Digits(train=64, test=64), width=2),
    network_decay=0.05,
    network_chains=4,
    network_steps=40,
)


@pytest.fixture(scope="module", params=[pytest.param("tiny", marks=pytest.mark.slow)])
def outcome(request) -> xr.DataTree:
    return TINY.run(seed=3)


def test_it_draws_its_figures(outcome: xr.DataTree) -> None:
    figures = TINY.figures(outcome)
    assert set(figures) == {"anatomy", "trade-off", "network"}
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_xlabel()
            assert ax.get_ylabel()


def test_an_outcome_survives_a_file(outcome: xr.DataTree, tmp_path) -> None:
    survives_a_file(TINY, 3, outcome, tmp_path)


def test_theory_and_experiment_agree(outcome: xr.DataTree) -> None:
    theory, found = (outcome[f"{engine}/anatomy"].to_dataset().sel(rule=SAME) for engine in ("theory", "experiment"))
    np.testing.assert_allclose(found["shift"], theory["shift"], rtol=1e-9)
    z = ((found["covariance"] - theory["covariance"]) / found["covariance_error"]).values
    assert abs(z[0]) < 4
    assert float(found["excess"][0]) == pytest.approx(float(theory["excess"][0]), rel=0.1)


def test_particles_agree_with_the_transfer_operator(outcome: xr.DataTree) -> None:
    theory, found = outcome["theory/finite_rate"].to_dataset(), outcome["experiment/trade_off"].to_dataset()
    for name in trade_off.MEANS:
        assert np.abs((found[name] - theory[name]) / found[f"{name}_error"]).max() < 4.5


def test_the_summary_is_about_the_own_temperature(outcome: xr.DataTree) -> None:
    own = outcome["experiment/anatomy"].to_dataset().sel(rule=SAME).isel(sgd_temperature=0)
    for name in ("shift", "covariance", "excess"):
        assert float(outcome[name].sel(engine="experiment")) == float(own[name])
    assert float(outcome["best_temperature"].sel(engine="theory")) == pytest.approx(0.0441, rel=0.02)


def test_a_network_is_taken_apart(outcome: xr.DataTree) -> None:
    found = outcome["experiment/network"].to_dataset()
    assert {"sharpness", "hessian_trace", "shift", "excess_error"} <= set(found.data_vars)
    assert float(found["excess"].min()) > 0


@pytest.mark.slow
def test_parts_can_be_left_out() -> None:
    small = dataclasses.replace(
        ShiftCurvature.presets()["map"], model=TINY.model, chains=4, settle=5.0, time=10.0, temperatures=(0.05, 0.2)
    )
    tree = small.run(seed=1)
    assert set(tree["experiment"].children) == {"anatomy"}
    assert "excess" in tree.data_vars
    assert set(small.figures(tree)) == {"anatomy", "trade-off"}


def test_learning_rates_that_are_unstable_are_left_out() -> None:
    problem = anatomy.own_problem(TINY, 0)
    assert anatomy.stable_pairs(problem, [(0.1, 4), (100.0, 4), (0.1, 101)]) == [(0.1, 4)]


def test_parameters_from_the_command_line() -> None:
    words = ["--scale", "map", "--model.decay", "0.1", "--lr", "0.1", "--landscape", "Tilted", "--landscape.depth", "0.02"]
    found = parse_run(ShiftCurvature, words).study
    assert found.model == GeneralisedLinear(GaussianTeacher(), decay=0.1)
    assert (found.lr, found.landscape.depth) == (0.1, 0.02)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, "lr must be > 0"),
        ({"ladder": (2.0,)}, "ladder must contain 1"),
        ({"equal": (0,)}, "equal must be an integer >= 1"),
        ({"noise_slope": 1.0}, "noise_slope must lie in"),
        ({"temperatures": (0.2, 0.1)}, "temperatures must increase"),
        ({"particles_at": (-0.1,)}, "temperatures must be > 0"),
        ({"domain": -1.0}, "domain must be >= 0"),
        ({"low": 4.0}, "low must be < high"),
    ],
)
def test_bad_values(fields, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ShiftCurvature(**fields)


def test_models_that_have_no_test_set_are_refused() -> None:
    alone = GeneralisedLinear(Arrays(np.random.default_rng(0).normal(size=(20, 2)), np.ones(20)))
    with pytest.raises(ParameterError, match="model must have samples"):
        dataclasses.replace(TINY, model=alone).theory(0, False)
    with pytest.raises(ParameterError, match=r"must have two minima|got 1 of 2"):
        trade_off.place_of(dataclasses.replace(TINY, landscape=Harmonic()))
    with pytest.raises(ParameterError):
        dataclasses.replace(TINY, model=RandomLabels()).theory(0, False)


def test_the_slope_of_the_noise_is_its_square_root() -> None:
    """The closed form of phi against its derivative."""
    with jax.enable_x64(True):
        shape = particles.Slope(2.0, 0.8)
        x, h = np.linspace(-1.5, 1.5, 7), 1e-5
        values = jax.vmap(lambda p: shape.potential(p[None]))
        numeric = (np.asarray(values(jnp.asarray(x + h))) - np.asarray(values(jnp.asarray(x - h)))) / (2 * h)
        slopes = jax.vmap(lambda p: shape.gradient(p[None])[0])(jnp.asarray(x))
    np.testing.assert_allclose(numeric, np.sqrt(2 * (1 - 0.8 * np.tanh(2 * x))), rtol=1e-7)
    np.testing.assert_allclose(slopes, numeric, rtol=1e-7)


@pytest.mark.slow
def test_at_small_temperature_the_shift_is_what_is_left_of_a_network() -> None:
    """Covariance and cross term over shift fall as T."""
    cold = dataclasses.replace(
        TINY,
        network=TwoLayerNetwork(data=Digits(train=256, test=256), width=3),
        network_decay=0.02,
        network_lr=0.25,
        network_batch=32,
        ladder=(1.0, 2.0, 4.0),
        network_chains=32,
        network_steps=8000,
    )
    found = anatomy.network(cold, 1, False).isel(rule=0)
    covariance = (found["covariance"] / found["shift"]).values
    np.testing.assert_allclose(covariance[1:] / covariance[:-1], 2, rtol=0.15)
    assert np.all(covariance < 1)
    assert np.all(np.abs(found["cross"]) < found["shift"] * covariance + 4 * found["cross_error"])
