"""The numbers of an outcome for a phase diagram: those of the study's own batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from quenched.records.labels import LABELS
from quenched.studies.sgd_fokker_planck.measure import METHODS
from quenched.studies.summary import by_engine, number

if TYPE_CHECKING:
    from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck


def summarise(study: SgdFokkerPlanck, tree: xr.DataTree) -> xr.Dataset:
    """``mixing_steps``, ``flat_fraction`` after the examples, ``final_flat_fraction`` (theory), with errors, by engine.

    The theory's are those of the transfer operator.
    """
    return by_engine({engine: _numbers(study, part) for engine, part in tree.children.items()})


def _numbers(study: SgdFokkerPlanck, part: xr.DataTree) -> xr.Dataset:
    own = f"S={study.batch_size}"
    mixing, populations = part["mixing"].to_dataset(), part["populations"].to_dataset()
    row = METHODS["transfer"] if METHODS["transfer"] in mixing["rule"].values else mixing["rule"].values[0]
    chosen = mixing.sel(rule=row, batch_size=study.batch_size, drop=True)
    after = populations.sel(rule=own, drop=True).isel(examples=-1, drop=True)
    found: dict[str, Any] = {}
    for name, source in (("mixing_steps", chosen), ("final_flat_fraction", chosen), ("flat_fraction", after)):
        if name in source:
            error = source[f"{name}_error"] if f"{name}_error" in source else xr.DataArray(np.float64(0.0))
            found |= number(name, source[name].reset_coords(drop=True), error.reset_coords(drop=True), LABELS[name].attributes())
    return xr.Dataset(found)
