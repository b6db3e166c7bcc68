"""Run a study and write its outcome into a folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from quenched.lab import registry, tables
from quenched.lab.verify import Row, to_json
from quenched.numerics.checks import ParameterError
from quenched.plot import save_figure
from quenched.records.datasets import provenance
from quenched.records.description import build
from quenched.records.files import save
from quenched.studies.base import Study


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gives: the study and its tree of Datasets."""

    study: Study
    tree: xr.DataTree


def run(study: Study, *, seed: int = 0, progress: bool = False) -> Outcome:
    """Compute; nothing is written."""
    return Outcome(study, study.run(seed=seed, progress=progress))


def rebuild(tree: xr.DataTree, *, consent: bool = False) -> tuple[Study, int]:
    """The study and the seed that made a tree: ``study.run(seed)`` makes it again.

    The study is looked up by name in the registry. Components of foreign packages are imported with ``consent=True`` only.
    """
    record = provenance(tree)
    parameters = {name: build(value, consent=consent) for name, value in record["parameters"].items()}
    return registry.load(record["study"])(**parameters), record["seed"]


def check_folder(folder: Path) -> None:
    """Raise ``ParameterError`` if the folder could not be written to — before hours of work, and without creating it."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ParameterError(f"out must be a folder, but {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ParameterError(f"out must be writable, but {existing} is not")


def write(outcome: Outcome, folder: Path) -> dict[str, list[Path]]:
    """One netCDF file, then every figure as SVG and PNG; returns the paths by what they are.

    The data are safe on disk before the first figure is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{outcome.study.name}.nc"
    save(outcome.tree, data)
    figures = outcome.study.figures(outcome.tree)
    drawn = [path for name, figure in figures.items() for path in save_figure(figure, folder / name)]
    return {"data": [data], "figures": drawn}


def write_claims(study: str, rows: Sequence[Row], folder: Path) -> list[Path]:
    """The judged claims: a table in Markdown to read, and JSON with every number, from which a report takes them."""
    table, record = folder / "claims.md", folder / "claims.json"
    table.write_text(f"# Claims of {study}\n\n{tables.markdown(rows)}", encoding="utf-8")
    record.write_text(to_json(rows), encoding="utf-8")
    return [table, record]
