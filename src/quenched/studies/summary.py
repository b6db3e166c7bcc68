"""The numbers of an outcome that a phase diagram shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from quenched.observables.statistics import SAMPLE_DIMS, mean_error

ENGINES = ("theory", "experiment")


def final_values(tree: xr.DataTree) -> xr.Dataset:
    """Mean and standard error over samples of every order parameter that is one number at the last time.

    A variable of one part only, or of both, gets the dimension ``engine``; where an engine has several Datasets the names are
    preceded by that of the Dataset. Order parameters with further dimensions (a second time, a rule, a direction) are left out.
    """
    values = {engine: dict(_finals(tree.children[engine])) for engine in ENGINES if engine in tree.children}
    return by_engine({engine: xr.Dataset(found) for engine, found in values.items()})


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
    label = {key: samples.attrs[key] for key in ("long_name", "symbol", "units") if key in samples.attrs}
    return {
        name: mean.assign_attrs(label),
        f"{name}_error": error.assign_attrs(label | {"long_name": f"standard error of {label.get('long_name', name)}"}),
    }


def _finals(part: xr.DataTree) -> Iterator[tuple[str, xr.DataArray]]:
    leaves = [node for node in part.subtree if node.data_vars]
    for node in leaves:
        prefix = node.relative_to(part).replace("/", "_") + "_" if len(leaves) > 1 and node is not part else ""
        ds = node.to_dataset()
        for name, values in ds.data_vars.items():
            last = values.isel(t=-1, drop=True) if "t" in values.dims else values
            if last.dtype.kind in "fiu" and set(last.dims) <= set(SAMPLE_DIMS):
                numbers = with_error(f"{prefix}{name}", last.reset_coords(drop=True).astype(np.float64))
                yield from numbers.items()
