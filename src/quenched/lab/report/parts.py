"""A run, or a sweep, as a part of a page."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from quenched.lab import options
from quenched.lab.report import maps, slices
from quenched.lab.report.content import Number, Parameter, Part, Swept, Trouble
from quenched.lab.report.equations import label
from quenched.lab.report.pictures import Album
from quenched.lab.report.sources import Run, Sweep
from quenched.lab.report.spelling import clipped, spelled, values_in_words, with_error
from quenched.lab.run import rebuild
from quenched.lab.store import Failure
from quenched.lab.swept import flatten, grid
from quenched.numerics.checks import QuenchedError
from quenched.records.description import UnknownClassError, build
from quenched.records.identity import fingerprint
from quenched.studies.base import Study

_TROUBLES = 50
_NAMES = 12


def run_part(run: Run, study: type[Study] | None, album: Album, consent: bool) -> Part:
    """What a page shows of one outcome. ``study`` is None where its class is not at hand: data and provenance only."""
    part = Part("Run", run.path.name)
    root = run.tree.to_dataset()
    part.numbers = [_number(root, name) for name in slices.numbers(root) if set(root[name].dims) <= {"engine"}]
    part.parameters = _parameters(run.record, study)
    part.provenance = [
        *_origin([run.record]),
        ("fingerprint", fingerprint(run.record)),
        ("SHA-256 of the file", run.checksum),
        ("contents", _contents(run.tree)),
    ]
    part.record = clipped(json.dumps(run.record, indent=1, ensure_ascii=False), 20_000)
    if study is not None:
        _draw(part, run, study, album, consent)
    return part


def sweep_part(sweep: Sweep, study: type[Study] | None, album: Album, room: int, consent: bool = False) -> Part:
    """What a page shows of a store: an interactive viewer, a figure per variable, the failed points."""
    part = Part("Sweep", sweep.path.name)
    ds = sweep.ds
    known = flatten(sweep.records[0]) if sweep.records else {}
    paths = [str(name) for name in ds.coords if str(name).removeprefix("parameters.") in known and ds[name].size > 1]
    part.viewer, missing = slices.viewer(ds, room)
    part.pictures = maps.pictures(ds, album, _lines(part, sweep, study, consent))
    if not slices.numbers(ds):
        part.notes.append("No point has a number in its summary: there is nothing to draw.")
    if missing:
        part.notes.append(f"Too large for the interactive slices of one page: {', '.join(map(clipped, missing))}.")
    _mention(part, album)
    if not slices.axes(ds):
        root = ds.isel({dim: 0 for dim in ds.sizes if dim not in ("engine", "seed")})
        part.numbers = [_number(root, name) for name in slices.numbers(root)]
    part.swept = [Swept(path, values_in_words(np.unique(ds[path].values))) for path in paths]
    part.parameters = _parameters(sweep.records[0], study, {swept.path: swept.values for swept in part.swept})
    points = len(sweep.records)
    part.failed = len(sweep.failures)
    part.failures = _troubles(sweep.failures, paths)
    finished = f"{points - part.failed} finished" + (f", {part.failed} failed" if part.failed else "")
    names = "".join(sorted(fingerprint(record) for record in sweep.records))
    part.provenance = [*_origin(sweep.records), ("points", finished), ("fingerprint of the set of points", _digest(names))]
    return part


def _lines(part: Part, sweep: Sweep, study: type[Study] | None, consent: bool) -> maps.Lines:
    """The study's transition lines; one that cannot give them is named once on the page, which shows its maps without."""
    if study is None or study.transitions is Study.transitions:
        return maps.no_lines
    cls, swept = study, _paths(sweep)

    @functools.cache
    def drawn(x: str, y: str, at: tuple[tuple[str, Any], ...]) -> Mapping[str, Any]:
        try:
            found = _study_at(sweep, cls, dict(at), consent).transitions(x, y)
            lines = {maps.plain(label): maps.line(*ends) for label, ends in found.items()}
        except Exception as error:  # a study's own lines may fail in any way; the maps must not go with them
            words = clipped(f"{type(error).__name__}: {error}")
            part.notes.append(f"No transition lines in the plane of {clipped(x)} and {clipped(y)}: {words}")
            return {}
        if lines:
            _compare_versions(part, sweep.records[0], cls, "transition lines")
        return lines

    def lines(x: str, y: str, at: Mapping[str, Any]) -> Mapping[str, Any]:
        if x not in swept or y not in swept:  # a dimension of the variable's own
            return {}
        return drawn(swept[x], swept[y], tuple((swept[dim], value) for dim, value in at.items() if dim in swept))

    return lines


def _paths(sweep: Sweep) -> dict[str, str]:
    """Paths of the parameters that differ, by their coordinates, which have a prefix where a file has a variable of that name."""
    paths = grid([flatten(record) for record in sweep.records]).coords
    return {name if (name := f"parameters.{path}") in sweep.ds.coords else path: path for path in paths}


def _study_at(sweep: Sweep, study: type[Study], at: Mapping[str, Any], consent: bool) -> Study:
    """The study of a point with these values: built from its record, since words of a file must not choose what is imported."""
    record = next(record for record in sweep.records if _lies_at(flatten(record), at))
    return study(**{name: build(value, consent=consent) for name, value in record["parameters"].items()})


