"""The numbers of the interactive slices, as JSON inside a page."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from quenched.lab.report.content import Viewer
from quenched.lab.report.equations import label, plain_label
from quenched.lab.report.spelling import clipped
from quenched.observables.statistics import SAMPLE_DIMS
from quenched.plot.phase import is_logarithmic, is_numeric, over_seeds
from quenched.studies.summary import quantities

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_LONGEST_NAME = 200
_SHADES = 48


def embedded(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in, nor be read as anything but text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return Markup(text)


def numbers(ds: xr.Dataset) -> list[str]:
    """The variables of a sweep that are numbers and have a value somewhere; standard errors belong to their variables."""
    return [name for name in quantities(ds) if ds[name].dtype.kind in "fiu" and bool(ds[name].notnull().any())]


def axes(values: xr.DataArray | xr.Dataset) -> list[str]:
    """The dimensions with a choice, swept or the variable's own: numbers before names, long ones first."""
    dims = [str(dim) for dim, size in values.sizes.items() if size > 1 and dim not in ("engine", "seed", *SAMPLE_DIMS)]
    return sorted(dims, key=lambda dim: (not is_numeric(values[dim]), -values.sizes[dim]))


def viewer(ds: xr.Dataset, room: int) -> tuple[Viewer | None, list[str]]:
    """The viewer of a sweep, and the names of variables for which its JSON has no room (in characters).

    None where nothing was swept. Means and errors are over seeds, with five significant digits.
    """
    dims = axes(ds)
    labels: dict[str, Markup] = {}
    variables: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name in numbers(ds):
        series = _series(ds, name)
        size = len(json.dumps(series))
        if not series or not axes(ds[name]):
            continue
        if size > room:
            left_out.append(name)
            continue
        room -= size
        labels[f"variable-{len(variables)}"] = label(name, ds[name].attrs)
        own = [dims.index(dim) for dim in axes(ds[name])]
        variables.append({"text": clipped(plain_label(name, ds[name].attrs), _LONGEST_NAME), "axes": own, "series": series})
    if not variables:
        return None, left_out
    labels |= {f"axis-{i}": label(dim, ds[dim].attrs) for i, dim in enumerate(dims)}
    seeds = ds.sizes.get("seed", 1)
    content = {"axes": [_axis(ds[dim]) for dim in dims], "variables": variables, "seeds": seeds, "colours": _colours()}
    return Viewer(embedded(content), labels), left_out


def _axis(coordinate: xr.DataArray) -> dict[str, Any]:
    values = coordinate.values
    numeric = is_numeric(coordinate)
    return {
        "text": clipped(plain_label(str(coordinate.name), coordinate.attrs), _LONGEST_NAME),
        "values": [_short(value, 9) for value in values.astype(np.float64).tolist()] if numeric else list(range(len(values))),
        "shown": short_numbers(values) if numeric else [clipped(str(value), _LONGEST_NAME) for value in values],
        "numeric": numeric,
        "logarithmic": numeric and is_logarithmic(values),
    }


def short_numbers(values: np.ndarray) -> list[str]:
    """Distinct numbers in as few digits as tell them apart, without powers of ten where they can be avoided."""
    for digits in (4, 6, 9):
        shown = [f"{value:.{digits}g}" for value in values]
        if len(set(shown)) == len(shown) and not any("e+" in text for text in shown):
            return shown
    return [f"{value:.9g}" for value in values]


def _series(ds: xr.Dataset, name: str) -> list[dict[str, Any]]:
    both = over_seeds(ds, name)
    both = both.isel({dim: 0 for dim, size in both.sizes.items() if size == 1 and dim != "engine"})
    if "engine" not in both.dims:
        both = both.expand_dims(engine=["value"])
    both = both.transpose("engine", *axes(ds[name]))
    found = []
    for i, engine in enumerate(both["engine"].values):
        mean, error = (both[key].values[i].ravel() for key in (name, f"{name}_error"))
        if np.isfinite(mean).any():
            errors = [_short(value) for value in error.tolist()] if np.nan_to_num(error).any() else None
            found.append({"engine": str(engine), "mean": [_short(value) for value in mean.tolist()], "error": errors})
    return found


def _short(value: float, digits: int = 5) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


@functools.cache
def _colours() -> dict[str, list[str]]:
    """The colour maps of the figures."""
    import matplotlib
    from matplotlib.colors import to_hex

    maps = {"sequential": "viridis", "diverging": "RdBu_r"}
    shades = (np.arange(_SHADES) + 0.5) / _SHADES
    return {key: [to_hex(colour) for colour in matplotlib.colormaps[name](shades)] for key, name in maps.items()}
