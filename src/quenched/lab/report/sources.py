"""What a page is made from: outcomes of `quenched run`, and stores. Reading them imports and builds nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from quenched.lab.gather import open_store
from quenched.lab.store import Failure, Store
from quenched.lab.swept import POINT
from quenched.lab.verify import Row, from_json
from quenched.numerics.checks import ParameterError
from quenched.records.datasets import provenance
from quenched.records.files import load
from quenched.records.identity import identity

_POINT = re.compile(r"[0-9a-f]{32}(\.failed)?\.nc")


@dataclasses.dataclass(eq=False)
class Run:
    """One outcome of a study, with the claims that were judged beside it."""

    path: Path
    tree: xr.DataTree
    record: dict[str, Any]
    checksum: str
    rows: list[Row]

    @property
    def study(self) -> str:
        return str(self.record["study"])


@dataclasses.dataclass(eq=False)
class Sweep:
    """The points of one study in a store: their summaries as one Dataset in memory, their provenance, those that failed."""

    path: Path
    ds: xr.Dataset
    records: list[dict[str, Any]]
    failures: list[Failure]
    rows: list[Row]

    @property
    def study(self) -> str:
        return str(self.records[0]["study"])


def read(path: Path) -> list[Run | Sweep]:
    """The runs and sweeps at a path: a netCDF file, the folder that a run wrote, or a store (one sweep per study in it).

    Raises ``ParameterError`` for what is none of these, ``DamagedFileError`` for a file that is damaged.
    """
    if path.is_file():
        return [_run(path)]
    if not path.is_dir():
        raise ParameterError(f"paths must be stores or runs, but there is no {path}")
    names = sorted(file.name for file in path.glob("*.nc"))
    found: list[Run | Sweep] = [_run(path / name) for name in names if not _POINT.fullmatch(name)]
    if any(_POINT.fullmatch(name) for name in names):
        found += _sweeps(path)
    if not found:
        raise ParameterError(f"paths must be stores or runs, but the folder {path} has no netCDF file")
    return found


def _run(path: Path) -> Run:
    content = load(path, consent=True)
    tree = content if isinstance(content, xr.DataTree) else xr.DataTree(content)
    record = provenance(tree)
    try:
        identity(record)
    except ParameterError as error:
        raise ParameterError(f"{path} is not the outcome of a study: {error}") from None
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return Run(path, tree, record, checksum, [row for row in _claims(path.parent) if row.study == record["study"]])


def _sweeps(folder: Path) -> Iterator[Sweep]:
    store = Store(folder)
    records: dict[str, list[dict[str, Any]]] = {}
    for _, record in [*store.records(), *store.failed_records()]:
        records.setdefault(f"{record['study']}@{record['study_version']}", []).append(record)
    for key, own in sorted(records.items()):
        study = own[0]["study"]
        failures = [failure for failure in store.failures() if failure.study == study]
        rows = [row for row in _claims(folder) if row.study == study]
        yield Sweep(folder, _with_named_points(open_store(folder, study=key, consent=True).load()), own, failures, rows)


def _with_named_points(ds: xr.Dataset) -> xr.Dataset:
    """Points that fill no grid are along one dimension, where each is named by its parameters."""
    if POINT not in ds.dims or POINT in ds.coords:
        return ds
    paths = [str(name) for name, values in ds.coords.items() if values.dims == (POINT,) and name != "failed"]
    columns = zip(*(ds[path].values.tolist() for path in paths), strict=True)
    names = [", ".join(f"{path}={value}" for path, value in zip(paths, values, strict=True)) for values in columns]
    return ds.assign_coords({POINT: names})


def _claims(folder: Path) -> list[Row]:
    file = folder / "claims.json"
    if not file.is_file():
        return []
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except (ParameterError, UnicodeDecodeError) as error:
        raise ParameterError(f"{file} cannot be read: {error}") from None
