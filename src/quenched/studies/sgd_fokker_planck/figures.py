"""Figures of the study: where SGD is after equal numbers of examples, where it ends, and how long that takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, panel_title
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck

Groups = Mapping[str, xr.Dataset]


def draw(study: SgdFokkerPlanck, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {"batch-size": batch_size(theory, experiment)}
    if "momentum" in theory or "preference" in theory:
        figures["momentum-and-noise"] = beyond(theory, experiment)
    if "network" in experiment:
        figures["network"] = network(experiment["network"])
    return figures


def network(found: xr.Dataset) -> Figure:
    """Sharpness, trace and test error of the network after training, against the batch size."""
    names = [name for name in ("sharpness", "hessian_trace", "test_error") if name in found]
    figure, axes = plot.panels(1, len(names), width=5.6)
    for ax, name, letter in zip(axes, names, "abc", strict=False):
        plot.compare(None, found, name, ax, dim="batch_size")
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        panel_title(ax, letter, {"sharpness": "sharpness", "hessian_trace": "trace", "test_error": "test error"}[name])
    for ax in axes[1:]:
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    return figure


def batch_size(theory: Groups, experiment: Groups) -> Figure:
    """Densities after equal numbers of examples and in the end; populations; mixing times."""
    figure, (first, second, third, fourth) = plot.panels(2, 2, width=6.2)
    _densities(theory["densities"], experiment["densities"], first, "density")
    panel_title(first, "a", "after equal numbers of examples")
    _densities(theory["densities"], None, second, "stationary_density")
    panel_title(second, "b", "in the end")
    plot.compare(theory["populations"], experiment["populations"], "flat_fraction", third, dim="examples")
    # the colours are those of (a)
    if (legend := third.get_legend()) is not None:
        legend.remove()
    panel_title(third, "c", "how the flat minimum fills")
    plot.compare(theory["mixing"], _known(experiment["mixing"], "mixing_steps"), "mixing_steps", fourth, dim="batch_size")
    fourth.set_yscale("log")
    panel_title(fourth, "d", "mixing time")
    return figure


def _densities(theory: xr.Dataset, experiment: xr.Dataset | None, ax: Axes, variable: str) -> None:
    """Lines, steps of simulation below them, and the landscape as a grey background."""
    with plot.style():
        x, level = theory["theta"].values, theory["potential"].values
        inside = level < 0.8
        other = ax.twinx()
        other.fill_between(x[inside], level[inside], 0.8, color="0.92", linewidth=0)
        other.set_ylim(-0.05, 0.8)
        other.set_ylabel(axis_label(theory["potential"]))
        other.set_xlabel(axis_label(theory["theta"]))
        ax.set_zorder(other.get_zorder() + 1)
        ax.patch.set_visible(False)
        for i, name in enumerate(theory["rule"].values):
            ax.plot(x[inside], theory[variable].sel(rule=name).values[inside], color=colour(i), label=str(name))
            if experiment is not None:
                ax.step(
                    experiment["theta"],
                    experiment["density"].sel(rule=name),
                    where="mid",
                    color=colour(i),
                    alpha=0.5,
                    linewidth=1.0,
                )
        ax.set_xlim(x[inside][0], x[inside][-1])
        ax.set_ylim(bottom=0)
        ax.set_xlabel(axis_label(theory["theta"]))
        ax.set_ylabel(axis_label(theory[variable]))
        ax.legend()


def beyond(theory: Groups, experiment: Groups) -> Figure:
    """Momentum at one temperature; noise that is constant and noise along the curvature."""
    names = [name for name in ("momentum", "preference") if name in theory]
    figure, axes = plot.panels(1, len(names), width=6.2)
    for ax, name, letter in zip(axes, names, "ab", strict=False):
        if name == "momentum":
            plot.compare(theory[name], _known(experiment[name], "escape_rate"), "escape_rate", ax, dim="momentum")
            ax.set_ylim(bottom=0)
            panel_title(ax, letter, "momentum slows escape at one temperature")
        else:
            plot.compare(theory[name], None, "log_preference", ax, dim="batch_size")
            panel_title(ax, letter, "noise along the curvature")
    return figure


def _known(data: xr.Dataset, variable: str) -> xr.Dataset | None:
    """Only points that were measured."""
    kept = data.isel({data[variable].dims[-1]: np.flatnonzero(np.isfinite(data[variable].values[0]))})
    return kept if kept[variable].size else None
