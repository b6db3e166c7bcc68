"""Figures of the study: theory as lines through simulation points, and the same instruments on digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from quenched import plot
from quenched.losses import QuadraticHinge
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.effective_noise.study import EffectiveNoise


def temperatures(fluctuations: xr.Dataset) -> dict[str, xr.Dataset]:
    """The effective temperature of every rule, by name."""
    return {str(rule): effective_temperature(fluctuations.sel(rule=rule)) for rule in fluctuations["rule"].values}


def draw(study: EffectiveNoise, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``."""
    theory = {name: tree[f"theory/{name}"].to_dataset() for name in ("fluctuations", "training")}
    names = ("fluctuations", "training", "data_fluctuations", "data_training")
    experiment = {name: tree[f"experiment/{name}"].to_dataset() for name in names}
    hot = {"theory": temperatures(theory["fluctuations"]), "simulation": temperatures(experiment["fluctuations"])}
    digits = temperatures(experiment["data_fluctuations"])
    return {
        "overview": overview(theory["training"], experiment, hot, digits),
        "fluctuation-response": fluctuation_response(hot, digits),
        "gaps": boundaries(study, theory["training"], experiment["training"]),
    }


def overview(
    theory: xr.Dataset,
    experiment: Mapping[str, xr.Dataset],
    hot: Mapping[str, dict[str, xr.Dataset]],
    digits: dict[str, xr.Dataset],
) -> Figure:
    """Learning curves, replica distance, effective temperature: Gaussian mixtures above, the same instruments on digits below."""
    figure, axes = plot.panels(2, 3, width=5.4)
    learning, distance, temperature, real_learning, real_distance, real_temperature = axes
    plot.compare(theory, experiment["training"], "test_error", learning)
    plot.compare(theory, experiment["training"], "replica_distance", distance)
    plot.temperature_against_lag(hot["theory"], hot["simulation"], temperature)
    # not the start, where a random classifier's error would set the scale
    plot.compare(None, experiment["data_training"].isel(t=slice(1, None)), "test_error", real_learning)
    plot.compare(None, experiment["data_training"], "replica_distance", real_distance)
    plot.temperature_against_lag(None, digits, real_temperature)
    titles = (
        "mixture, over-parametrised: learning",
        "mixture, over-parametrised: replicas",
        "mixture, under-parametrised: temperature",
        "handwritten digits: learning",
        "handwritten digits: replicas",
        "handwritten digits: temperature",
    )
    for ax, letter, title in zip(axes, "abcdef", titles, strict=True):
        _title(ax, letter, title)
    # one rule has one colour in all panels, so that one legend serves them
    for ax in axes[1:]:
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    return figure


def fluctuation_response(hot: Mapping[str, dict[str, xr.Dataset]], digits: dict[str, xr.Dataset]) -> Figure:
    """Response against displacement: the slope is the inverse temperature."""
    figure, (mixture, real) = plot.panels(1, 2, width=6.2)
    plot.parametric_fdt(hot["theory"], hot["simulation"], mixture)
    _title(mixture, "a", "Gaussian mixture")
    plot.parametric_fdt(None, digits, real)
    _title(real, "b", "handwritten digits")
    return figure


def boundaries(study: EffectiveNoise, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Where the training samples lie at the end, relative to the margin."""
    figure, axes = plot.panels(1, 2, width=6.2)
    loss = study.satisfiable.loss
    margin = loss.margin if isinstance(loss, QuadraticHinge) else None
    limits = (float(experiment["gap"].quantile(0.001)), float(experiment["gap"].quantile(0.999)))
    names = [str(rule) for rule in experiment["rule"].values][-2:]
    for ax, name in zip(axes, names, strict=True):
        simulated, predicted = (gaps.histogram(data["gap"].sel(rule=name), limits=limits) for data in (experiment, theory))
        plot.gap_histogram(simulated, ax, margin=margin, theory=predicted)
    _title(axes[0], "a", names[0])
    _title(axes[1], "b", names[1])
    return figure


def _title(ax: Axes, letter: str, text: str) -> None:
    with plot.style():
        ax.set_title(f"({letter}) {text}", loc="left", fontsize=12)
