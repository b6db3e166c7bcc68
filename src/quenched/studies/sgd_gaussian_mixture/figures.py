"""Figures of the study: theory lines through simulation points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from quenched import plot
from quenched.models import GaussianMixture
from quenched.observables import gaps
from quenched.theory.static import bayes_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from quenched.studies.sgd_gaussian_mixture.study import SgdGaussianMixture


def draw(study: SgdGaussianMixture, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; learning curves only, without ``details``."""
    theory, experiment = tree["theory"].to_dataset(), tree["experiment"].to_dataset()
    figures = {"learning-curves": learning_curves(study, theory, experiment)}
    if study.details:
        figures |= {"two-time": two_time(theory, experiment), "gaps": end_state(theory, experiment)}
    if "starts" in tree["theory"].children:
        figures["starts"] = starts(*(tree[f"{engine}/starts"].to_dataset() for engine in ("theory", "experiment")))
    return figures


def starts(theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Test error (training loss where it has no closed form) from several starts, one panel for each ridge."""
    variable = "test_error" if "test_error" in theory else "loss"
    ridges = list(dict.fromkeys(str(name).split(", ")[1] for name in theory["start"].values))
    figure, axes = plot.panels(1, len(ridges), width=6.2)
    for ax, ridge in zip(axes, ridges, strict=True):
        own = [str(name) for name in theory["start"].values if str(name).endswith(f", {ridge}")]
        solved, simulated = ({name.split(", ")[0]: data.sel(start=name) for name in own} for data in (theory, experiment))
        plot.compare(solved, simulated, variable, ax)
        with plot.style():
            ax.set_title(ridge, loc="left", fontsize=12)
    return figure


def learning_curves(study: SgdGaussianMixture, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Test error, training loss, overlap and norm against time."""
    names = [name for name in ("test_error", "loss", "overlap", "norm") if name in theory and name in experiment]
    figure, axes = plot.panels((len(names) + 1) // 2, 2, width=6.2)
    for ax, name in zip(axes, names, strict=False):
        plot.compare(theory, experiment, name, ax)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    if "test_error" in names and isinstance(study.model, GaussianMixture) and study.model.clusters == 2:
        with plot.style():
            best = float(bayes_error(study.model.alpha, study.model.noise))
            # the dip above the Bayes error is the point of the curve, not the fall from 1/2
            axes[0].set_ylim(0.92 * best, 2.2 * best)
            axes[0].axhline(best, linestyle=":", color="0.35", linewidth=1.4)
            axes[0].annotate(
                "Bayes-optimal", (0.99, best), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=11
            )
    return figure


def two_time(theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """C(t,t') by theory and by simulation, R(t,t') by theory, of the study's rule."""
    figure, (solved, simulated, response) = plot.panels(1, 3, width=5.6)
    for ax, data, variable, title in (
        (solved, theory, "correlation", "theory"),
        (simulated, experiment, "correlation", "simulation"),
        (response, theory, "response", "theory"),
    ):
        plot.two_time_map(data.isel(rule=-1), variable, ax)
        with plot.style():
            ax.set_title(f"{title}, {data['rule'].values[-1]}", fontsize=12)
    return figure


def end_state(theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Distribution of the gaps of the training samples at the last step."""
    limits = (float(experiment["gap"].quantile(0.001)), float(experiment["gap"].quantile(0.999)))
    names = [str(rule) for rule in experiment["rule"].values]
    simulated, solved = (
        {name: gaps.histogram(data["gap"].sel(rule=name), limits=limits) for name in names} for data in (experiment, theory)
    )
    figure, (ax,) = plot.panels(width=7.0, height=4.8)
    plot.gap_histogram(simulated, ax, margin=None, theory=solved)
    return figure
