"""The store: a point is found again or computed again, and nothing is ever lost."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from quenched.lab.store import Failure, Store
from quenched.numerics.checks import DivergenceError, ParameterError, QuenchedWarning
from quenched.records import UnknownClassError, canonical_json, load, save
from tests.lab.ramp import Foreign, Ramp, Ramp2, contents, put


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "points")


def test_a_point_is_found_again(store: Store) -> None:
    study = Ramp(x=2.0, word="ü")
    assert store.look_up(study, 3) is None
    assert not store.sound(study, 3)
    path = put(store, study, 3)
    assert path == store.path(study, 3) == store.folder / f"{study.fingerprint(3)}.nc"
    found = store.look_up(study, 3)
    assert found is not None
    assert found.identical(study.run(3))
    assert store.sound(study, 3)
    assert store.look_up(study, 4) is None
    assert store.look_up(Ramp2(x=2.0, word="ü"), 3) is None


def test_a_point_without_groups_is_a_tree_too(store: Store) -> None:
    class Bare(Ramp):
        def theory(self, seed, progress):
            return None

        def experiment(self, seed, progress):
            return None

    put(store, Bare())
    assert isinstance(store.look_up(Bare(), 0), xr.DataTree)


def test_looking_makes_no_folder(store: Store) -> None:
    store.look_up(Ramp(), 0)
    assert store.failures() == list(store.records()) == store.tidy() == []
    assert not store.folder.exists()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match=r"store must be a folder, but .*file is a file"):
        Store(tmp_path / "file")


def test_what_is_no_point_is_not_put(store: Store) -> None:
    with pytest.raises(ParameterError, match="provenance"):
        store.put(xr.DataTree(xr.Dataset({"x": 1.0})))
    assert not store.folder.exists()


def test_files_are_plain_netcdf_with_the_summary_as_root(store: Store) -> None:
    study = Ramp()
    path = put(store, study)
    with xr.open_dataset(path) as plain:
        xr.testing.assert_equal(plain.load(), study.run(0).to_dataset())
    with xr.open_dataset(path, engine="h5netcdf", group="experiment") as plain:
        np.testing.assert_array_equal(plain["height"], study.run(0)["experiment"]["height"])


def test_the_same_point_gives_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    assert put(store, Ramp()).read_bytes() == put(other, Ramp()).read_bytes()


def test_a_users_own_model_is_found_without_importing_by_name(store: Store) -> None:
    study = Ramp(model=Foreign())
    path = put(store, study)
    with pytest.raises(UnknownClassError, match=r"tests\.lab\.ramp\.Foreign"):
        load(path)
    found = store.look_up(study, 0)
    assert found is not None
    assert found.identical(study.run(0))
    assert store.tidy() == []


def test_tidy_touches_what_is_no_point_and_nothing_else(store: Store) -> None:
    good = put(store, Ramp())
    put(store, Ramp(x=2.0)).write_bytes(good.read_bytes())
    save(xr.Dataset({"x": 1.0}), store.folder / "other.nc")
    (store.folder / "text.nc").write_text("text")
    save(xr.Dataset(attrs={"provenance": "[1]"}), store.folder / "list.nc")
    save(xr.Dataset(attrs={"provenance": "[" * 100_000}), store.folder / "deep.nc")
    store.put_failure(Ramp(x=3.0), 0, ValueError("no")).rename(store.folder / f"{Ramp(x=4.0).fingerprint(0)}.failed.nc")
    (store.folder / "notes.txt").write_text("remember")
    (store.folder / "folder.nc").mkdir()
    failed = store.put_failure(Ramp(x=5.0), 0, ValueError("no"))
    with pytest.warns(QuenchedWarning, match="set aside"):
        aside = store.tidy()
    points = {f"{Ramp(x=2.0).fingerprint(0)}.nc", f"{Ramp(x=4.0).fingerprint(0)}.failed.nc"}
    assert {path.name for path in aside} == points | {"other.nc", "text.nc", "list.nc", "deep.nc"}
    assert {path.name for path in store.folder.iterdir()} == {good.name, failed.name, "notes.txt", "folder.nc", "aside"}


def test_stale_temporary_files_are_removed(store: Store) -> None:
    good = put(store, Ramp())
    old, young = (store.folder / f".{good.name}.{name}.tmp" for name in ("old", "young"))
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert store.tidy() == []
    assert set(store.folder.iterdir()) == {good, young}


def test_a_failure_is_remembered_until_the_point_is_finished(store: Store) -> None:
    study = Ramp(x=2.0)
    assert store.failure(study, 1) is None
    path = store.put_failure(study, 1, DivergenceError("norm is not finite at step 3"))
    assert path.name == f"{study.fingerprint(1)}.failed.nc"
    failure = store.failure(study, 1)
    parameters = json.loads(canonical_json(study.provenance(1)))["parameters"]
    assert failure == Failure("ramp", parameters, 1, "DivergenceError", "norm is not finite at step 3", True)
    assert store.failures() == [failure]
    assert store.failure(study, 2) is None
    assert not store.sound(study, 1)
    put(store, study, 1)
    assert store.failure(study, 1) is None
    assert store.failures() == []
    assert not path.exists()


def test_only_errors_of_the_library_are_deterministic(store: Store) -> None:
    store.put_failure(Ramp(), 0, MemoryError("<b>\0\udcff"))
    (failure,) = store.failures()
    assert (failure.kind, failure.message, failure.deterministic) == ("MemoryError", "<b>\0\udcff", False)


def test_a_failure_is_plain_netcdf_without_variables(store: Store) -> None:
    with xr.open_dataset(store.put_failure(Ramp(), 0, ValueError("no"))) as plain:
        assert not plain.variables
        assert set(plain.attrs) == {"provenance", "failure"}


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"kind": "E"}'])
def test_a_broken_failure_is_set_aside(store: Store, text: str) -> None:
    path = store.put_failure(Ramp(), 0, ValueError("no"))
    save(load(path).assign_attrs(failure=text), path)
    with pytest.warns(QuenchedWarning, match="left out"):
        assert store.failures() == []
    with pytest.warns(QuenchedWarning, match="set aside"):
        assert store.failure(Ramp(), 0) is None


def test_stores_are_merged_by_copying_and_finished_beats_failed(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    put(store, Ramp(x=1.0))
    store.put_failure(Ramp(x=2.0), 0, ValueError("no"))
    put(other, Ramp(x=2.0))
    other.put_failure(Ramp(x=1.0), 0, ValueError("no"))
    for name, data in contents(other.folder).items():
        (store.folder / name).write_bytes(data)
    assert store.failures() == []
    assert store.failure(Ramp(x=1.0), 0) is None
    assert all(store.sound(Ramp(x=x), 0) for x in (1.0, 2.0))
    assert store.tidy() == []


def test_records_are_the_provenance_of_what_is_finished(store: Store) -> None:
    paths = {put(store, Ramp(x=float(x)), x) for x in range(3)}
    failed = store.put_failure(Ramp(), 9, ValueError("no"))
    assert dict(store.records()) == {path: json.loads(load(path).attrs["provenance"]) for path in paths}
    assert [(path, record["seed"]) for path, record in store.failed_records()] == [(failed, 9)]
    next(iter(paths)).write_text("damaged")
    with pytest.warns(QuenchedWarning, match=r"left out: .* is damaged"):
        assert len(list(store.records())) == 2
