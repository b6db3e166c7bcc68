"""Figures of the study: the law of the loss, the race, valleys, basins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, log_ticks, marker, panel_title
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from quenched.studies.energy_conserving_descent.study import EnergyConservingDescent

PUBLISHED = {"BBI": ([2500, 10_000], [1.1e-17, 1.0e-22]), "momentum": ([2500, 10_000], [1.2e-4, 4.4e-12])}
"""Best losses on Zakharov's function in arXiv:2201.11137, in single precision."""
NAMES = {"bbi": "BBI", "sep": "ECDSep"}


def draw(study: EnergyConservingDescent, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {}
    if "distribution" in experiment:
        figures["distribution"] = law(study, theory["distribution"], experiment)
    if "race" in experiment:
        figures["race"] = race(experiment["race"])
    if "valleys" in experiment:
        figures["valleys"] = valleys(experiment["valleys"])
    if "basins" in experiment:
        figures["basins"] = basins(study, theory["basins"], experiment["basins"])
    return figures


def law(study: EnergyConservingDescent, theory: xr.Dataset, experiment: Mapping[str, xr.Dataset]) -> Figure:
    """Quantiles of V against the dimension, both optimisers; open: a step that is too large."""
    figure, axes = plot.panels(1, theory.sizes["kind"], width=5.8, height=4.6)
    for ax, kind, letter in zip(axes, theory["kind"].values, "ab", strict=True):
        with plot.style():
            for i, p in enumerate(theory["probability"].values):
                select = {"kind": kind, "probability": p}
                line, points = theory["potential_quantile"].sel(select), experiment["distribution"].sel(select)
                ax.plot(theory["dimension"], line, color=colour(i), label=f"{p:.0%}")
                ax.errorbar(
                    points["dimension"],
                    points["potential_quantile"],
                    points["potential_quantile_error"],
                    ls="none",
                    marker=marker(i),
                    color=colour(i),
                )
                if "coarse" in experiment:
                    coarse = experiment["coarse"]["potential_quantile"].sel(select)
                    ax.plot(coarse["dimension"], coarse, ls="none", marker=marker(i), color=colour(i), mfc="white", ms=5)
            ax.plot([], [], color="black", label="theory")
            ax.plot([], [], ls="none", marker="o", color="black", label=rf"runs, $dt={study.step:g}$")
            if "coarse" in experiment:
                ax.plot([], [], ls="none", marker="o", color="black", mfc="white", label=rf"$dt={study.coarse_step:g}$")
            ax.set_yscale("log")
            log_ticks(ax, theory["dimension"].values)
            ax.set_xlabel(axis_label(theory["dimension"]))
            ax.set_ylabel("$V$: quantiles of the loss above $V_0$")
            panel_title(ax, letter, NAMES[str(kind)])
            if ax is axes[-1]:
                ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=10)
    return figure


def race(experiment: xr.Dataset) -> Figure:
    """Best loss against evaluations on Zakharov's function; published values open."""
    figure, (ax,) = plot.panels(1, 1, width=6.8, height=4.6)
    with plot.style():
        for i, rule in enumerate(experiment["rule"].values):
            one = experiment["best_loss"].sel(rule=rule)
            ax.plot(one["step"], one, color=colour(i), label=str(rule))
            if rule in PUBLISHED:
                ax.plot(*PUBLISHED[rule], ls="none", marker=marker(i), color=colour(i), mfc="white", ms=8)
        ax.plot([], [], ls="none", marker="o", color="black", mfc="white", label="paper")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(left=1)
        ax.set_xlabel(axis_label(experiment["step"]))
        ax.set_ylabel(axis_label(experiment["best_loss"]))
        ax.legend()
        panel_title(ax, "", "Zakharov's function, ten parameters")
    return figure


def valleys(experiment: xr.Dataset) -> Figure:
    """Steps to convergence against the width of a valley."""
    figure, (ax,) = plot.panels(1, 1, width=6.0, height=4.4)
    with plot.style():
        for i, rule in enumerate(experiment["rule"].values):
            one = experiment["steps_needed"].sel(rule=rule)
            ax.plot(one["curvature"], one, color=colour(i), marker=marker(i), lw=1.2, label=str(rule))
        log_ticks(ax, experiment["curvature"].values)
        ax.set_yscale("log")
        ax.set_xlabel(axis_label(experiment["curvature"]))
        ax.set_ylabel(axis_label(experiment["steps_needed"]))
        ax.legend()
    return figure


def basins(study: EnergyConservingDescent, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Which of two basins is entered first: runs, the paper's value, and perfect mixing."""
    figure, (ax,) = plot.panels(1, 1, width=5.4, height=3.6)
    with plot.style():
        ax.axvline(float(theory["entry_ratio"]), color=colour(0), label="perfect mixing")
        ax.errorbar(
            [float(experiment["entry_ratio"])],
            [1],
            xerr=[float(experiment["entry_ratio_error"])],
            ls="none",
            marker="o",
            color=colour(1),
            label=f"{study.basin_runs} runs",
        )
        ax.plot([1.725], [0], ls="none", marker="s", color="black", mfc="white", ms=8, label="paper")
        ax.axvline(1.0, color="grey", ls=":", lw=1)
        ax.set_yticks([0, 1], ["paper", "ours"])
        ax.set_ylim(-0.6, 2.2)
        ax.set_xlabel("$n_1/n_2$: first entries, wide over narrow basin")
        ax.set_ylabel("source")
        ax.legend(loc="upper left", ncols=3, fontsize=10)
    return figure
