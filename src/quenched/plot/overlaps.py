"""Images that a network stores: overlaps in the order of a dendrogram, and prototypes as a grid of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.plot.style import COLOURS, Axes, Figure, axis_label, colour, panels, style

MAP, TREE, BAR, GAP = 4.9, 1.15, 0.22, 0.12
"""Inches of an overlap map: side of the map, height of the tree, width of the strip and of the colour bar, space between."""

LEFT, RIGHT, BOTTOM, TOP, LEGEND = 0.85, 0.85, 0.7, 0.35, 0.62
"""Inches of its margins; LEGEND is what ten classes need below."""

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
    left, bottom = LEFT + (BAR + GAP) * bool(classes), BOTTOM + LEGEND * -(-len(classes) // 10)
    with style():
        figure, add = _sheet(left + MAP + GAP + BAR + RIGHT, bottom + MAP + GAP + TREE + TOP)
        ax = add(left, bottom, MAP, MAP)
        overlap = ds["sample_overlap"]
        low, high = limits if limits is not None else _range(overlap.values)
        image = ax.imshow(
            overlap.values, cmap="RdBu_r" if low < 0 else "viridis", vmin=low, vmax=high, interpolation="none", aspect="auto"
        )
        ax.set_xlabel("image, in the order of the leaves")
        ax.spines[["top", "right"]].set_visible(True)
        figure.colorbar(image, cax=add(left + MAP + GAP, bottom, BAR, MAP)).set_label(axis_label(overlap))
        _draw_tree(add(left, bottom + MAP + GAP, MAP, TREE), ds)
        side = ax
        if classes:
            ax.tick_params(labelleft=False, left=False)
            side = add(LEFT, bottom, BAR, MAP)
            _draw_strip(side, ds["label"], classes)
        side.set_ylabel("image, in the order of the leaves")
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
    classes = np.unique(names)
    rows = [images[names == c] for c in classes]
    most = max(len(row) for row in rows)
    width = min(ROW, len(rows)) if most == 1 else min(columns or 12, most)
    if most == 1:
        # one image of each class: a table of images, each with its class
        cells = {divmod(k, width): row[0] for k, row in enumerate(rows)}
        titles = {divmod(k, width): str(c) for k, c in enumerate(classes)}
    else:
        cells = {(r, k): image for r, row in enumerate(rows) for k, image in enumerate(row[:width])}
        titles = {(r, 0): str(c) for r, c in enumerate(classes)}
    return _mosaic(weights, cells, titles, width)


Cell = tuple[int, int]


def _mosaic(weights: xr.DataArray, cells: dict[Cell, np.ndarray], titles: dict[Cell, str], width: int) -> Figure:
    """One picture of all cells (row, column), some with a title at their left: as many axes would take seconds."""
    count = 1 + max(row for row, _ in cells)
    high, wide = next(iter(cells.values())).shape
    # titles need room in every column that has one
    left = [wide // 3 if any(column == k for _, column in titles) else max(1, wide // 14) for k in range(width)]
    x = np.cumsum([n + wide for n in left]) - wide
    y = np.arange(count) * (high + max(1, high // 14))
    canvas = np.full((y[-1] + high, x[-1] + wide), np.nan)
    for (row, column), image in cells.items():
        canvas[y[row] : y[row] + high, x[column] : x[column] + wide] = image
    scale = (CELL if max(width, count) > ROW else 2 * CELL) / max(high, wide)
    with style():
        figure, (ax,) = panels(1, 1, scale * canvas.shape[1] + 1.9, max(scale * canvas.shape[0] + 0.3, 3.2))
        shown = ax.imshow(canvas, cmap="gray", vmin=-1, vmax=1, interpolation="none")
        for (row, column), title in titles.items():
            ax.text(x[column] - 0.1 * wide, y[row] + (high - 1) / 2, title, ha="right", va="center")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ax.set_ylabel(axis_label(weights["label"]))
        bar = figure.colorbar(shown, ax=ax, shrink=0.9, aspect=25, ticks=[-1, 0, 1])
        bar.set_label(axis_label(weights))
        return figure


def _sheet(width: float, height: float) -> tuple[Figure, Callable[[float, float, float, float], Axes]]:
    """A figure, and what adds axes to it, both in inches: a layout by constraints differs in the last digit from run to run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def add(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    return figure, add


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
    ax.add_collection(LineCollection(brackets, colors="0.25", linewidths=min(1.2, 150 / count), clip_on=False))
    ax.set_xlim(-0.5, count - 0.5)
    ax.set_ylim(0, 1.05 * height.max())
    ax.set_xticks([])
    # the left is for the strip of classes
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.spines["right"].set_visible(True)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_title(axis_label(ds["link_height"]), loc="left", fontsize=12)


def _draw_strip(ax: Axes, label: xr.DataArray, classes: list[Any]) -> None:
    """The class of each image as a colour, and the legend at the foot of the figure."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    shades = _shades(len(classes))
    numbers = np.array([classes.index(value) for value in label.values.tolist()])[:, None]
    ax.imshow(numbers, cmap=ListedColormap(shades), vmin=-0.5, vmax=len(classes) - 0.5, aspect="auto", interpolation="none")
    ax.set_xticks([])
    entries = [Patch(color=shade, label=str(c)) for shade, c in zip(shades, classes, strict=True)]
    ax.figure.legend(
        handles=entries,
        title=axis_label(label),
        ncols=min(10, len(classes)),
        loc="lower center",
        columnspacing=1.0,
        handlelength=1.0,
    )


def _shades(count: int) -> list[Any]:
    """As many colours as classes: the palette of the library, and matplotlib's twenty where that is too short."""
    from matplotlib import colormaps

    table = colormaps["tab10" if count <= 10 else "tab20"]
    return [colour(i) if count <= len(COLOURS) else table(i) for i in range(count)]
