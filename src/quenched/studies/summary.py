"""The numbers of an outcome that a phase diagram shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from quenched.observables.statistics import SAMPLE_DIMS, mean_error

ENGINES = ("theory", "experiment")


def groups(tree: xr.DataTree) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
    """The Datasets below ``/theory`` and below ``/experiment``, by name; nothing for an engine that the tree lacks."""
    theory, experiment = (
        {name: node.to_dataset(inherit=False) for name, node in tree[engine].children.items()} if engine in tree.children else {}
        for engine in ENGINES
    )
    return theory, experiment


def final_values(tree: xr.DataTree) -> xr.Dataset:
    """Mean and standard error over samples of every order parameter that is one number at the last time.

    A variable of one part only, or of both, gets the dimension ``engine``; where an engine has several Datasets the names are
    preceded by that of the Dataset. Order parameters with further dimensions (a second time, a rule, a direction) are left out.
    """
    return by_engine({engine: _finals(tree.children[engine]) for engine in ENGINES if engine in tree.children})


def ends(ds: xr.Dataset, prefix: str = "") -> xr.Dataset:
    """Every order parameter of a Dataset that is one number at the last time, and its standard error ``*_error``.

    ``prefix`` stands before the names.
    """
    found: dict[str, xr.DataArray] = {}
    for name, values in ds.data_vars.items():
        last = values.isel(t=-1, drop=True) if "t" in values.dims else values
        if last.dtype.kind in "fiu" and set(last.dims) <= set(SAMPLE_DIMS):
            found |= with_error(f"{prefix}{name}", last.reset_coords(drop=True).astype(np.float64))
    return xr.Dataset(found)


def quantities(summary: xr.Dataset) -> list[str]:
    """The variables of a summary without those that are the standard error of another."""
    names = list(map(str, summary.data_vars))
    return [name for name in names if not (name.endswith("_error") and name.removesuffix("_error") in names)]


def by_engine(values: dict[str, xr.Dataset]) -> xr.Dataset:
    """Datasets of numbers, one per engine, beside each other along ``engine``; NaN where an engine lacks a variable."""
    if not values:
        return xr.Dataset()
    index = xr.IndexVariable("engine", [engine for engine in ENGINES if engine in values])
    kept = [values[engine] for engine in index.values]
    return xr.concat(kept, index, join="outer", data_vars="all", combine_attrs="drop_conflicts", coords="minimal")


def with_error(name: str, samples: xr.DataArray) -> dict[str, xr.DataArray]:
    """The mean of ``samples`` over disorder and replicas as ``name``, and its standard error as ``name_error``."""
    mean, error = mean_error(samples)
    if not any(dim in samples.dims for dim in SAMPLE_DIMS):
        error = xr.zeros_like(mean)  # no samples: a deterministic answer
    return number(name, mean, error, samples.attrs)


def number(name: str, value: xr.DataArray, error: xr.DataArray, label: Mapping[Any, Any]) -> dict[str, xr.DataArray]:
    """A number as ``name`` and its standard error as ``name_error``, with long name, symbol and units from ``label``."""
    known = {key: label[key] for key in ("long_name", "symbol", "units") if key in label}
    return {
        name: value.drop_attrs().assign_attrs(known),
        f"{name}_error": error.drop_attrs().assign_attrs(
            known | {"long_name": f"standard error of {known.get('long_name', name)}"}
        ),
    }


def _finals(part: xr.DataTree) -> xr.Dataset:
    leaves = [node for node in part.subtree if node.data_vars]
    single = len(leaves) == 1
    prefixes = ["" if single or node is part else node.relative_to(part).replace("/", "_") + "_" for node in leaves]
    return xr.merge([ends(node.to_dataset(), prefix) for node, prefix in zip(leaves, prefixes, strict=True)])
