"""Histograms of the gaps of training samples."""

from __future__ import annotations

import numpy as np

from quenched.plot.curves import Data, datasets
from quenched.plot.style import Axes, axis_label, colour, new_axes, style


def gap_histogram(histograms: Data, ax: Axes | None = None, *, margin: float | None = 1.0, theory: Data = None) -> Axes:
    """Densities from ``observables.gaps.histogram``: stepped outlines with a band of one standard error over data sets.

    ``histograms`` is a Dataset or a mapping label -> Dataset (several algorithms); ``theory`` the same, drawn as smooth lines
    in the colour of its label. ``margin`` = kappa is marked by a dotted line (None: no line). The vertical axis is logarithmic:
    samples pile up at the margin.
    """
    with style():
        ax = new_axes(ax)
        drawn, lines = datasets(histograms, "density"), datasets(theory, "density")
        slot = {label: i for i, label in enumerate(dict.fromkeys([*drawn, *lines]))}
        for label, ds in drawn.items():
            edges = np.append(ds["left"].values, ds["right"].values[-1])
            density, error = ds["density"].values, np.nan_to_num(ds["density_error"].values)
            shade = colour(slot[label])
            ax.stairs(density, edges, color=shade, linewidth=1.8, label=label or "simulation")
            if error.any():
                ax.stairs(
                    density + error,
                    edges,
                    baseline=np.maximum(density - error, 0),
                    color=shade,
                    alpha=0.25,
                    fill=True,
                    linewidth=0,
                )
        for label, ds in lines.items():
            name = f"{label} (theory)" if label else "theory"
            ax.plot(ds["gap"].values, ds["density"].values, "--", color=colour(slot[label]), label=name)
        if margin is not None:
            ax.axvline(margin, linestyle=":", color="0.35", linewidth=1.4, label=rf"$\kappa={margin:g}$")
        first = next(iter({**drawn, **lines}.values()))
        ax.set_yscale("log")
        # empty bins have no logarithm: the axis ends below the smallest density that is not zero
        values = np.concatenate([ds["density"].values for ds in (*drawn.values(), *lines.values())])
        ax.set_ylim(bottom=0.5 * values[values > 0].min())
        ax.set_xlabel(axis_label(first["gap"]))
        ax.set_ylabel(axis_label(first["density"]))
        ax.legend(loc="upper right")
        return ax
