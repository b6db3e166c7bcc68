"""The numbers of an outcome: values and errors at the last time, by engine, of the study's own rule."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits
from quenched.dynamics import Full, Persistent
from quenched.losses import Logistic
from quenched.models import GaussianMixture, SingleLayerData
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature
from quenched.studies.effective_noise import EffectiveNoise
from quenched.studies.effective_noise.summary import NUMBERS
from quenched.studies.sgd_gaussian_mixture import SgdGaussianMixture
from quenched.studies.summary import by_engine, ends, final_values, with_error

# sizes of test_own_studies: compiled once for both
SMALL = {"size": 40, "disorder": 2, "samples": 64, "runs": 2}
MIXTURE = SgdGaussianMixture(steps=6, compare=(Full(),), **SMALL)
NOISE = EffectiveNoise(
    compare=(),
    data=SingleLayerData(data=Digits(train=60, test=20)),
    waiting=6,
    lags=4,
    steps=8,
    replicas=2,
    **SMALL,
)


@pytest.fixture(scope="module")
def mixture() -> xr.DataTree:
    return MIXTURE.run(seed=3)


@pytest.fixture(scope="module")
def noise() -> xr.DataTree:
    return NOISE.run(seed=3)


def curves(values: Any, name: str = "height") -> xr.Dataset:
    attrs = {"long_name": "height", "symbol": "h", "units": "m", "other": 1}
    return xr.Dataset({name: (("disorder", "t"), np.array(values, float), attrs)}, {"t": [0.0, 0.5]})


def test_final_values_are_means_at_the_last_time_with_standard_errors() -> None:
    exact, sampled = curves([[9, 2]]).isel(disorder=0), curves([[9, 1], [9, 3]])
    tree = xr.DataTree.from_dict({"theory": exact, "experiment": sampled})
    found = final_values(tree)
    assert list(found["engine"].values) == ["theory", "experiment"]
    np.testing.assert_array_equal(found["height"], [2.0, 2.0])
    # a deterministic theory has no error; two samples at distance 1 from their mean have the standard error sqrt(2)/sqrt(2)
    np.testing.assert_allclose(found["height_error"], [0.0, 1.0])
    assert found["height"].attrs == {"long_name": "height", "symbol": "h", "units": "m"}
    assert found["height_error"].attrs["long_name"] == "standard error of height"


def test_a_single_sample_has_an_unknown_error() -> None:
    assert np.isnan(ends(curves([[9.0, 1.0]]))["height_error"])


def test_an_engine_without_a_number_has_nan() -> None:
    both = by_engine({"experiment": ends(curves([[0, 1], [0, 1]], "b")), "theory": ends(curves([[0, 1], [0, 1]], "a"))})
    np.testing.assert_array_equal(both["a"], [1.0, np.nan])
    np.testing.assert_array_equal(both["b"], [np.nan, 1.0])
    assert by_engine({}).sizes == {}


def test_several_datasets_of_an_engine_give_names_that_tell_them_apart() -> None:
    tree = xr.DataTree.from_dict({"experiment/first": curves([[0, 1]]), "experiment/second": curves([[0, 2]])})
    assert {"first_height", "second_height"} <= set(final_values(tree).data_vars)


def test_what_is_not_one_number_is_left_out() -> None:
    ds = curves([[0.0, 1.0]]).assign(field=("direction", [1.0, 2.0]), name=((), "x"), sure=((), True))
    assert set(ends(ds).data_vars) == {"height", "height_error"}


def test_integers_and_constants_count() -> None:
    ds = xr.Dataset({"flips": (("disorder", "replica"), [[1, 3]]), "depth": ((), 2.5)})
    found = ends(ds)
    assert (found["flips"].item(), found["flips_error"].item()) == (2.0, 1.0)
    assert (found["depth"].item(), found["depth_error"].item()) == (2.5, 0.0)


def test_the_root_of_an_outcome_is_its_summary(mixture: xr.DataTree) -> None:
    xr.testing.assert_equal(mixture.to_dataset(), MIXTURE.summary(mixture))
    assert set(mixture.to_dataset().dims) == {"engine"}


def test_learning_curves_are_summarised_by_their_ends(mixture: xr.DataTree) -> None:
    root = mixture.to_dataset()
    names = {"overlap", "norm", "loss", "train_error", "test_error"}
    assert set(root.data_vars) == names | {f"{name}_error" for name in names}
    for name in names:
        for engine in ("theory", "experiment"):
            samples = mixture[engine].to_dataset()[name].sel(rule="persistent SGD, b=0.3, τ=1").isel(t=-1)
            expected = with_error(name, samples)
            np.testing.assert_allclose(root[name].sel(engine=engine), expected[name], rtol=1e-12)
            np.testing.assert_allclose(root[f"{name}_error"].sel(engine=engine), expected[f"{name}_error"], rtol=1e-12)
    assert root["overlap"].attrs == {"long_name": "overlap with the signal", "symbol": "m", "units": "1"}


def test_what_stands_beside_does_not_enter(mixture: xr.DataTree) -> None:
    alone = dataclasses.replace(MIXTURE, compare=())
    np.testing.assert_allclose(alone.run(seed=3)["loss"], mixture["loss"], rtol=1e-5)


@pytest.mark.slow
def test_names_do_not_depend_on_the_rule(noise: xr.DataTree) -> None:
    assert set(noise.data_vars) == set(NUMBERS) | {f"{name}_error" for name in NUMBERS}
    assert set(noise.to_dataset().coords) == {"engine"}
    slower = dataclasses.replace(NOISE, rule=dataclasses.replace(NOISE.rule, batches=Persistent(fraction=0.4, time=3.0)))
    assert slower.run(seed=1).data_vars.keys() == noise.data_vars.keys()


@pytest.mark.slow
def test_noise_is_summarised_by_temperature_and_distance(noise: xr.DataTree) -> None:
    root, own = noise.to_dataset(), {"rule": "persistent SGD, b=0.3, τ=2"}
    for engine in ("theory", "experiment"):
        late = effective_temperature(noise[f"{engine}/fluctuations"].to_dataset().sel(own)).isel(lag=-1)
        for name in ("temperature", "temperature_error"):
            np.testing.assert_allclose(root[f"effective_{name}"].sel(engine=engine), late[name], rtol=1e-12)
        training = noise[f"{engine}/training"].to_dataset().sel(own)
        distance = with_error("x", training["replica_distance"].isel(t=-1))
        np.testing.assert_allclose(root["replica_distance"].sel(engine=engine), distance["x"], rtol=1e-12)
        np.testing.assert_allclose(root["replica_distance_error"].sel(engine=engine), distance["x_error"], rtol=1e-12)
        at_margin = gaps.statistics(training["gap"], margin=1.0)["at_margin"]
        np.testing.assert_allclose(root["at_margin"].sel(engine=engine), at_margin, rtol=1e-12)


@pytest.mark.slow
def test_given_data_are_an_experiment_only(noise: xr.DataTree) -> None:
    for name in NUMBERS:
        if name.startswith("data_"):
            assert np.isnan(noise[name].sel(engine="theory"))
            assert np.isfinite(noise[name].sel(engine="experiment"))
            assert np.isfinite(noise[f"{name}_error"].sel(engine="experiment"))
    assert NUMBERS["data_test_error"].attributes() == noise["data_test_error"].attrs


@pytest.mark.slow
def test_parts_that_are_left_out_have_no_numbers_and_no_figures() -> None:
    study = dataclasses.replace(NOISE, satisfiable=None, data=None, compare=())
    tree = study.run(seed=2)
    assert [list(tree[engine].children) for engine in ("theory", "experiment")] == [["fluctuations"]] * 2
    names = ("effective_temperature", "short_temperature", "white_noise_temperature")
    assert set(tree.data_vars) == {*names, *(f"{name}_error" for name in names)}
    assert set(study.figures(tree)) == {"overview", "fluctuation-response"}


@pytest.mark.slow
def test_a_temperature_that_is_not_defined_is_nan(noise: xr.DataTree) -> None:
    # a system at rest: nothing moves, and the training loss is zero
    parts = {path: noise[path].to_dataset() for path in ("theory/fluctuations", "experiment/fluctuations")}
    resting = {path: ds.assign(loss=0 * ds["loss"]) for path, ds in parts.items()}
    found = dataclasses.replace(NOISE, satisfiable=None, data=None).summary(xr.DataTree.from_dict(resting))
    assert np.isnan(found["effective_temperature"]).all()
    assert np.isnan(found["effective_temperature_error"]).all()


@pytest.mark.slow
def test_a_loss_without_a_margin_has_no_fraction_at_it(noise: xr.DataTree) -> None:
    smooth = dataclasses.replace(NOISE, satisfiable=GaussianMixture(alpha=0.5, loss=Logistic()))
    assert set(noise.data_vars) - set(smooth.summary(noise).data_vars) == {"at_margin", "at_margin_error"}


@pytest.mark.parametrize("study", [SgdGaussianMixture, EffectiveNoise])
def test_the_preset_for_maps_is_the_study_with_less_beside_it(study: Any) -> None:
    preset = study.presets()["map"]
    assert preset.compare == ()
    assert (preset.model, preset.rule) == (study().model, study().rule)


@pytest.mark.slow
def test_learning_curves_alone() -> None:
    study = dataclasses.replace(MIXTURE, details=False, compare=())
    tree = study.run(seed=3)
    for engine in ("theory", "experiment"):
        assert set(tree[engine].data_vars) == {"overlap", "norm", "loss", "train_error", "test_error"}
    assert set(study.figures(tree)) == {"learning-curves"}
