"""Whether two stores are equal, bit for bit; files are read by xarray alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr


def points(store: Path) -> dict[str, Path]:
    """The files of a store's points by name."""
    return {path.name: path for path in sorted(store.glob("*.nc"))} if store.is_dir() else {}


def same(store: Path, reference: Path) -> None:
    """Two stores hold the same points: every array bit for bit, every attribute, every name, and nothing else."""
    assert set(points(store)) == set(points(reference))
    assert rest(store) <= {"aside"}
    for name, path in points(store).items():
        same_file(path, reference / name)


def rest(store: Path) -> set[str]:
    """What else is in the folder of a store, but for files that were being written by a process that was killed just now."""
    return {path.name for path in store.iterdir() if not path.name.endswith(".tmp")} - set(points(store))


def same_file(path: Path, other: Path) -> None:
    """Two netCDF files, read by xarray alone, are equal bit for bit."""
    if path.read_bytes() == other.read_bytes():
        return
    with xr.open_datatree(path, engine="h5netcdf") as one, xr.open_datatree(other, engine="h5netcdf") as two:
        assert [node.path for node in one.subtree] == [node.path for node in two.subtree]
        for first, second in zip(one.subtree, two.subtree, strict=True):
            where = f"{path.name}{first.path}"
            assert first.attrs == second.attrs, where
            assert list(first.variables) == list(second.variables), where
            for name in first.variables:
                same_variable(first.variables[name], second.variables[name], f"{where}: {name}")


def same_variable(one: xr.Variable, two: xr.Variable, where: str) -> None:
    assert one.dims == two.dims, where
    assert one.attrs == two.attrs, where
    assert one.dtype == two.dtype, where
    if one.dtype.kind == "O":
        assert one.values.tolist() == two.values.tolist(), where
    else:
        # bytes, because NaN is not equal to itself and 0.0 is equal to -0.0
        assert np.ascontiguousarray(one.values).tobytes() == np.ascontiguousarray(two.values).tobytes(), where
