"""A store as one Dataset over the swept parameters, read when somebody asks for numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from quenched.lab.lazy import arrays
from quenched.lab.outlines import Common, Outline, attributes, merge, outline
from quenched.lab.store import Store
from quenched.lab.swept import Grid, flatten, grid
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.records import files
from quenched.records.description import canonical_json
from quenched.records.identity import SCHEMA
from quenched.records.labels import PARAMETERS


def open_store(folder: str | Path, study: str | None = None, group: str = "/", consent: bool = False) -> xr.Dataset:
    """One Dataset over the swept parameters of the study in a store. Data are read lazily, one dask chunk per point.

    Dimensions and coordinates are the dotted paths of the parameters that differ between points (``model.alpha``, ``seed``; see
    ``swept.grid``), with the prefix ``parameters.`` where the group has a variable or dimension of that name. ``group`` is that
    of the files: "/" is their summary, "experiment" and groups below it have more. Where a point is missing there is NaN; the
    coordinate ``failed`` says which failed. Attributes: ``study``, ``study_version``, ``parameters`` (JSON of the values that all
    points share, by path), ``points``, ``failures``. Coordinates of the files that differ in value but not in length extend along
    the swept dimensions; variables without a common shape are left out with a ``QuenchedWarning``, as are damaged files.

    Nothing is imported or built. Raises ``FileNotFoundError`` if there is no folder; ``UnknownClassError`` if a file names a
    foreign class and there is no ``consent``; ``ParameterError`` if the store is empty, if no file has the group, or if
    there are several studies and ``study`` (a name, or ``name@version``) does not say which one.
    """
    store = Store(folder)
    if not store.folder.is_dir():
        raise FileNotFoundError(f"there is no store {folder}")
    group = f"/{group.strip('/')}"
    entries = _entries(store, consent)
    if entries:
        entries = list(_outlined(_chosen(entries, study, folder), group, consent))
    if not entries:
        raise ParameterError(f"a store must hold points to be opened, {folder} holds none")
    outlines = [entry.outline for entry in entries if entry.outline is not None]
    if not outlines and not all(entry.failed for entry in entries):
        raise ParameterError(f"group must be one that a file in {folder} has, got {group!r}")
    points = grid([flatten(entry.record) for entry in entries])
    common = merge(outlines, gaps=len(outlines) < points.cells.size)
    for why in dict.fromkeys(common.left_out.values()):
        names = ", ".join(name for name in common.left_out if common.left_out[name] == why)
        warnings.warn(f"left out, because there is no common shape: {names} ({why})", QuenchedWarning, stacklevel=2)
    return _dataset(entries, points, common, group)


class _Entry(NamedTuple):
    """A point of the store: its file, its provenance, whether it failed, and what a group of its file holds."""

    path: Path
    record: dict[str, Any]
    failed: bool
    outline: Outline | None = None


def _entries(store: Store, consent: bool) -> list[_Entry]:
    entries = [_Entry(path, record, False) for path, record in store.records()]
    entries += [_Entry(path, record, True) for path, record in store.failed_records()]
    for entry in [entry for entry in entries if entry.record["schema"] != SCHEMA]:
        warnings.warn(f"left out: {entry.path} has schema {entry.record['schema']}, not {SCHEMA}", QuenchedWarning, stacklevel=3)
        entries.remove(entry)
    if not consent:
        for entry in entries:
            files.refuse_names(entry.record, entry.path)
    return entries


def _chosen(entries: Sequence[_Entry], study: str | None, folder: str | Path) -> list[_Entry]:
    """The entries of one study."""
    studies: dict[tuple[str, str], list[_Entry]] = {}
    for entry in entries:
        studies.setdefault((entry.record["study"], entry.record["study_version"]), []).append(entry)
    asked = [key for key in studies if study in (None, key[0], "@".join(key))]
    if len(asked) != 1:
        known = ", ".join(sorted("@".join(key) for key in studies))
        raise ParameterError(f"study must be one of those in {folder}, which are {known}; got {study!r}")
    return studies[asked[0]]


def _outlined(entries: Iterable[_Entry], group: str, consent: bool) -> Iterator[_Entry]:
    """The entries with the outlines of their files; without damaged ones."""
    seen: dict[Any, Outline] = {}
    for entry in entries:
        if entry.failed:
            yield entry
            continue
        try:
            found = outline(entry.path, group)
            if found is not None and not consent and group != "/":
                files.attributes(entry.path, group=group)
        except (files.DamagedFileError, FileNotFoundError) as error:
            warnings.warn(f"left out: {error}", QuenchedWarning, stacklevel=3)
            continue
        # coordinates that all files share are kept once
        yield entry._replace(outline=found and seen.setdefault(found.key(), found))


def _dataset(entries: Sequence[_Entry], points: Grid, common: Common, group: str) -> xr.Dataset:
    taken, about = common.names(), _attributes(entries, group)

    def named(dims: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"parameters.{dim}" if dim in taken else dim for dim in dims)

    paths = [None if entry.outline is None else entry.path for entry in entries]
    found: dict[str, Any] = {
        name: ((*named(points.dims), *common.variables[name].dims), array, about[name])
        for name, array in arrays(paths, points.cells, group, common.variables).items()
    }
    failed = np.array([entry.failed for entry in entries])[points.cells] & (points.cells >= 0)
    swept = [(path, dims, values, _label(path)) for path, (dims, values) in points.coords.items()]
    swept.append(("failed", points.dims, failed, {"long_name": "the point failed"}))
    coords: dict[str, Any] = {named([path])[0]: (named(dims), values, label) for path, dims, values, label in swept}
    coords |= {name: (dims, values, about[name]) for name, (dims, values) in common.shared.items()}
    coords |= {name: found.pop(name) for name in common.coords}
    record, failures = entries[0].record, sum(entry.failed for entry in entries)
    about_all = {
        "study": record["study"],
        "study_version": record["study_version"],
        "parameters": canonical_json(points.fixed),
        "points": len(entries) - failures,
        "failures": failures,
    }
    return xr.Dataset(found, coords, about_all)


def _label(path: str) -> dict[str, str]:
    last = path.rpartition(".")[2]
    return {"long_name": path} | ({"symbol": PARAMETERS[last]} if last in PARAMETERS else {})


def _attributes(entries: Iterable[_Entry], group: str) -> dict[str, dict[str, Any]]:
    """Attributes of every variable, from the first file that has it."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.outline and (new := [name for name in entry.outline.variables if name not in found]):
            found |= attributes(entry.path, group, new)
    return found
