"""One look for every figure: theory lines, simulation points with error bars, published numbers as open markers.

Figures are ``matplotlib`` Figure objects; the global state of pyplot is never touched, and importing this module does not
import matplotlib.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from quenched.numerics import checks
from quenched.records.labels import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    # type checks of arrays at run time resolve annotations, and importing this module must not import matplotlib
    Axes = Figure = Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, distinguishable with every common colour vision deficiency; markers differ as well."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

RC: Any = {
    "font.size": 13,
    "axes.labelsize": 14,
    "axes.titlesize": 14,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "lines.linewidth": 2.2,
    "lines.markersize": 6.5,
    "errorbar.capsize": 2.5,
    "mathtext.fontset": "cm",
    "svg.fonttype": "path",
    "svg.hashsalt": "quenched",
    "savefig.dpi": 160,
    "figure.dpi": 100,
}


METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
"""By format, for ``savefig``: no date and no version, so that equal figures give equal bytes."""


@contextmanager
def style() -> Iterator[None]:
    """The look of the library inside a ``with`` block; the caller's settings come back afterwards."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def new_axes(ax: Axes | None = None, width: float = 6.4, height: float = 4.4) -> Axes:
    """The given axes, or the axes of a new figure (``ax.figure``), sizes in inches. Call it inside ``style()``."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def panels(rows: int = 1, columns: int = 1, width: float = 5.4, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """A figure with rows x columns axes in reading order, each ``width`` x ``height`` inches, for other functions' ``ax``."""
    checks.integer_at_least("rows", rows, 1)
    checks.integer_at_least("columns", columns, 1)
    with style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def colour(i: int) -> str:
    """Colour of curve i."""
    return COLOURS[i % len(COLOURS)]


def marker(i: int) -> str:
    """Marker of curve i."""
    return MARKERS[i % len(MARKERS)]


def axis_label(values: xr.DataArray, name: str | None = None) -> str:
    """The text "symbol: long name (units)", from the attributes, else the table of labels, else the bare name.

    Pure numbers (units "1") show no units.
    """
    name = str(values.name) if name is None else name
    known = LABELS[name]._asdict() if name in LABELS else {}
    symbol, long_name, units = (values.attrs.get(key, known.get(key, "")) for key in ("symbol", "long_name", "units"))
    text = f"${symbol}$: {long_name}" if symbol and long_name else long_name or (f"${symbol}$" if symbol else name)
    return text if units in ("", "1") else f"{text} ({units})"


def panel_title(ax: Axes, letter: str, text: str) -> None:
    """The letter of a panel, where it has one, and words, above its left end."""
    with style():
        ax.set_title(f"({letter}) {text}" if letter else text, loc="left", fontsize=12)


def log_ticks(ax: Axes, values: Any) -> None:
    """A logarithmic x axis with the values themselves as ticks: within two decades powers of ten say little."""
    ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:g}" for value in values], minor=False)
    ax.minorticks_off()


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path``.svg and ``path``.png (an ending of the path is kept as part of the name) and return the two paths.

    Both files are functions of the figure alone: no date, no version, no random identifiers. Equal figures give equal bytes.
    """
    base = os.fspath(path)
    svg, png = Path(f"{base}.svg"), Path(f"{base}.png")
    svg.parent.mkdir(parents=True, exist_ok=True)
    with style():
        for file in (svg, png):
            figure.savefig(file, metadata=METADATA[file.suffix[1:]])
    return svg, png
