"""Curves with errors, as they come out of Datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics import checks
from quenched.observables.statistics import SAMPLE_DIMS, mean_error
from quenched.plot.style import Axes, colour, marker

Data = xr.Dataset | Mapping[str, xr.Dataset] | None
"""One Dataset, several by label, or nothing to draw."""

LENGTH = 30
"""A simulated curve shows at most this many points."""


class Curve(NamedTuple):
    """Points of one curve; NaN errors are not drawn."""

    label: str
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    y_error: Float[np.ndarray, " n"]
    x_error: Float[np.ndarray, " n"] | None = None


def datasets(data: Data, *variables: str) -> dict[str, xr.Dataset]:
    """Datasets by label, each with all ``variables``. A Dataset with a dimension ``rule`` is split along it."""
    if data is None:
        return {}
    if isinstance(data, Mapping) and not isinstance(data, xr.Dataset):
        found = {str(label): ds for label, ds in data.items()}
    elif "rule" in data.dims:
        labels = data["rule"].values if "rule" in data.coords else range(data.sizes["rule"])
        found = {str(label): data.isel(rule=i) for i, label in enumerate(labels)}
    else:
        found = {"": data}
    for label, ds in found.items():
        for name in variables:
            if name not in ds:
                where = f" of {label!r}" if label else ""
                raise checks.ParameterError(
                    f"variable {name!r} must be in the Dataset{where}, it has {sorted(map(str, ds.data_vars))}"
                )
    return found


def over(data: Data, variable: str, dim: str, coordinate: str | None = None) -> list[Curve]:
    """One curve per Dataset: mean and error of a variable over its sample dimensions, against a dimension (or a coordinate
    along it).

    Where the Dataset already holds ``<variable>_error``, that is the error.
    """
    curves = []
    for label, ds in datasets(data, variable).items():
        values = ds[variable]
        extra = [d for d in values.dims if d not in (*SAMPLE_DIMS, dim)]
        if dim not in values.dims or extra:
            raise checks.ParameterError(
                f"{variable!r} must have the dimension {dim!r} and no other than samples, got {values.dims}"
            )
        mean, error = mean_error(values)
        if f"{variable}_error" in ds:
            error = ds[f"{variable}_error"]
        x = ds[coordinate] if coordinate in ds.coords else ds[dim]
        curves.append(Curve(label, *(np.asarray(v.values, np.float64) for v in (x, mean, error))))
    return curves


def slots(*groups: list[Curve]) -> dict[str, int]:
    """Colour and marker number of every label: theory and simulation of one system share them."""
    labels = dict.fromkeys(curve.label for group in groups for curve in group)
    return {label: i for i, label in enumerate(labels)}


def draw_lines(ax: Axes, curves: list[Curve], slot: Mapping[str, int], legend: str = "theory") -> None:
    """Theory: lines, with a band of one standard error where it is known."""
    for curve in curves:
        shade = colour(slot[curve.label])
        ax.plot(curve.x, curve.y, color=shade, label=curve.label or legend, zorder=2)
        if np.any(np.isfinite(curve.y_error)):
            low, high = curve.y - curve.y_error, curve.y + curve.y_error
            ax.fill_between(curve.x, low, high, color=shade, alpha=0.25, linewidth=0, zorder=1)


def draw_points(ax: Axes, curves: list[Curve], slot: Mapping[str, int], labelled: Any = (), legend: str = "simulation") -> None:
    """Simulation: points with error bars. Labels in ``labelled`` have an entry in the legend already (their line)."""
    for curve in curves:
        shown = spread_out(curve.x, LENGTH, ax.get_xscale() == "log")
        i = slot[curve.label]
        label = "_nolegend_" if curve.label and curve.label in labelled else curve.label or legend
        x_error = None if curve.x_error is None else _bars(curve.x_error[shown])
        ax.errorbar(
            curve.x[shown],
            curve.y[shown],
            yerr=_bars(curve.y_error[shown]),
            xerr=x_error,
            fmt=marker(i),
            color=colour(i),
            markeredgecolor="white",
            markeredgewidth=0.6,
            elinewidth=1.4,
            label=label,
            zorder=3,
        )


def draw_published(ax: Axes, published: Mapping[str, Any] | None, slot: Mapping[str, int]) -> None:
    """Published numbers: label -> (x, y), open markers; the colour of the system with that label, black otherwise."""
    for k, (label, (x, y)) in enumerate((published or {}).items()):
        shade = colour(slot[label]) if label in slot else "black"
        name = f"{label} (published)" if label else "published"
        ax.plot(
            x, y, linestyle="none", marker=marker(slot.get(label, k)), mfc="none", mec=shade, mew=1.6, ms=9, label=name, zorder=4
        )


def draw_legend(ax: Axes, theory: list[Curve], experiment: list[Curve], published: Any = None) -> None:
    """A legend where there is more than one thing; with several systems two grey entries say what lines and points are."""
    several = any(curve.label for curve in [*theory, *experiment])
    if several and theory and experiment:
        ax.plot([], [], color="0.4", label="theory")
        ax.errorbar([], [], yerr=[], fmt="o", color="0.4", markeredgecolor="white", label="simulation")
    if several or published or (theory and experiment):
        ax.legend()


def spread_out(x: Float[np.ndarray, " n"], length: int, logarithmic: bool = False) -> np.ndarray:
    """Indices of at most ``length`` points, evenly spread along the axis of x."""
    if len(x) <= length:
        return np.arange(len(x))
    x = np.log(x) if logarithmic and x.min() > 0 else x
    targets = np.linspace(x[0], x[-1], length)
    return np.unique(np.abs(x[:, None] - targets).argmin(0))


def _bars(error: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
    return np.nan_to_num(error) if np.any(np.isfinite(error)) else None
