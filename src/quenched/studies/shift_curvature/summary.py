"""The numbers of an outcome for a phase diagram: those of the study's own learning rate and batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from quenched.observables.shift_curvature import PARTS
from quenched.records.labels import LABELS
from quenched.studies.shift_curvature.problem import SAME
from quenched.studies.summary import by_engine, number

if TYPE_CHECKING:
    from quenched.studies.shift_curvature.study import ShiftCurvature

NUMBERS = (*PARTS, "excess")


def summarise(study: ShiftCurvature, tree: xr.DataTree) -> xr.Dataset:
    """The four parts and the excess test loss, with errors, by engine; the theory's best temperature of the landscape."""
    return by_engine({engine: _numbers(study, part) for engine, part in tree.children.items()})


def _numbers(study: ShiftCurvature, part: xr.DataTree) -> xr.Dataset:
    own = part["anatomy"].to_dataset().sel(rule=SAME).sel(sgd_temperature=study.lr / (2 * study.batch_size), method="nearest")
    found: dict[str, Any] = {}
    zero = xr.DataArray(np.float64(0.0))
    for name in NUMBERS:
        error = own[f"{name}_error"].reset_coords(drop=True) if f"{name}_error" in own else zero
        found |= number(name, own[name].reset_coords(drop=True), error, LABELS[name].attributes())
    if "best" in part.children:
        best = part["best"].to_dataset()
        for name in ("best_temperature", "best_test_loss"):
            found |= number(name, best[name], zero, LABELS[name].attributes())
    return xr.Dataset(found)
