"""The figures of a sweep: a curve for one swept parameter, maps for two, and a chosen section through more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from quenched.lab.report.content import Picture
from quenched.lab.report.pictures import Album
from quenched.lab.report.slices import axes, numbers
from quenched.plot import compare, panels, phase_diagram
from quenched.plot.phase import is_logarithmic, is_numeric, over_seeds
from quenched.plot.style import Axes, axis_label, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = {"theory": "theory", "experiment": "simulation"}
_CURVES = 7
_TICKS = 12
_ROW = 0.25

Lines = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Lines in the plane of two swept parameters, at chosen values of the others: label -> (x, y)."""


def no_lines(x: str, y: str, at: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known where there is no study."""
    return {}


def pictures(ds: xr.Dataset, album: Album, lines: Lines = no_lines) -> list[Picture]:
    """One figure per variable that depends on a swept parameter; maps with the study's ``lines``."""
    ds = with_safe_labels(ds)
    found = []
    for name in numbers(ds):
        dims = axes(ds[name])
        if dims:
            section, words, at = _section(over_seeds(ds, name), dims)
            seeds = ds[name].sizes.get("seed", 1)
            caption = [words] * bool(words) + [f"mean over {seeds} seeds"] * (seeds > 1)
            plane = [dim for dim in dims[:2] if is_numeric(ds[dim])]
            between = lines(plane[0], plane[1], at) if len(plane) == 2 else {}
            found.append(album.picture(name, draw(section, name, between), "; ".join(caption)))
    return [picture for picture in found if picture is not None]


def with_safe_labels(ds: xr.Dataset) -> xr.Dataset:
    """The same with labels that can be drawn: matplotlib raises for what it cannot read as a formula."""
    safe = ds.copy()
    for name in safe.variables:
        attrs = {key: str(text) for key, text in ds[name].attrs.items() if key in ("long_name", "units", "symbol")}
        for key in attrs.keys() - {"symbol"}:
            attrs[key] = plain(attrs[key])
        if not _is_formula(attrs.get("symbol", "")):
            attrs.pop("symbol", None)
        safe[name].attrs = attrs
    return safe


def plain(text: object, longest: int = 60) -> str:
    """A name on one short line that starts no formula."""
    words = "".join(character if character.isprintable() else " " for character in str(text))
    return (words if len(words) <= longest else words[: longest - 1] + "…").replace("$", r"\$")


def line(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """A line that can be drawn: two arrays of numbers of one length. Raises ``ValueError`` otherwise."""
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"a line must be two arrays of one length, got shapes {first.shape} and {second.shape}")
    return first, second


def _is_formula(latex: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${latex}$")
    except ValueError:
        return False
    return "$" not in latex and latex.isprintable()


def draw(ds: xr.Dataset, name: str, lines: Mapping[str, Any] | None = None) -> Figure:
    """A variable (with its error) over at most two parameters, theory and simulation in one plot or in two maps with lines."""
    first, *rest = axes(ds[name])
    if not rest:
        return _curves(ds, name, first, None)
    second = rest[0]
    few_names = not is_numeric(ds[second]) and ds.sizes[second] <= _CURVES
    if few_names and is_numeric(ds[first]):
        return _curves(ds, name, first, second)
    return _maps(ds, name, first, second, lines or None)


def _section(ds: xr.Dataset, dims: list[str]) -> tuple[xr.Dataset, str, dict[str, Any]]:
    """All but the first two dimensions at their middle value, in words and by name too."""
    middle = {dim: (ds.sizes[dim] - 1) // 2 for dim in dims[2:]}
    words = ", ".join(f"{dim} = {_value(ds[dim].values[i])}" for dim, i in middle.items())
    single = [dim for dim, size in ds.sizes.items() if size == 1 and dim != "engine"]
    at = {dim: ds[dim].values[i] for dim, i in middle.items()}
    return ds.isel(middle | dict.fromkeys(single, 0), drop=True), f"at {words}" if words else "", at


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def _engines(ds: xr.Dataset, name: str) -> dict[str, xr.Dataset]:
    """The engines that have a value of the variable."""
    if "engine" not in ds[name].dims:
        return {"experiment": ds}
    found = {str(engine): ds.sel(engine=engine, drop=True) for engine in ds["engine"].values}
    return {engine: one for engine, one in found.items() if bool(one[name].notnull().any())}


def _curves(ds: xr.Dataset, name: str, along: str, labelled: str | None) -> Figure:
    figure, (ax,) = panels(1, 1, width=6.4, height=4.4)
    found = _engines(ds, name)
    places = {along: np.arange(ds.sizes[along])}
    named = not is_numeric(ds[along])
    if not named and is_logarithmic(ds[along].values):
        ax.set_xscale("log")

    def curves(engine: str) -> xr.Dataset | dict[str, xr.Dataset] | None:
        if engine not in found:
            return None
        one = found[engine].assign_coords(places) if named else found[engine]
        if labelled is None:
            return one
        return {
            f"{labelled} = {value}".replace("$", r"\$"): one.sel({labelled: value}, drop=True) for value in one[labelled].values
        }

    compare(curves("theory"), curves("experiment"), name, ax, dim=along)
    if named:
        # names have no between: theory is a dash at each
        for line in ax.lines:
            if line.get_linestyle() == "-":
                line.set(linestyle="none", marker="_", markersize=18, markeredgewidth=2.2)
        step = -(-ds.sizes[along] // _TICKS)
        names = [plain(value, 24) for value in ds[along].values[::step]]
        tilted: dict[str, Any] = {"rotation": 20, "ha": "right"} if sum(map(len, names)) > 40 else {}
        ax.set_xticks(places[along][::step], names, **tilted)
        ax.set_xlabel(axis_label(ds[along]))
    return figure


def _maps(ds: xr.Dataset, name: str, x: str, y: str, lines: Mapping[str, Any] | None) -> Figure:
    found = _engines(ds, name)
    figure, drawn = panels(1, len(found), width=5.4 if len(found) > 1 else 6.2, height=4.2)
    values = np.concatenate([one[name].values.ravel() for one in found.values()])
    limits = (float(np.nanmin(values)), float(np.nanmax(values)))
    for ax, (engine, one) in zip(drawn, found.items(), strict=True):
        phase_diagram(one, name, x, y, ax, limits=limits, transition=lines)
        if len(found) > 1:
            ax.set_title(_SHOWN.get(engine, engine), loc="right", fontsize=12)
    _say_once(figure, drawn)
    return figure


def _say_once(figure: Figure, drawn: list[Axes]) -> None:
    """One legend above all panels, with room of its own: beside each other it would cover titles, and say everything twice."""
    shown: dict[str, Any] = {}
    for ax in drawn:
        handles, labels = ax.get_legend_handles_labels()
        shown |= {str(text): handle for text, handle in zip(labels, handles, strict=True)}
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    if shown:
        columns = len(drawn)
        figure.set_figheight(figure.get_figheight() + _ROW * -(-len(shown) // columns))
        with style():
            figure.legend(list(shown.values()), list(shown), loc="outside upper left", ncols=columns, handlelength=2.8)
