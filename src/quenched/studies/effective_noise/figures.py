"""Figures of the study: theory as lines through simulation points, and the same instruments on digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import xarray as xr

from quenched import plot
from quenched.losses import QuadraticHinge
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature
from quenched.plot.style import panel_title
from quenched.studies.effective_noise.control_figures import draw as control_figures
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.effective_noise.study import EffectiveNoise


def temperatures(fluctuations: xr.Dataset) -> dict[str, xr.Dataset]:
    """The effective temperature of every rule, by name."""
    return {str(rule): effective_temperature(fluctuations.sel(rule=rule)) for rule in fluctuations["rule"].values}


def draw(study: EffectiveNoise, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    hot = {"theory": temperatures(theory["fluctuations"]), "simulation": temperatures(experiment["fluctuations"])}
    digits = temperatures(experiment["data_fluctuations"]) if "data_fluctuations" in experiment else None
    figures = {
        "overview": overview(theory, experiment, hot, digits),
        "fluctuation-response": fluctuation_response(hot, digits),
    }
    if "training" in theory:
        figures["gaps"] = boundaries(study, theory["training"], experiment["training"])
    if "long_fluctuations" in theory:
        figures["long-lags"] = long_lags(theory["long_fluctuations"], experiment["long_fluctuations"])
    return figures | control_figures(study, theory, experiment)


def overview(
    theory: Mapping[str, xr.Dataset],
    experiment: Mapping[str, xr.Dataset],
    hot: Mapping[str, dict[str, xr.Dataset]],
    digits: dict[str, xr.Dataset] | None,
) -> Figure:
    """Learning curves, replica distance, effective temperature: Gaussian mixtures first, then the same instruments on digits."""
    panels: dict[str, Callable[[Axes], Axes]] = {}
    if "training" in theory:
        both = theory["training"], experiment["training"]
        panels["mixture, over-parametrised: learning"] = lambda ax: plot.compare(*both, "test_error", ax)
        panels["mixture, over-parametrised: replicas"] = lambda ax: plot.compare(*both, "replica_distance", ax)
    panels["mixture, under-parametrised: temperature"] = lambda ax: plot.temperature_against_lag(
        hot["theory"], hot["simulation"], ax
    )
    if digits is not None:
        real = experiment["data_training"]
        # not the start, where a random classifier's error would set the scale
        panels["handwritten digits: learning"] = lambda ax: plot.compare(None, real.isel(t=slice(1, None)), "test_error", ax)
        panels["handwritten digits: replicas"] = lambda ax: plot.compare(None, real, "replica_distance", ax)
        panels["handwritten digits: temperature"] = lambda ax: plot.temperature_against_lag(None, digits, ax)
    columns = 3 if len(panels) % 3 == 0 else min(len(panels), 2)
    figure, axes = plot.panels(len(panels) // columns, columns, width=5.4)
    for ax, letter, (title, fill) in zip(axes, "abcdef", panels.items(), strict=False):
        fill(ax)
        panel_title(ax, letter, title)
    # one rule has one colour in all panels, so that one legend serves them
    for ax in axes[1:]:
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    return figure


def fluctuation_response(hot: Mapping[str, dict[str, xr.Dataset]], digits: dict[str, xr.Dataset] | None) -> Figure:
    """Response against displacement: the slope is the inverse temperature."""
    figure, axes = plot.panels(1, 1 if digits is None else 2, width=6.2)
    plot.parametric_fdt(hot["theory"], hot["simulation"], axes[0])
    panel_title(axes[0], "a", "Gaussian mixture")
    if digits is not None:
        plot.parametric_fdt(None, digits, axes[1])
        panel_title(axes[1], "b", "handwritten digits")
    return figure


def boundaries(study: EffectiveNoise, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Where the training samples lie at the end, relative to the margin: the last two rules, or the one there is."""
    loss = None if study.satisfiable is None else study.satisfiable.loss
    margin = loss.margin if isinstance(loss, QuadraticHinge) else None
    limits = (float(experiment["gap"].quantile(0.001)), float(experiment["gap"].quantile(0.999)))
    names = [str(rule) for rule in experiment["rule"].values][-2:]
    figure, axes = plot.panels(1, len(names), width=6.2)
    for ax, letter, name in zip(axes, "ab", names, strict=False):
        simulated, predicted = (gaps.histogram(data["gap"].sel(rule=name), limits=limits) for data in (experiment, theory))
        plot.gap_histogram(simulated, ax, margin=margin, theory=predicted)
        panel_title(ax, letter, name)
    return figure


def long_lags(theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """The effective temperature over many decades of the lag."""
    figure, (ax,) = plot.panels(width=7.0, height=4.8)
    plot.temperature_against_lag(temperatures(theory), temperatures(experiment), ax)
    return figure
