"""Theory and experiment in one plot, and maps of two-time functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from quenched.numerics import checks
from quenched.observables.statistics import mean_error
from quenched.plot.curves import Data, datasets, draw_legend, draw_lines, draw_points, draw_published, over, slots
from quenched.plot.style import Axes, axis_label, new_axes, style


def compare(
    theory: Data,
    experiment: Data,
    variable: str,
    ax: Axes | None = None,
    *,
    dim: str = "t",
    published: Mapping[str, Any] | None = None,
) -> Axes:
    """A variable against time: theory as lines, simulation as points with standard errors over samples, published numbers as
    open markers.

    ``theory`` and ``experiment`` are each a Dataset, a mapping label -> Dataset, a Dataset with a dimension ``rule``, or None;
    equal labels share a colour. ``dim`` is the dimension along the axis (default ``t``). ``published``: label -> (x, y). At
    most 30 points of a simulated curve are shown. Returns the axes (``.figure`` is the figure). Raises ``ParameterError`` for a
    variable that is missing or has further dimensions: select along them first.
    """
    with style():
        lines, points = over(theory, variable, dim), over(experiment, variable, dim)
        if not lines and not points:
            raise checks.ParameterError("theory or experiment must be given, both are None")
        ax = new_axes(ax)
        slot = slots(lines, points)
        draw_lines(ax, lines, slot)
        draw_points(ax, points, slot, labelled={c.label for c in lines})
        draw_published(ax, published, slot)
        first = next(iter(datasets(theory if lines else experiment, variable).values()))
        ax.set_xlabel(axis_label(first[dim]))
        ax.set_ylabel(axis_label(first[variable]))
        draw_legend(ax, lines, points, published)
        return ax


def two_time_map(ds: xr.Dataset, variable: str = "correlation", ax: Axes | None = None) -> Axes:
    """A two-time function as a colour map, t' across and t upwards, averaged over samples, with a colour bar.

    A function of both signs has a diverging map, white at zero; the causal half of a response is drawn, the other half left
    white.
    """
    if variable not in ds or not {"t", "t_prime"} <= set(ds[variable].dims):
        raise checks.ParameterError(f"variable must have dimensions t and t_prime, {variable!r} has not")
    with style():
        ax = new_axes(ax, width=5.8, height=4.8)
        mean, _ = mean_error(ds[variable])
        values = mean.transpose("t", "t_prime").values
        if np.all(np.triu(values, 0) == 0):
            values = np.where(np.tri(values.shape[0], values.shape[1], -1) > 0, values, np.nan)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        kind: dict[str, Any] = {"cmap": "viridis"}
        if low < 0 < high and -low > 0.05 * high:
            kind = {"cmap": "RdBu_r", "vmin": -max(-low, high), "vmax": max(-low, high)}
        image = ax.pcolormesh(ds["t_prime"].values, ds["t"].values, values, shading="nearest", rasterized=True, **kind)
        ax.set_xlabel(axis_label(ds["t_prime"]))
        ax.set_ylabel(axis_label(ds["t"]))
        ax.set_aspect("equal")
        ax.figure.colorbar(image, ax=ax, label=axis_label(ds[variable]))
        return ax
