"""The library's studies at a tiny size: they run, draw, and come back from a file as they were."""

from __future__ import annotations

import pytest
import xarray as xr

from quenched.data import Digits
from quenched.dynamics import IID, Gradient, Persistent
from quenched.lab.run import rebuild
from quenched.models import SingleLayerData
from quenched.records.files import load, save
from quenched.studies.effective_noise import EffectiveNoise
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


def test_a_repeated_batch_process_is_shown_once():
    study = EffectiveNoise(rule=Gradient(lr=0.2, ridge=0.2, batches=IID(0.3)))
    assert [rule.batches for rule in study.stationary_rules().values()] == [IID(0.3), Persistent(0.6, 0.6)]
    assert len(study.resting_rules()) == 3
    assert len(SgdGaussianMixture(rule=Gradient(lr=0.2)).rules()) == 3
