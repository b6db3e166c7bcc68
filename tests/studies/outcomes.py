"""What every study's outcome has to stand."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from quenched.lab.run import rebuild
from quenched.records.files import load, save
from quenched.studies import Study


def survives_a_file(study: Study, seed: int, tree: xr.DataTree, folder: Path) -> None:
    """Written and read, the outcome is the same to the last bit, and gives back the study and the seed that made it."""
    save(tree, folder / "outcome.nc")
    back = load(folder / "outcome.nc")
    for node in tree.subtree:
        xr.testing.assert_identical(node.to_dataset(), back[node.path].to_dataset())
    assert rebuild(back) == (study, seed)