def _lies_at(point: Mapping[str, Any], at: Mapping[str, Any]) -> bool:
    """Whether a point has the values of coordinates, where everything but numbers is a word, and nothing the empty word."""
    found = {path: "" if point.get(path) is None else point[path] for path in at}
    return all((str(found[path]) if isinstance(value, str) else found[path]) == value for path, value in at.items())


def _compare_versions(part: Part, record: Mapping[str, Any], study: type[Study], what: str) -> None:
    made, installed = record["study_version"], study.version
    note = f"Made by version {made} of the study; the {what} are drawn by the installed version {installed}."
    if made != installed and note not in part.notes:
        part.notes.append(note)


def _draw(part: Part, run: Run, study: type[Study], album: Album, consent: bool) -> None:
    _compare_versions(part, run.record, study, "figures")
    try:
        figures = rebuild(run.tree, consent=consent)[0].figures(run.tree)
    except UnknownClassError as error:
        part.notes.append(f"No figures, because the study is not rebuilt without consent: {clipped(str(error))}")
        return
    except QuenchedError as error:
        part.notes.append(f"No figures, because the study cannot be rebuilt from these data: {clipped(str(error))}")
        return
    except Exception as error:  # a study's own drawing may fail in any way; the rest of the page must not go with it
        part.notes.append(f"No figures, because drawing them failed with {type(error).__name__}: {clipped(str(error))}")
        return
    found = [album.picture(name, figure) for name, figure in figures.items()]
    part.pictures = [picture for picture in found if picture is not None]
    _mention(part, album)


def _mention(part: Part, album: Album) -> None:
    if album.left_out:
        part.notes.append(f"Left out, to keep the page in one small file: figures {', '.join(map(clipped, album.left_out))}.")
        album.left_out = []


def _number(root: xr.Dataset, name: str) -> Number:
    def shown(engine: str) -> str:
        found = root
        if "engine" in root[name].dims:
            if engine not in root["engine"].values:
                return ""
            found = root.sel(engine=engine)
        elif engine == "theory":
            return ""
        both = maps.over_seeds(found, name)
        return with_error(*(float(both[key]) for key in (name, f"{name}_error")))

    return Number(label(name, root[name].attrs), shown("theory"), shown("experiment"))


def _parameters(record: Mapping[str, Any], study: type[Study] | None, swept: Mapping[str, str] | None = None) -> list[Parameter]:
    texts = options.field_help(study) if study is not None else {}
    values = record["parameters"]
    fields = [field.name for field in dataclasses.fields(study)] if study is not None else []
    ordered = [name for name in fields if name in values] + [str(name) for name in values if name not in fields]
    return [Parameter(name, spelled(values[name], swept, name), texts.get(name, "")) for name in ordered]


def _troubles(failures: Iterable[Failure], paths: list[str]) -> list[Trouble]:
    """The first failures in the order of their parameters, told apart by the swept ones."""
    columns = [path for path in paths if path != "seed"]

    def values(failure: Failure) -> list[Any]:
        found = flatten({"parameters": failure.parameters, "seed": failure.seed})
        return [found.get(path.removeprefix("parameters.")) for path in columns]

    def order(failure: Failure) -> list[Any]:
        # numbers by size, then words; None, where a class has no such field, is a word
        return [
            (isinstance(v, (int, float)), v if isinstance(v, (int, float)) else str(v)) for v in [*values(failure), failure.seed]
        ]

    found = []
    for failure in sorted(failures, key=order)[:_TROUBLES]:
        words = ", ".join(f"{path} = {value}" for path, value in zip(columns, values(failure), strict=True) if value is not None)
        found.append(Trouble(clipped(words), str(failure.seed), clipped(f"{failure.kind}: {failure.message}")))
    return found


def _origin(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What made the points: everything that occurs, if it differs between them."""

    def all_of(values: Iterable[Any]) -> str:
        distinct = sorted(set(map(str, values)))
        more = f", … ({len(distinct)} in all)" if len(distinct) > _NAMES else ""
        return clipped(", ".join(distinct[:_NAMES]) + more)

    environments = [record.get("environment") or {} for record in records]
    versions: dict[str, list[str]] = {}
    for environment in environments:
        for package, version in (environment.get("versions") or {}).items():
            versions.setdefault(clipped(str(package)), []).append(version)
    seeds = sorted({int(record["seed"]) for record in records})
    several = f"{seeds[0]} … {seeds[-1]} ({len(seeds)} seeds)"
    found = [
        ("study", all_of(f"{record['study']}, version {record['study_version']}" for record in records)),
        ("seed", str(seeds[0]) if len(seeds) == 1 else several),
        *((package, all_of(found)) for package, found in versions.items()),
        ("backend", all_of(environment.get("backend", "unknown") for environment in environments)),
    ]
    batches = [record["batch"] for record in records if "batch" in record]
    return found + ([("points per compiled batch", all_of(batches))] if batches else [])


def _contents(tree: xr.DataTree) -> str:
    def sizes(values: xr.Dataset) -> str:
        return ", ".join(f"{dim} {size}" for dim, size in values.sizes.items())

    groups = [
        f"{node.path}: {', '.join(map(str, node.data_vars))}"
        + (f" ({sizes(node.to_dataset(inherit=False))})" if node.sizes else "")
        for node in tree.subtree
        if node.data_vars
    ]
    return clipped("; ".join(groups))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
