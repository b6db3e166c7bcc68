"""Files: atomic, reproducible byte for byte, and read without running anything."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from quenched.models import GaussianMixture
from quenched.records import DamagedFileError, UnknownClassError, dataset, files, load, rebuild, save


@pytest.fixture
def ds():
    values = np.arange(24.0).reshape(2, 3, 4)
    values[0, 0, 0] = np.nan
    variables = {
        "overlap": (("disorder", "replica", "t"), values.astype(np.float32)),
        "stationary": (("disorder",), np.array([True, False])),
        "spins": (("t",), np.array([1, -1, 1, 1], np.int8)),
    }
    coords = {"t": 0.1 * np.arange(4), "step": ("t", np.arange(4)), "name": ("disorder", ["a", "bcd"])}
    return dataset(variables, coords, {"engine": "simulate", "model": GaussianMixture(noise=0.25), "seed": 3})


def tree(ds):
    theory = ds.mean("replica", keep_attrs=True)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"study": "s"}), "/theory": theory, "/experiment": ds})


def test_a_dataset_comes_back_identical(ds, tmp_path):
    assert save(ds, tmp_path / "a.nc") == tmp_path / "a.nc"
    back = load(tmp_path / "a.nc")
    assert isinstance(back, xr.Dataset)
    assert back.identical(ds)
    assert {name: back[name].dtype for name in back.variables} == {name: ds[name].dtype for name in ds.variables}
    assert os.listdir(tmp_path) == ["a.nc"]


def test_a_tree_comes_back_identical(ds, tmp_path):
    save(tree(ds), tmp_path / "a.nc")
    back = load(tmp_path / "a.nc")
    assert isinstance(back, xr.DataTree)
    assert back.identical(tree(ds))


@pytest.mark.parametrize("shape", [lambda ds: ds, tree])
def test_equal_content_gives_equal_bytes_also_after_a_round_trip(ds, tmp_path, shape):
    for name, content in (("a", shape(ds)), ("b", shape(ds.copy(deep=True)))):
        save(content, tmp_path / f"{name}.nc")
    save(load(tmp_path / "a.nc"), tmp_path / "c.nc")
    first = (tmp_path / "a.nc").read_bytes()
    assert first == (tmp_path / "b.nc").read_bytes()
    assert first == (tmp_path / "c.nc").read_bytes()


def test_the_file_is_plain_netcdf(ds, tmp_path):
    save(ds, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as plain:
        np.testing.assert_array_equal(plain["overlap"], ds["overlap"])
        assert plain["overlap"].attrs["symbol"] == "m"


def test_the_netcdf_library_itself_reads_the_file(ds, tmp_path):
    netcdf = pytest.importorskip("netCDF4", reason="needs the netCDF library, which nothing here depends on")
    with netcdf.Dataset(save(ds, tmp_path / "a.nc")) as plain:
        np.testing.assert_array_equal(plain["overlap"][:].filled(np.nan), ds["overlap"])


def test_a_file_ends_with_a_seal(ds, tmp_path):
    data = save(ds, tmp_path / "a.nc").read_bytes()
    *_, text, end = data.split(b"\n")
    assert text == b"sha256 " + hashlib.sha256(data[: -len(text) - 2]).hexdigest().encode()
    assert end == b""
    assert files.sealed(tmp_path / "a.nc") is True


def test_a_file_of_another_program_has_no_seal_and_is_read(ds, tmp_path):
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert files.sealed(tmp_path / "a.nc") is None
    assert load(tmp_path / "a.nc").identical(ds)


def test_attributes_are_read_alone(ds, tmp_path):
    path = save(tree(ds), tmp_path / "a.nc")
    assert files.attributes(path)["study"] == "s"
    assert files.attributes(path, group="theory")["provenance"]["seed"] == 3
    with pytest.raises(KeyError, match="no group nothing"):
        files.attributes(path, group="nothing")


@pytest.mark.parametrize("text", ["[1]", "no", "[" * 100_000], ids=["list", "text", "deep"])
def test_provenance_that_is_no_record_is_damage(ds, tmp_path, text):
    path = save(ds.assign_attrs(provenance=text), tmp_path / "a.nc")
    with pytest.raises(DamagedFileError, match=r"a\.nc is damaged: its provenance is not"):
        load(path)


def test_a_full_disk_is_an_ordinary_error_and_leaves_the_old_file(ds, tmp_path, monkeypatch):
    path = save(ds, tmp_path / "a.nc")
    before = path.read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save(ds + 1, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.nc"]


def test_a_failed_write_leaves_the_old_file(ds, tmp_path):
    path = save(ds, tmp_path / "a.nc")
    before = path.read_bytes()
    with pytest.raises(Exception, match="object"):
        save(ds.assign(bad=("t", np.array([object()] * 4))), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.nc"]


@pytest.mark.parametrize("kind", ["class", "function"])
def test_foreign_names_are_refused_and_nothing_is_imported(ds, tmp_path, kind, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", lambda *_: ran.append(1))
    record = json.loads(ds.attrs["provenance"])
    record["model"]["loss"] = {kind: "os.system", "command": "true"}
    record["rule"] = {"class": "antigravity.Rule"}
    ds.attrs["provenance"] = json.dumps(record)
    path = save(ds, tmp_path / "a.nc")
    with pytest.raises(UnknownClassError, match=r"a\.nc names '(os\.system|antigravity\.Rule)'.*nothing was imported"):
        load(path)
    consenting = load(path, consent=True)
    with pytest.raises(UnknownClassError, match="nothing was imported"):
        rebuild(consenting)
    # with consent the name is imported, and refused because it is no component, before it could be called
    with pytest.raises((UnknownClassError, TypeError)):
        rebuild(consenting.assign_attrs(provenance=json.dumps({"model": {"class": "os.system"}})), consent=True)
    assert ran == []
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b"not a netCDF file",
        lambda b: b.replace(np.float32(23).tobytes(), np.float32(22).tobytes()),
    ],
    ids=["truncated", "empty", "text", "one value"],
)
def test_a_damaged_file_is_named(ds, tmp_path, damage):
    path = save(ds, tmp_path / "a.nc")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"a\.nc is damaged"):
        load(path)


def test_a_missing_file_or_folder_is_named(ds, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.nc"):
        load(tmp_path / "b.nc")
    with pytest.raises(FileNotFoundError, match="folder"):
        save(ds, tmp_path / "no" / "b.nc")
