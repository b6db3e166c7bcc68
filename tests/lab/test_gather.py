"""A store as one lazy Dataset over what was swept."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array
import h5py
import numpy as np
import pytest
import xarray as xr

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.lab.gather import open_store
from quenched.lab.store import Store
from quenched.models import GaussianMixture
from quenched.numerics.checks import DivergenceError
from quenched.studies import Study
from tests.lab.ramp import Ramp, fill, ramps


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "points")


def alpha(value: float) -> GaussianMixture:
    return GaussianMixture(alpha=value)


def rule(batches: Any) -> Gradient:
    return Gradient(lr=0.2, batches=batches)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that is opened from now on."""
    names: list[str] = []

    class Counted(h5py.File):
        def __init__(self, name: Any, *arguments: Any, **options: Any) -> None:
            names.append(str(name))
            super().__init__(name, *arguments, **options)

    monkeypatch.setattr(h5py, "File", Counted)
    return names


@pytest.mark.slow
def test_the_grid_holds_every_point_under_its_parameters(store: Store) -> None:
    studies = ramps(model=(alpha(2.0), alpha(0.5)), x=(1.0, -1.0, 3.0))
    fill(store, studies, (0, 1))
    ds = open_store(store.folder)
    assert dict(ds.sizes) == {"model.alpha": 2, "x": 3, "seed": 2, "engine": 2}
    assert ds["height"].dims == ("x", "model.alpha", "seed", "engine")
    np.testing.assert_array_equal(ds["model.alpha"], [0.5, 2.0])
    for study, seed in itertools.product(studies, (0, 1)):
        place = {"model.alpha": study.model.alpha, "x": study.x, "seed": seed}
        xr.testing.assert_equal(
            ds.sel(place).drop_vars([*place, "failed"]).load().transpose(), study.run(seed).to_dataset().transpose()
        )


def test_a_group_is_opened_in_the_same_way(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0)), (0, 1))
    for group in ("experiment", "/experiment/"):
        ds = open_store(store.folder, group=group)
        assert ds["height"].dims == ("x", "seed", "replica", "t")
        assert ds["height"].attrs == {"long_name": "height", "symbol": "h", "units": "m"}
        expected = Ramp(x=2.0).run(1)["experiment"].to_dataset(inherit=False)
        found = ds.sel(x=2.0, seed=1, drop=True).load()
        xr.testing.assert_equal(found, expected.assign(mode=expected["mode"].astype(object)))
        assert (found["count"].dtype.kind, found["first"].dtype) == ("i", bool)
        assert set(found.coords) == {"t", "step"}


def test_attributes_say_what_is_shared(store: Store) -> None:
    fill(store, ramps(model=(alpha(2.0), alpha(0.5))))
    store.put_failure(Ramp(model=alpha(1.0)), 0, DivergenceError("no"))
    ds = open_store(store.folder)
    assert {name: ds.attrs[name] for name in ("study", "study_version", "points", "failures")} == {
        "study": "ramp",
        "study_version": "1",
        "points": 2,
        "failures": 1,
    }
    fixed = json.loads(ds.attrs["parameters"])
    assert fixed["rule.batches"] == "Persistent"
    assert fixed["seed"] == 0
    assert "model.alpha" not in fixed
    assert ds["model.alpha"].attrs == {"long_name": "model.alpha", "symbol": r"\alpha"}
    # all of it can be stored again
    ds.to_netcdf(store.folder / "notes", engine="h5netcdf")


def test_classes_are_names_and_their_fields_lie_along_them(store: Store) -> None:
    batches = (Persistent(fraction=0.3, time=2.0), Full(), IID(fraction=0.5))
    fill(store, ramps(rule=tuple(map(rule, batches)), x=(1.0, 2.0)))
    ds = open_store(store.folder)
    assert ds["rule.batches"].values.tolist() == ["Full", "IID", "Persistent"]
    assert ds["rule.batches.fraction"].dims == ("rule.batches",)
    np.testing.assert_array_equal(ds["rule.batches.fraction"], [np.nan, 0.5, 0.3])
    np.testing.assert_array_equal(ds["rule.batches.time"], [np.nan, np.nan, 2.0])


def test_failed_and_missing_points_are_nan(store: Store) -> None:
    for x, steps in ((1.0, 2), (1.0, 3), (2.0, 2)):
        store.put(Ramp(x=x, steps=steps).run(0))
    store.put_failure(Ramp(x=3.0, steps=2), 0, DivergenceError("no"))
    ds = open_store(store.folder).load()
    assert ds["failed"].dims == ("steps", "x")
    np.testing.assert_array_equal(ds["failed"], [[False, False, True], [False, False, False]])
    np.testing.assert_array_equal(np.isfinite(ds["height"].sel(engine="theory")), [[True, True, False], [True, False, False]])
    np.testing.assert_array_equal(ds["height"].sel(engine="theory", x=1.0), [2.0, 3.0])


