"""The study of limiting dynamics at a small size: it runs, draws, comes back from a file, and agrees with itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits, GaussianTeacher
from quenched.models import TwoLayerNetwork
from quenched.numerics.checks import ParameterError
from quenched.studies.limiting_dynamics import LimitingDynamics, network, regression
from quenched.theory import ornstein_uhlenbeck as ou
from quenched.theory.ornstein_uhlenbeck.relaxation import relaxation
from tests.studies.outcomes import survives_a_file

TINY = LimitingDynamics(
    data=GaussianTeacher(dimension=4, train=200, test=1, variance=3.0, exponent=1.0, labels="numbers", noise=0.7),
    chains=64,
    settle=400,
    steps=200,
    relaxation_steps=100,
    plane_chains=200,
    spectra=(2.0,),
    spectrum_size=1000,
    network=TwoLayerNetwork(data=Digits(train=128, test=64), width=3),
    network_ridge=0.01,
    network_training=2000,
    network_lrs=(0.01, 0.03),
    network_sizes=(16,),
    network_momenta=(0.9,),
    network_chains=8,
    network_steps=200,
)


@pytest.fixture(scope="module", params=[pytest.param("tiny", marks=pytest.mark.slow)])
def outcome(request) -> xr.DataTree:
    return TINY.run(seed=3)


def test_it_draws_its_figures(outcome: xr.DataTree) -> None:
    figures = TINY.figures(outcome)
    assert set(figures) == {"displacement", "relaxation", "plane", "network"}
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_xlabel()
            assert ax.get_ylabel()


def test_an_outcome_survives_a_file(outcome: xr.DataTree, tmp_path) -> None:
    survives_a_file(TINY, 3, outcome, tmp_path)


def test_theory_and_experiment_agree(outcome: xr.DataTree) -> None:
    theory, found = (outcome[engine] for engine in ("theory", "experiment"))
    exact = theory["stationary"].to_dataset().sel(rule=regression.EXACT)
    for name in (regression.MINIBATCH, regression.GAUSSIAN):
        one = found["stationary"].to_dataset().sel(rule=name)
        assert float(one["local_displacement"] / exact["local_displacement"]) == pytest.approx(1, abs=0.05)
        z = (one["global_displacement"] - exact["global_displacement"]) / one["global_displacement_error"]
        assert np.abs(z).max() < 5
    expected, measured = (part["epochs"].to_dataset() for part in (theory, found))
    assert np.abs(measured["global_displacement"] / expected["global_displacement"] - 1).max() < 0.5
    for name in ("mode_position", "mode_step"):
        a, b = (part["relaxation"].to_dataset() for part in (theory, found))
        assert np.abs((b[name] - a[name]) / b[f"{name}_error"]).max() < 5


def test_the_network_moves_as_predicted(outcome: xr.DataTree) -> None:
    theory, found = (outcome[f"{engine}/learning_rate"].to_dataset() for engine in ("theory", "experiment"))
    np.testing.assert_allclose(found["local_displacement"], theory["local_displacement"], rtol=0.15)
    np.testing.assert_allclose(found["exponent"], theory["exponent"], atol=0.3)
    anatomy = outcome["experiment/anatomy"].to_dataset()
    assert 0.3 < float(anatomy["alignment"]) <= 1
    assert np.all(np.diff(anatomy["eigenvalue"]) <= 0)


def test_the_summary_is_that_of_minibatches(outcome: xr.DataTree) -> None:
    own = outcome["experiment/stationary"].to_dataset().sel(rule=regression.MINIBATCH)
    assert float(outcome["exponent"].sel(engine="experiment")) == float(own["exponent"])
    assert float(outcome["local_displacement"].sel(engine="theory")) > 0


@pytest.mark.slow
def test_parts_can_be_left_out() -> None:
    small = dataclasses.replace(TINY, settle=0, plane_chains=0, spectra=(), network=None, chains=8)
    tree = small.run(seed=0)
    assert set(tree["theory"].children) == {"epochs", "relaxation", "spectra"}
    assert set(tree["experiment"].children) == {"epochs", "relaxation"}
    assert set(small.figures(tree)) == {"displacement", "relaxation"}


def test_relaxation_is_that_of_the_step() -> None:
    """Mean and spread against the matrices of the step, over- and under-damped, with a ridge."""
    rule = ou.MomentumSGD(lr=0.1, momentum=0.8, ridge=0.05, batch_size=4)
    rho, noise, start = np.array([2.0, 0.01]), np.array([1.5, 0.3]), np.array([1.0, -2.0])
    found = relaxation(rule, rho, noise, np.arange(1, 31), start)
    m, g = ou.step_matrices(rule, np.diag(rho))
    x, c = np.concatenate([start, [0.0, 0.0]]), np.zeros((4, 4))
    for k in range(30):
        x, c = m @ x, m @ c @ m.T + g @ np.diag(noise / 4) @ g.T
        np.testing.assert_allclose(found["mode_position"].values[:, k], x[:2], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found["mode_step"].values[:, k], 0.1 * x[2:], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found["mode_spread"].values[:, k], np.sqrt(np.diag(c)[:2]), rtol=1e-7)
    with pytest.raises(ParameterError, match="curvature, noise, position"):
        relaxation(rule, rho, noise, [1], [1.0])


def test_regression_has_the_curvatures_of_its_data() -> None:
    one = regression.regression(TINY)
    arrays = TINY.data.load()
    np.testing.assert_allclose(np.sort(one.curvature), np.linalg.eigvalsh(arrays.x.T @ arrays.x / 200), rtol=1e-10)
    assert np.all(np.diff(one.curvature) < 0)
    np.testing.assert_allclose(one.directions @ one.directions.T, np.eye(4), atol=1e-12)


def test_what_is_varied_is_varied_alone() -> None:
    study = dataclasses.replace(TINY, network_sizes=(8, 64))
    assert network.rules(study, "batch_size") == {8.0: (0.003, 0.9, 8), 64.0: (0.003, 0.9, 64)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.0}, "lr must be"),
        ({"momentum": 1.0}, "momentum must"),
        ({"network_lrs": (0.1, -1.0)}, "network_lrs must be"),
        ({"spectra": (0.5,)}, "spectra must"),
        ({"chains": 1}, "chains must be an integer >= 2, got 1"),
        ({"ridge": -1.0}, "ridge must be"),
    ],
)
def test_bad_parameters_are_named(change: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(TINY, **change)


def test_an_unstable_learning_rate_names_the_mode() -> None:
    with pytest.raises(ParameterError, match="for a stable step, got"):
        dataclasses.replace(TINY, lr=3.0, small_lr=3.0).theory(0, False)
