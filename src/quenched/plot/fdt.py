"""Plots of fluctuation and response. They take what ``observables.effective_temperature`` returns."""

from __future__ import annotations

import numpy as np
import xarray as xr

from quenched.numerics import checks
from quenched.plot.curves import Curve, Data, datasets, draw_legend, draw_lines, draw_points, over, slots
from quenched.plot.style import Axes, axis_label, new_axes, style


def parametric_fdt(theory: Data, experiment: Data, ax: Axes | None = None, *, temperature: float | None = None) -> Axes:
    """chi against B, one point per lag: the slope is 1/T_eff, a straight line through the origin an equilibrium.

    ``theory`` (lines) and ``experiment`` (points with errors both ways) are results of ``effective_temperature``: a Dataset, a
    mapping label -> Dataset, or None. ``temperature`` > 0 adds the dotted line chi = B/T.
    """
    if temperature is not None:
        checks.positive("temperature", temperature)
    with style():
        lines, points = _parametric(theory), _parametric(experiment)
        ax = new_axes(ax)
        slot = slots(lines, points)
        with_origin = [c._replace(x=np.append(0, c.x), y=np.append(0, c.y), y_error=np.append(0, c.y_error)) for c in lines]
        draw_lines(ax, with_origin, slot)
        draw_points(ax, points, slot, labelled={c.label for c in lines})
        if temperature is not None:
            curves = [*lines, *points]
            widest = max(min(c.x.max(), temperature * c.y.max()) for c in curves)
            ax.plot([0, widest], [0, widest / temperature], ":", color="0.35", label=f"$T={temperature:.3g}$", zorder=1)
        first = _first(theory, experiment)
        ax.set_xlabel(axis_label(first["half_displacement"]))
        ax.set_ylabel(axis_label(first["integrated_response"]))
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        ax.locator_params(axis="x", nbins=5)
        draw_legend(ax, lines, points, temperature)
        return ax


def temperature_against_lag(theory: Data, experiment: Data, ax: Axes | None = None, *, variable: str = "temperature") -> Axes:
    """T_eff against the lag in physical time, on a logarithmic axis.

    ``variable`` may be another one along the lag, such as ``local_temperature``. Arguments as for ``parametric_fdt``.
    """
    with style():
        lines, points = (over(data, variable, "lag", "lag_time") for data in (theory, experiment))
        ax = new_axes(ax)
        ax.set_xscale("log")
        slot = slots(lines, points)
        draw_lines(ax, lines, slot)
        draw_points(ax, points, slot, labelled={c.label for c in lines})
        first = _first(theory, experiment)
        ax.set_xlabel(axis_label(first["lag_time"] if "lag_time" in first.coords else first["lag"]))
        ax.set_ylabel(axis_label(first[variable]))
        ax.set_ylim(bottom=0)
        draw_legend(ax, lines, points)
        return ax


def _parametric(data: Data) -> list[Curve]:
    b = over(data, "half_displacement", "lag")
    chi = over(data, "integrated_response", "lag")
    return [Curve(x.label, x.y, y.y, y.y_error, x.y_error) for x, y in zip(b, chi, strict=True)]


def _first(theory: Data, experiment: Data) -> xr.Dataset:
    found = {**datasets(experiment), **datasets(theory)}
    if not found:
        raise checks.ParameterError("theory or experiment must be given, both are None")
    return next(iter(found.values()))
