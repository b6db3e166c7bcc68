"""What a store does not open, and why."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import pytest
import xarray as xr

import quenched
from quenched.lab.gather import open_store
from quenched.lab.store import Store
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.records import UnknownClassError, canonical_json, save
from tests.lab.ramp import Foreign, Ramp, Ramp2, fill, ramps


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "points")


def test_variables_without_a_common_shape_are_left_out(store: Store) -> None:
    fill(store, ramps(steps=(2, 5)))
    with pytest.warns(QuenchedWarning, match=r"left out, because there is no common shape: height \(t has 3 to 6 entries\)"):
        ds = open_store(store.folder, group="experiment")
    assert set(ds.data_vars) == {"count", "first", "mode"}
    assert set(ds.coords) == {"steps", "failed"}


def test_a_variable_whose_dimensions_differ_is_left_out(store: Store) -> None:
    for x, dims in ((1.0, ("t",)), (2.0, ("s",))):
        tree = Ramp(x=x).run(0)
        tree["theory"] = xr.DataTree(xr.Dataset({"height": (dims, [1.0, 2.0]), "other": 1.0}))
        store.put(tree)
    with pytest.warns(QuenchedWarning, match=r"height \(its dimensions are \(s\) or \(t\)\)"):
        ds = open_store(store.folder, group="theory")
    assert set(ds.data_vars) == {"other"}


def test_several_studies_need_a_choice(store: Store) -> None:
    fill(store, [Ramp(x=1.0), Ramp(x=2.0), Ramp2(x=3.0)])
    with pytest.raises(ParameterError, match=r"study must be one of those in .*points, which are ramp@1, ramp@2; got None"):
        open_store(store.folder)
    with pytest.raises(ParameterError, match="got 'ramp'"):
        open_store(store.folder, "ramp")
    with pytest.raises(ParameterError, match="got 'walk'"):
        open_store(store.folder, "walk")
    assert open_store(store.folder, "ramp@1").sizes["x"] == 2
    assert open_store(store.folder, "ramp@2")["height"].sel(engine="theory").values == 9.0


def test_a_damaged_file_is_named_and_skipped(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0)))
    path = store.path(Ramp(x=1.0), 0)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.warns(QuenchedWarning, match=rf"left out: .*{path.name} is damaged"):
        ds = open_store(store.folder)
    assert (ds.attrs["points"], json.loads(ds.attrs["parameters"])["x"]) == (1, 2.0)
    assert path.exists()


def test_a_file_that_breaks_after_opening_is_named(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0)))
    ds = open_store(store.folder)
    path = store.path(Ramp(x=1.0), 0)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(OSError, match=rf"{path.name} is damaged"):
        ds.compute()


def test_a_foreign_class_needs_consent(store: Store) -> None:
    fill(store, ramps(model=(Foreign(),), x=(1.0, 2.0)))
    with pytest.raises(UnknownClassError, match=r"\.nc names 'tests\.lab\.ramp\.Foreign'.*nothing was imported"):
        open_store(store.folder)
    ds = open_store(store.folder, consent=True)
    assert json.loads(ds.attrs["parameters"])["model"] == "tests.lab.ramp.Foreign"


@pytest.mark.parametrize("failed", [False, True])
def test_a_hostile_file_is_refused_and_nothing_is_imported(store: Store, monkeypatch: pytest.MonkeyPatch, failed: bool) -> None:
    ran: list[int] = []
    monkeypatch.setattr(os, "system", lambda *_: ran.append(1))
    fill(store, ramps(x=(1.0, 2.0)))
    record = Ramp().provenance(0)
    record["parameters"] |= {"model": {"class": "os.system", "command": "true"}, "rule": {"class": "antigravity.Rule"}}
    attributes = {"provenance": canonical_json(record)}
    if failed:
        attributes["failure"] = json.dumps({"kind": "E", "message": "", "deterministic": True})
    name = f"{quenched.records.fingerprint(record)}{'.failed' if failed else ''}.nc"
    save(xr.Dataset({"height": 1.0}, attrs=attributes), store.folder / name)
    with pytest.raises(UnknownClassError, match=rf"{name} names 'os\.system'.*nothing was imported"):
        open_store(store.folder)
    with warnings.catch_warnings():
        # the summary of the hostile file has another shape than that of the study
        warnings.simplefilter("ignore", QuenchedWarning)
        open_store(store.folder, consent=True).load()
    assert ran == []
    assert "antigravity" not in sys.modules


def test_the_provenance_of_a_group_is_looked_at_too(store: Store) -> None:
    tree = Ramp().run(0)
    tree["experiment"].attrs["provenance"] = canonical_json({"model": {"function": "os.system"}})
    path = store.put(tree)
    open_store(store.folder)
    with pytest.raises(UnknownClassError, match=rf"{path.name} names 'os\.system'"):
        open_store(store.folder, group="experiment")


def test_a_file_of_another_schema_is_left_out(store: Store) -> None:
    fill(store, ramps(x=(1.0, 2.0)))
    record = {**Ramp(x=3.0).provenance(0), "schema": 2}
    store.put(xr.DataTree(xr.Dataset(attrs={"provenance": canonical_json(record)})))
    with pytest.warns(QuenchedWarning, match=r"left out: .* has schema 2, not 1"):
        assert open_store(store.folder).sizes["x"] == 2


def test_what_is_no_store_is_said_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no store"):
        open_store(store.folder)
    store.folder.mkdir()
    with pytest.raises(ParameterError, match=r"points holds none"):
        open_store(store.folder)
    path = store.put(Ramp().run(0))
    with pytest.raises(ParameterError, match=r"group must be one that a file in .* has, got '/nothing'"):
        open_store(store.folder, group="nothing")
    with pytest.raises(ParameterError, match="is a file"):
        open_store(path)
    path.write_text("damaged")
    with pytest.warns(QuenchedWarning, match="left out"), pytest.raises(ParameterError, match="holds none"):
        open_store(store.folder)
