"""The library's studies at a tiny size: they run, draw, and come back from a file as they were."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits
from quenched.dynamics import IID, Gradient, Persistent
from quenched.lab.options import parse_run
from quenched.lab.run import rebuild
from quenched.models import SingleLayerData
from quenched.numerics.checks import ParameterError
from quenched.observables.statistics import mean_error
from quenched.records.files import load, save
from quenched.studies.effective_noise import EffectiveNoise
from quenched.studies.rules import batch_name
from quenched.studies.sgd_gaussian_mixture import SgdGaussianMixture

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
}


@pytest.fixture(scope="module", params=list(TINY))
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
    save(tree, tmp_path / "outcome.nc")
    back = load(tmp_path / "outcome.nc")
    for node in tree.subtree:
        xr.testing.assert_identical(node.to_dataset(), back[node.path].to_dataset())
    assert rebuild(back) == (study, 3)


def test_theory_and_experiment_have_the_same_names(outcome):
    _, tree = outcome
    for node in tree["theory"].subtree:
        if node.data_vars:
            twin = tree["experiment"][node.relative_to(tree["theory"])]
            assert set(node.data_vars) & set(twin.data_vars)
            assert list(node["rule"].values) == list(twin["rule"].values)


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
