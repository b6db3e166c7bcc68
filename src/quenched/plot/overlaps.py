"""Images that a network stores: overlaps in the order of a dendrogram, and prototypes as a grid of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.plot.style import COLOURS, Axes, Figure, axis_label, colour, style

STRIP, TREE, BAR = 0.035, 0.2, 0.035
"""Parts of the height or width of an overlap map that its neighbours take."""

CELL, ROW = 0.62, 5
"""Inches of a small image; images in a row where every class has only one."""


def overlap_map(ds: xr.Dataset, limits: tuple[float, float] | None = None) -> Figure:
    """Overlaps of images in the order of the leaves, the dendrogram above them, and the classes as a strip of colours.

    ``ds`` is what ``observables.ordered_overlaps`` returns; without the coordinate ``label`` there is no strip. The heights of
    the tree are distances d = (1 - q)/2. ``limits`` of the colours; default: the range of the overlaps of different images, on a
    scale symmetric about 0 where both signs occur.

    Raises ``ParameterError`` for a Dataset without ``sample_overlap``, ``link``, ``link_height``, and for more than 20 classes.
    """
    for name in ("sample_overlap", "link", "link_height"):
        if name not in ds:
            raise ParameterError(f"{name!r} must be in the Dataset, which has {sorted(map(str, ds.data_vars))}")
    classes = list(dict.fromkeys(np.sort(ds["label"].values).tolist())) if "label" in ds.coords else []
    if len(classes) > 20:
        raise ParameterError(f"label must have at most 20 classes to tell their colours apart, got {len(classes)}")
    with style():
        figure = _figure(7.4 if classes else 6.8, 7.2 if classes else 6.9)
        columns = [STRIP, 1, BAR] if classes else [1, BAR]
        grid = figure.add_gridspec(2, len(columns), width_ratios=columns, height_ratios=[TREE, 1])
        place = len(columns) - 2
        tree, ax = figure.add_subplot(grid[0, place]), figure.add_subplot(grid[1, place])
        overlap = ds["sample_overlap"]
        low, high = limits if limits is not None else _range(overlap.values)
        image = ax.imshow(
            overlap.values, cmap="RdBu_r" if low < 0 else "viridis", vmin=low, vmax=high, interpolation="none", aspect="auto"
        )
        ax.set_xlabel("image, in the order of the leaves")
        ax.spines[["top", "right"]].set_visible(True)
        ax.tick_params(labelleft=not classes, left=not classes)
        bar = figure.colorbar(image, cax=figure.add_subplot(grid[1, -1]))
        bar.set_label(axis_label(overlap))
        _draw_tree(tree, ds)
        if classes:
            _draw_strip(figure, figure.add_subplot(grid[1, 0]), ds["label"], classes)
        else:
            ax.set_ylabel("image, in the order of the leaves")
        return figure


def prototypes(ds: xr.Dataset, shape: tuple[int, int] | None = None, *, columns: int | None = None, order: Any = None) -> Figure:
    """Weights of hidden units as images, one row of the grid per class, white (+1) on black (-1).

    ``ds`` holds ``prototype`` (unit, pixel) with the coordinate ``label`` (``to_dataset`` of a classifier). ``shape`` is that of
    an image (None: square); ``columns`` how many units of each class are shown (None: at most 12); ``order`` the units in the
    order in which they are drawn (None: as they are). Where every class has one unit, five stand in a row.

    Raises ``ParameterError`` for a Dataset without them, and for pixels that do not fill the shape.
    """
    if "prototype" not in ds or "label" not in ds.coords:
        raise ParameterError(f"'prototype' and 'label' must be in the Dataset, which has {sorted(map(str, ds.variables))}")
    weights = ds["prototype"] if order is None else ds["prototype"].isel(unit=order)
    pixels = weights.sizes["pixel"]
    side = round(np.sqrt(pixels))
    shape = (side, side) if shape is None else shape
    if shape[0] * shape[1] != pixels:
        raise ParameterError(f"shape must hold {pixels} pixels, got {shape}")
    images, names = weights.values.reshape(-1, *shape), weights["label"].values
    rows = [images[names == c] for c in np.unique(names)]
    most = max(len(row) for row in rows)
    with style():
        if most == 1:
            # one image of each class: a table of images, the class at the side of each
            return _grid(weights, rows, [str(c) for c in np.unique(names)], (-(-len(rows) // ROW), min(ROW, len(rows))))
        width = min(columns or 12, most)
        blank = np.full(shape, np.nan)
        cells = [row[k : k + 1] if k < len(row) else blank[None] for row in rows for k in range(width)]
        titles = [str(c) if k == 0 else "" for c in np.unique(names) for k in range(width)]
        return _grid(weights, cells, titles, (len(rows), width))


def _grid(weights: xr.DataArray, cells: list[np.ndarray], titles: list[str], size: tuple[int, int]) -> Figure:
    """Images (1, height, width), one per cell, NaN for an empty one, with a title at the left of each."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    rows, columns = size
    cell = CELL if max(columns, rows) > ROW else 2 * CELL
    figure = _figure(cell * columns * (1.25 if all(titles) else 1) + 1.9, max(cell * rows + 0.5, 3.2))
    axes = figure.subplots(rows, columns, squeeze=False)
    scale = Normalize(-1, 1)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, title in zip(axes.flat, cells, titles, strict=False):
        if not np.isnan(image).any():
            ax.imshow(image[0], cmap="gray", norm=scale, interpolation="none")
        ax.text(-0.08, 0.5, title, transform=ax.transAxes, ha="right", va="center")
    bar = figure.colorbar(ScalarMappable(scale, "gray"), ax=axes, shrink=0.9, aspect=25, ticks=[-1, 0, 1])
    bar.set_label(axis_label(weights))
    figure.supylabel(axis_label(weights["label"]), fontsize=14)
    return figure


