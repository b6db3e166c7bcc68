"""Phase diagrams: a number as a map over two swept parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics import checks
from quenched.observables.statistics import SAMPLE_DIMS, mean_error
from quenched.plot.curves import draw_published
from quenched.plot.style import Axes, axis_label, new_axes, style
from quenched.plot.transitions import Transition, by_label, draw_lines

_ABOVE: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "borderaxespad": 0.2,
    "handlelength": 1.4,
    "handletextpad": 0.5,
    "columnspacing": 1.2,
    "ncols": 3,
}
# labels of several lines are sentences, and a line is told by its dashes
_SEVERAL: dict[str, Any] = {"ncols": 1, "handlelength": 2.8}
_ABSENT: dict[str, Any] = {"facecolor": "#e6e6e6", "edgecolor": "#b0b0b0", "hatch": "///", "linewidth": 0.0}
_LINE_POINTS = 400
_FEW = 8
_ROUNDING = 1e-14
_TILTED: dict[str, Any] = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"}
_LONGEST_NAME = 24
_LONGEST_LINE = 32


def phase_diagram(
    ds: xr.Dataset,
    variable: str,
    x: str,
    y: str,
    ax: Axes | None = None,
    *,
    engine: str | None = None,
    contours: int | Sequence[float] | None = None,
    transition: Transition = None,
    published: Mapping[str, Any] | None = None,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """A variable as a colour map over the parameters ``x`` (across) and ``y`` (upwards), with a colour bar.

    ``ds`` is what a sweep gives: a Dataset over swept parameters, averaged here over its seeds (``over_seeds``). Of a dimension
    ``engine`` one entry is shown; None takes the first that has values, theory before experiment. Points without a value
    (failed or missing) are hatched grey. A parameter whose values are numbers has an axis that is logarithmic if its grid is
    (``is_logarithmic``); names and booleans stand beside each other.

    ``contours``: a number of levels, or the levels, drawn with their values. ``transition``: a line as arrays (x, y), a function
    y(x) of an array, or a Dataset that has both; several as label -> line. ``published``: label -> (x, y), open markers.
    ``limits``: ends of the colour scale, for maps that are to be compared (None: those of the values).

    Returns the axes (``.figure`` is the figure). Raises ``ParameterError`` for a variable that is missing, has no values, or has
    further dimensions: select along them first.
    """
    mean = _chosen(ds, variable, engine, (x, y)).transpose(y, x)
    values = np.asarray(mean.values, np.float64)
    if not np.isfinite(values).any():
        raise checks.ParameterError(f"variable {variable!r} has no value at any point")
    across, upwards = Grid(ds[x]), Grid(ds[y])
    with style():
        ax = new_axes(ax, width=6.2)
        image = ax.pcolormesh(
            across.edges,
            upwards.edges,
            np.ma.masked_invalid(across.sorted(upwards.sorted(values, 0), 1)),
            rasterized=True,
            zorder=1,
            **_colours(values, limits),
        )
        across.dress(ax, "x")
        upwards.dress(ax, "y")
        ax.set_xlabel(axis_label(ds[x]))
        ax.set_ylabel(axis_label(ds[y]))
        bar = ax.figure.colorbar(image, ax=ax, label=_in_lines(axis_label(ds[variable], variable)))
        bar.outline.set_linewidth(0.6)
        incomplete = not np.isfinite(values).all()
        if incomplete:
            _hatch(ax)
        if contours is not None:
            _contours(ax, across, upwards, values, contours)
        lines = by_label(transition)
        draw_lines(ax, lines, x, y, across.finely(_LINE_POINTS))
        _draw_published(ax, published)
        if published or incomplete or lines:
            ax.legend(**_ABOVE | (_SEVERAL if len(lines) > 1 else {}))
        return ax


def _in_lines(label: str) -> str:
    """A long label in several lines, its formula whole."""
    symbol, colon, words = label.rpartition("$: ")
    return symbol + colon + textwrap.fill(words, _LONGEST_LINE) if len(words) > _LONGEST_LINE else label


def over_seeds(ds: xr.Dataset, variable: str) -> xr.Dataset:
    """The mean of a variable over ``seed`` (and over samples, where it still has them) and its standard error.

    The two are called ``<variable>`` and ``<variable>_error``. With at least two seeds at a point the error is over seeds; with
    one it is the point's own ``<variable>_error``, where there is one, else NaN. Seeds without a value (failed or missing) are
    left out of the mean.
    """
    if variable not in ds:
        raise checks.ParameterError(f"variable {variable!r} must be in the Dataset, it has {sorted(map(str, ds.data_vars))}")
    values, own = ds[variable].astype(np.float64), ds.get(f"{variable}_error")
    if any(dim in values.dims for dim in SAMPLE_DIMS):
        values, own = mean_error(values)
    if own is None:
        own = xr.full_like(values, np.nan)
    own = own.astype(np.float64)
    if "seed" in values.dims:
        count = values.notnull().sum("seed")
        mean = values.sum("seed") / count.where(count > 0)
        spread = ((values - mean) ** 2).sum("seed")
        between = (spread / (count * (count - 1)).where(count > 1)) ** 0.5
        # equal values, of a deterministic theory, differ from their mean by rounding
        between = xr.where(between > _ROUNDING * abs(mean), between, 0.0)
        if "seed" in own.dims:
            # the one seed that has a value
            own = own.where(values.notnull()).sum("seed", min_count=1)
        values, own = mean, xr.where(count > 1, between, own)
    attrs = ds[variable].attrs
    return xr.Dataset({variable: values.assign_attrs(attrs), f"{variable}_error": own.where(values.notnull())})


def is_logarithmic(values: Any) -> bool:
    """Whether a grid of numbers is more evenly spaced on a logarithmic axis: positive, at least three values."""
    grid = np.unique(np.asarray(values, np.float64))
    if len(grid) < 3 or grid[0] <= 0:
        return False
    linear, logarithmic = np.diff(grid), np.diff(np.log(grid))
    return bool(np.std(logarithmic) / np.mean(logarithmic) < 0.5 * np.std(linear) / np.mean(linear))


def is_numeric(coordinate: xr.DataArray) -> bool:
    """Whether the values of a parameter are places on an axis: numbers, all of them finite."""
    return coordinate.dtype.kind in "iuf" and bool(np.isfinite(coordinate.values).all())


class Grid:
    """The values of one parameter as positions along an axis: ascending numbers, or places 0, 1, ... for names."""

    def __init__(self, coordinate: xr.DataArray) -> None:
        values = np.asarray(coordinate.values)
        self.numeric = is_numeric(coordinate)
        self.names = [str(value) for value in values]
        numbers = values.astype(np.float64) if self.numeric else np.arange(len(values), dtype=np.float64)
        self.order = np.argsort(numbers, kind="stable")
        self.positions: Float[np.ndarray, " n"] = numbers[self.order]
        self.logarithmic = self.numeric and is_logarithmic(numbers)
        scaled = np.log(self.positions) if self.logarithmic else self.positions
        edges = _edges(scaled)
        self.edges: Float[np.ndarray, " m"] = np.exp(edges) if self.logarithmic else edges

    def sorted(self, values: np.ndarray, axis: int) -> np.ndarray:
        """An array in ascending order of this grid along one of its axes."""
        return np.take(values, self.order, axis)

    def finely(self, count: int) -> Float[np.ndarray, " n"]:
        """Positions from edge to edge, evenly along the axis."""
        return (np.geomspace if self.logarithmic else np.linspace)(self.edges[0], self.edges[-1], count)

    def dress(self, ax: Axes, which: str) -> None:
        """Scale, limits and ticks of an axis ("x" or "y"): names at their places, numbers at round values."""
        from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

        axis = ax.xaxis if which == "x" else ax.yaxis
        limits = ax.set_xlim if which == "x" else ax.set_ylim
        if self.logarithmic:
            (ax.set_xscale if which == "x" else ax.set_yscale)("log")
            if len(self.positions) <= _FEW or self.positions[-1] < 30 * self.positions[0]:
                # within a decade or two logarithmic ticks would be one or two: the grid's own values say more
                step = -(-len(self.positions) // _FEW)
                axis.set_major_locator(FixedLocator(self.positions[::step].tolist()))
                axis.set_minor_locator(NullLocator())
                axis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        elif not self.numeric:
            long = which == "x" and sum(map(len, self.names)) > 40
            axis.set_ticks(self.positions, [_short(name) for name in self.names], minor=False, **_TILTED if long else {})
        limits(self.edges[0], self.edges[-1])


def _short(name: str) -> str:
    # a dollar sign would start a formula, and an odd one is an error
    text = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return text.replace("$", r"\$")


def _edges(centres: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    if len(centres) == 1:
        half = 0.5 * abs(centres[0]) or 0.5
        return np.array([centres[0] - half, centres[0] + half])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def _chosen(ds: xr.Dataset, variable: str, engine: str | None, dims: tuple[str, str]) -> xr.DataArray:
    mean = over_seeds(ds, variable)[variable]
    if "engine" in mean.dims:
        names = [str(name) for name in mean["engine"].values]
        if engine is None:
            known = sorted(names, key=lambda name: name != "theory")
            engine = next((name for name in known if mean.sel(engine=name).notnull().any()), known[0])
        checks.one_of("engine", engine, tuple(names))
        mean = mean.sel(engine=engine)
    further = sorted(str(dim) for dim in mean.dims if dim not in dims)
    absent = [dim for dim in dims if dim not in mean.dims]
    if absent or dims[0] == dims[1]:
        raise checks.ParameterError(f"{variable!r} must have the two dimensions x and y, {dims} given, it has {mean.dims}")
    if further:
        raise checks.ParameterError(f"{variable!r} must have no dimension but {dims}, it has {further}: select along them first")
    return mean


def _colours(values: Float[np.ndarray, "y x"], limits: tuple[float, float] | None) -> dict[str, Any]:
    """Viridis; diverging and white at zero where both signs matter."""
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
    if low < 0 < high and min(-low, high) > 0.05 * max(-low, high):
        widest = max(-low, high)
        return {"cmap": "RdBu_r", "vmin": -widest, "vmax": widest}
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        # a constant map would have a colour bar of rounding errors
        pad = 0.05 * abs(high) or 0.5
        low, high = low - pad, high + pad
    return {"cmap": "viridis", "vmin": low, "vmax": high}


def _hatch(ax: Axes) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, zorder=0, label="no value", **_ABSENT))


def _contours(ax: Axes, x: Grid, y: Grid, values: Float[np.ndarray, "y x"], levels: int | Sequence[float]) -> None:
    from matplotlib.patheffects import withStroke

    if not (x.numeric and y.numeric) or min(values.shape) < 2:
        raise checks.ParameterError("contours need two parameters with at least two numbers each")
    shown = np.ma.masked_invalid(x.sorted(y.sorted(values, 0), 1))
    chosen = levels if isinstance(levels, int) else np.unique(np.asarray(levels, np.float64))
    diverging = ax.collections[0].get_cmap().name.startswith("RdBu")
    ink = "black" if diverging else "white"
    lines = ax.contour(x.positions, y.positions, shown, levels=chosen, colors=ink, linewidths=1.1, zorder=2)
    for text in ax.clabel(lines, fontsize=10, fmt="%.3g"):
        # a rim, for the bright end of the colour scale
        text.set_path_effects([withStroke(linewidth=1.2, foreground="white" if diverging else "#333333")])


def _draw_published(ax: Axes, published: Mapping[str, Any] | None) -> None:
    from matplotlib.patheffects import withStroke

    before = len(ax.lines)
    view = ax.get_xlim(), ax.get_ylim()
    draw_published(ax, published, {})
    for markers in ax.lines[before:]:
        # black on dark colours needs a rim
        markers.set_path_effects([withStroke(linewidth=4, foreground="white")])
    ax.set_xlim(*view[0])
    ax.set_ylim(*view[1])