def test_integers_booleans_and_text_have_gaps(store: Store) -> None:
    fill(store, ramps(x=(1.0,)))
    store.put_failure(Ramp(x=2.0), 0, DivergenceError("no"))
    ds = open_store(store.folder, group="experiment").load()
    np.testing.assert_array_equal(ds["count"], [3.0, np.nan])
    np.testing.assert_array_equal(ds["first"], [[1.0, 0.0], [np.nan, np.nan]])
    assert ds["mode"].values.tolist() == ["up", ""]


def test_a_store_of_failures_opens(store: Store) -> None:
    for x in (1.0, 2.0):
        store.put_failure(Ramp(x=x), 0, DivergenceError("no"))
    ds = open_store(store.folder)
    assert ds["failed"].values.tolist() == [True, True]
    assert not ds.data_vars


def test_one_point_has_no_swept_dimension(store: Store) -> None:
    fill(store, [Ramp()])
    ds = open_store(store.folder)
    xr.testing.assert_equal(ds.load().drop_vars("failed"), Ramp().run(0).to_dataset())


def test_scattered_points_are_a_list(store: Store) -> None:
    studies: list[Study] = [Ramp(x=float(k), steps=1 + (3 * k) % 7, word=f"w{k // 2}") for k in range(6)]
    studies += [Ramp(x=0.0, steps=9, word="w9"), Ramp(x=0.0, steps=8, word="w8")]
    fill(store, studies)
    ds = open_store(store.folder)
    assert ds["height"].dims == ("point", "engine")
    for study in studies:
        (k,) = np.flatnonzero((ds["x"] == study.x) & (ds["steps"] == study.steps) & (ds["word"] == study.word))
        assert ds["height"].isel(point=int(k)).sel(engine="theory").values == study.x * study.steps


def test_where_an_engine_is_missing_there_is_nan(store: Store) -> None:
    fill(store, ramps(solved=(False, True)))
    ds = open_store(store.folder).load()
    assert ds["engine"].values.tolist() == ["theory", "experiment"]
    np.testing.assert_array_equal(ds["height"].sel(engine="theory"), [np.nan, 3.0])
    assert np.isfinite(ds["height"].sel(engine="experiment")).all()


def test_where_a_group_is_missing_there_is_nan(store: Store) -> None:
    fill(store, ramps(solved=(False, True)))
    ds = open_store(store.folder, group="theory")
    np.testing.assert_array_equal(ds["height"].isel(t=-1), [np.nan, 3.0])


def test_coordinates_of_equal_length_lie_along_what_was_swept(store: Store) -> None:
    fill(store, ramps(scale=(1.0, 0.5)))
    ds = open_store(store.folder, group="experiment")
    assert ds["t"].dims == ("scale", "t")
    np.testing.assert_array_equal(ds["t"], [[0.0, 0.5, 1.0, 1.5], [0.0, 1.0, 2.0, 3.0]])
    assert ds["step"].dims == ("t",)
    assert "t" in ds.coords


def test_a_parameter_gives_way_to_a_variable_of_its_name(store: Store) -> None:
    for steps in (1, 2):
        tree = Ramp(steps=steps).run(0)
        tree.dataset = tree.to_dataset().assign(steps=10.0 * steps, failed=1.0)
        store.put(tree)
    ds = open_store(store.folder)
    assert ds["steps"].dims == ("parameters.steps",)
    np.testing.assert_array_equal(ds["parameters.steps"], [1, 2])
    np.testing.assert_array_equal(ds["steps"], [10.0, 20.0])
    assert ds["parameters.failed"].dtype == bool
    assert ds["parameters.steps"].attrs["long_name"] == "steps"


def test_opening_reads_no_data_and_computing_opens_each_file_once(store: Store, opened: list[str]) -> None:
    fill(store, ramps(x=(1.0, 2.0, 3.0)))
    ds = open_store(store.folder, group="experiment")
    assert all(isinstance(ds[name].data, dask.array.Array) for name in ds.data_vars)
    opened.clear()
    repr(ds)
    assert opened == []
    with dask.config.set(scheduler="synchronous"):
        ds["height"].sel(x=2.0).load()
        assert opened == [str(store.path(Ramp(x=2.0), 0))]
        opened.clear()
        ds.compute()
    assert sorted(opened) == sorted(str(store.path(Ramp(x=x), 0)) for x in (1.0, 2.0, 3.0))


def test_numbers_do_not_depend_on_the_scheduler(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0), steps=(2, 3)), (0, 1))
    ds = open_store(store.folder)
    with dask.config.set(scheduler="synchronous"):
        one = ds.compute()
    with dask.config.set(scheduler="threads"):
        assert ds.compute().identical(one)


def test_plain_xarray_shows_the_summary(store: Store) -> None:
    path = store.put(Ramp().run(0))
    with xr.open_dataset(path) as plain:
        xr.testing.assert_equal(plain.load(), open_store(store.folder).drop_vars("failed").load())


@pytest.mark.slow
def test_a_fresh_process_knows_the_public_names(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0)))
    code = f"import quenched as qd; assert 'open' in dir(qd); assert qd.open({str(store.folder)!r}).sizes['x'] == 2"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