def _figure(width: float, height: float, between: float = 0.02) -> Figure:
    """A figure with this part of it left free between axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=between, hspace=between))
    FigureCanvasAgg(figure)
    return figure


def _range(overlap: np.ndarray) -> tuple[float, float]:
    different = overlap[~np.eye(len(overlap), dtype=bool)]
    low, high = float(different.min()), float(different.max())
    return (-max(-low, high), max(-low, high)) if low < 0 < high else (low, high)


def _draw_tree(ax: Axes, ds: xr.Dataset) -> None:
    """Branches as brackets: leaf i of the order stands at i, a node in the middle of its two branches."""
    count = ds.sizes["sample"]
    place = np.empty(2 * count - 1)
    place[ds["sample"].values] = np.arange(count)
    height = np.concatenate([np.zeros(count), ds["link_height"].values])
    brackets = []
    for node, (a, b) in enumerate(ds["link"].values, start=count):
        place[node] = (place[a] + place[b]) / 2
        brackets.append([(place[a], height[a]), (place[a], height[node]), (place[b], height[node]), (place[b], height[b])])
    from matplotlib.collections import LineCollection

    # a line per leaf: thinner than the space between leaves, which have about 350 points
    ax.add_collection(LineCollection(brackets, colors="0.25", linewidths=min(1.2, 150 / count)))
    ax.set_xlim(-0.5, count - 0.5)
    ax.set_ylim(0, 1.05 * height.max())
    ax.set_xticks([])
    # the left is for the strip of classes
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.spines["right"].set_visible(True)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_title(axis_label(ds["link_height"]), loc="left", fontsize=12)


def _draw_strip(figure: Figure, ax: Axes, label: xr.DataArray, classes: list[Any]) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    shades = _shades(len(classes))
    numbers = np.array([classes.index(value) for value in label.values.tolist()])[:, None]
    ax.imshow(numbers, cmap=ListedColormap(shades), vmin=-0.5, vmax=len(classes) - 0.5, aspect="auto", interpolation="none")
    ax.set_xticks([])
    ax.set_ylabel("image, in the order of the leaves")
    entries = [Patch(color=shade, label=str(c)) for shade, c in zip(shades, classes, strict=True)]
    figure.legend(
        handles=entries, title=axis_label(label), ncols=min(10, len(classes)), loc="outside lower center", columnspacing=1.0,
        handlelength=1.0,
    )  # fmt: skip


def _shades(count: int) -> list[Any]:
    """As many colours as classes: the palette of the library, and matplotlib's twenty where that is too short."""
    from matplotlib import colormaps

    table = colormaps["tab10" if count <= 10 else "tab20"]
    return [colour(i) if count <= len(COLOURS) else table(i) for i in range(count)]
