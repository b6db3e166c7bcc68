"""Run a study and write its outcome into a folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from quenched.lab import registry, tables
from quenched.lab.verify import Row
from quenched.numerics.checks import ParameterError
from quenched.plot import save_figure
from quenched.records.datasets import provenance
from quenched.records.description import build
from quenched.records.files import save
from quenched.studies.base import Study


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gives: the tree of Datasets, the figures by name, the judged claims."""

    study: Study
    tree: xr.DataTree
    figures: Mapping[str, Figure]
    claims: Sequence[Row] = ()


def run(study: Study, *, seed: int = 0, progress: bool = False) -> Outcome:
    """Compute and draw; nothing is written."""
    tree = study.run(seed=seed, progress=progress)
    return Outcome(study, tree, study.figures(tree))


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
    """One netCDF file, every figure as SVG and PNG, the claims as Markdown; returns the paths by what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{outcome.study.name}.nc"
    save(outcome.tree, data)
    figures = [path for name, figure in outcome.figures.items() for path in save_figure(figure, folder / name)]
    paths = {"data": [data], "figures": figures}
    if outcome.claims:
        table = folder / "claims.md"
        table.write_text(f"# Claims of {outcome.study.name}\n\n{tables.markdown(outcome.claims)}", encoding="utf-8")
        paths["claims"] = [table]
    return paths
