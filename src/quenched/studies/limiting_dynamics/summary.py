"""The numbers of an outcome for a phase diagram: step length and exponent of SGD on the regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from quenched.records.labels import LABELS
from quenched.studies.limiting_dynamics.regression import EXACT, MINIBATCH
from quenched.studies.summary import by_engine, number

if TYPE_CHECKING:
    from quenched.studies.limiting_dynamics.study import LimitingDynamics

NUMBERS = ("local_displacement", "exponent")


def summarise(study: LimitingDynamics, tree: xr.DataTree) -> xr.Dataset:
    """``NUMBERS`` with errors, by engine; nothing where the stationary part is left out."""
    if not study.settle:
        return xr.Dataset()
    return by_engine({engine: _numbers(part["stationary"].to_dataset()) for engine, part in tree.children.items()})


def _numbers(part: xr.Dataset) -> xr.Dataset:
    names = part["rule"].values.tolist()
    best = next(name for name in (MINIBATCH, EXACT, names[0]) if name in names)
    own = part.sel(rule=best)
    found: dict[str, Any] = {}
    for name in NUMBERS:
        error = own[f"{name}_error"].reset_coords(drop=True) if f"{name}_error" in own else xr.DataArray(np.float64(0.0))
        found |= number(name, own[name].reset_coords(drop=True), error, LABELS[name].attributes())
    return xr.Dataset(found)
