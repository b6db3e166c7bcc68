"""The library's studies at a tiny size: they run, draw, and come back from a file as they were."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits
from quenched.dynamics import IID, Gradient, Persistent
from quenched.lab.options import parse_run
from quenched.models import SingleLayerData
from quenched.numerics.checks import ParameterError
from quenched.observables.statistics import mean_error
from quenched.studies.effective_noise import EffectiveNoise
from quenched.studies.effective_noise.controls import CONTROLS, points
from quenched.studies.effective_noise.measure import white_noise_temperature
from quenched.studies.rules import batch_name
from quenched.studies.sgd_gaussian_mixture import SgdGaussianMixture
from tests.studies.outcomes import survives_a_file

TINY = {
    "mixture": SgdGaussianMixture(steps=6, size=40, disorder=2, samples=64, runs=2),
    "noise": EffectiveNoise(
        data=SingleLayerData(data=Digits(train=60, test=20)),
        waiting=6,
        lags=4,
        steps=8,
        size=40,
        disorder=2,
        replicas=2,
        samples=64,
        runs=2,
    ),
    "starts": SgdGaussianMixture(
        steps=6, size=40, disorder=2, samples=64, runs=2, starts=(1.0, 5.0), start_ridges=(0.0, 0.1), compare=()
    ),
    "controls": EffectiveNoise(
        compare=(),
        data=None,
        waiting=6,
        lags=4,
        steps=8,
        size=40,
        disorder=2,
        replicas=2,
        samples=64,
        runs=2,
        over_fraction=(0.3, 0.6),
        over_time=(1.0, 2.0),
        over_lr=(0.1, 0.2),
        over_alpha=(3.0, 4.0),
        over_ridge=(0.1, 0.2),
        long_lags=20,
        long_size=64,
    ),
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name != "mixture")) for name in TINY])
def outcome(request):
    study = TINY[request.param]
    return study, study.run(seed=3)


def test_a_study_draws_its_figures(outcome):
    study, tree = outcome
    figures = study.figures(tree)
    assert figures
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_ylabel()
            assert ax.get_xlabel() or ax.get_label() == "<colorbar>"


def test_an_outcome_survives_a_file(outcome, tmp_path):
    study, tree = outcome
    survives_a_file(study, 3, tree, tmp_path)


def test_theory_and_experiment_have_the_same_names(outcome):
    _, tree = outcome
    for node in tree["theory"].subtree:
        if node.data_vars:
            twin = tree["experiment"][node.relative_to(tree["theory"])]
            assert set(node.data_vars) & set(twin.data_vars)
            for dim in {"rule", "start", *(control.dim for control in CONTROLS.values())} & set(node.dims):
                assert list(node[dim].values) == list(twin[dim].values)


def test_the_summary_is_about_the_own_rule(outcome):
    study, tree = outcome
    own = {"rule": batch_name(study.rule.batches)}
    part, name = ("training", "replica_distance") if isinstance(study, EffectiveNoise) else ("", "overlap")
    for engine in ("theory", "experiment"):
        curve = tree[f"{engine}/{part}".rstrip("/")].to_dataset()[name].sel(own)
        np.testing.assert_allclose(tree[name].sel(engine=engine), mean_error(curve.isel(t=-1))[0], rtol=1e-12)


def test_parts_are_left_out_from_the_command_line():
    words = ["--scale", "map", "--satisfiable", "null"]
    assert parse_run(EffectiveNoise, words).study == dataclasses.replace(EffectiveNoise.presets()["map"], satisfiable=None)
    # fields of a part keep the rest of it
    assert parse_run(EffectiveNoise, ["--data.data.train", "60"]).study.data == SingleLayerData(data=Digits(train=60))
    brought = parse_run(EffectiveNoise, ["--scale", "map", "--data", "SingleLayerData"]).study
    assert brought.data == SingleLayerData()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--satisfiable.alpha -1", "alpha must be > 0, got -1.0"),
        ("--satisfiable.alpha abc", "--satisfiable.alpha must be of type float, got abc"),
        ("--data Nope", "--data: Nope is not a known class; see --data.help"),
        ("--data.nope 3", "--data.nope is not an option of the class chosen for --data; see --data.help"),
    ],
)
def test_a_bad_value_of_an_optional_part_is_named(words, message):
    with pytest.raises(ParameterError) as refused:
        parse_run(EffectiveNoise, words.split())
    assert str(refused.value) == message


def test_a_repeated_batch_process_is_shown_once():
    study = EffectiveNoise(rule=Gradient(lr=0.2, ridge=0.2, batches=IID(0.3)))
    assert [rule.batches for rule in study.stationary_rules().values()] == [IID(0.3), Persistent(0.6, 0.6)]
    assert len(study.resting_rules()) == 3
    assert len(SgdGaussianMixture(rule=Gradient(lr=0.2)).rules()) == 3


def test_a_point_of_a_control_is_the_study_at_that_value():
    """The numbers beside each other are those of the study run by itself."""
    study = TINY["controls"]
    tree = study.run(seed=3)
    alone = dataclasses.replace(
        study,
        rule=dataclasses.replace(study.rule, batches=Persistent(fraction=0.6, time=2.0)),
        long_lags=0,
        **{control.field: () for control in CONTROLS.values()},
    ).run(seed=3)
    for engine in ("theory", "experiment"):
        for name in ("effective_temperature", "short_temperature", "replica_distance", "replica_distance_error"):
            point = tree[f"{engine}/over_fraction"][name].sel(fraction=0.6)
            np.testing.assert_allclose(point, alone[name].sel(engine=engine), rtol=1e-6)


def test_a_learning_rate_is_compared_at_equal_times():
    study = TINY["controls"]
    half = points(study)["over_lr"][0.1]
    assert (half.waiting, half.lags, half.steps) == (12, 8, 16)
    assert half.rule.lr == 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"over_fraction": (0.0,)}, "fraction must"),
        ({"over_time": (0.01,)}, "time must"),
        ({"over_lr": (-0.1,)}, "lr must"),
        ({"over_time": (1.0,), "rule": Gradient(lr=0.2, batches=IID(0.3))}, "over_time needs Persistent batches"),
        ({"long_lags": -1}, "long_lags must be an integer >= 0"),
    ],
)
def test_a_bad_value_of_a_control_is_refused_before_any_work(fields, message):
    with pytest.raises(ParameterError, match=message):
        EffectiveNoise(**fields)


def test_the_white_noise_temperature_is_the_closed_form_of_the_square_loss():
    """eta b (1 - b) alpha Delta E2/2 for independent batches, from M(t,t) = alpha b E2."""
    alpha, delta, b, lr, e2 = 3.0, 0.5, 0.3, 0.2, 0.23
    found = white_noise_temperature(Gradient(lr=lr, batches=IID(b)), delta, xr.DataArray([alpha * b * e2]))
    np.testing.assert_allclose(found, lr * b * (1 - b) * alpha * delta * e2 / 2)
    coloured = white_noise_temperature(Gradient(lr=lr, batches=Persistent(b, 2.0)), delta, xr.DataArray([alpha * b * e2]))
    np.testing.assert_allclose(coloured, (2 * b * 2.0 - lr) * b * (1 - b) * alpha * delta * e2 / 2)
