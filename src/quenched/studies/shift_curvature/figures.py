"""Figures of the study: the parts against the temperature, the line through the minima, depth against flatness, a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, panel_title
from quenched.studies.shift_curvature.problem import SAME
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.shift_curvature.study import ShiftCurvature

Groups = Mapping[str, xr.Dataset]


def draw(study: ShiftCurvature, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {"anatomy": anatomy(theory, experiment), "trade-off": trade_off(theory, experiment)}
    if "network" in experiment:
        figures["network"] = network(experiment["network"])
    return figures


def anatomy(theory: Groups, experiment: Groups) -> Figure:
    """The parts for every domain, the losses on the line through the minima, and equal temperatures."""
    domains = [str(name) for name in experiment["anatomy"]["rule"].values]
    count = len(domains) + 1 + ("invariance" in experiment)
    columns = 2 if count > 1 else 1
    figure, axes = plot.panels(-(-count // columns), columns, width=6.2)
    letters = iter("abcd")
    for ax, name in zip(axes, domains, strict=False):
        bars(experiment["anatomy"].sel(rule=name), theory["anatomy"].sel(rule=name), ax)
        panel_title(ax, next(letters), f"test set: {name}")
    rest = iter(axes[len(domains) :])
    ax = next(rest)
    _lines(theory["line"], ax)
    panel_title(ax, next(letters), "through the two minima")
    if "invariance" in experiment:
        ax = next(rest)
        expected, found = (part["invariance"].sel(rule=[SAME]) for part in (theory, experiment))
        plot.compare(expected, found, "excess", ax, dim="learning_rate")
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        panel_title(ax, next(letters), "one temperature, many learning rates")
    for ax in rest:
        ax.remove()
    return figure


def bars(found: xr.Dataset, theory: xr.Dataset | None, ax: Axes) -> None:
    """The four parts on top of each other (a negative one below zero), the measured excess, and the predicted one as a dash."""
    with plot.style():
        t = found["sgd_temperature"].values
        place = np.arange(len(t))
        above, below = np.zeros(len(t)), np.zeros(len(t))
        for i, name in enumerate(("shift", "covariance", "cross", "bias")):
            values = found[name].values
            bottom = np.where(values >= 0, above, below)
            label = str(found[name].attrs.get("long_name", name))
            ax.bar(place, values, 0.6, bottom=bottom, color=colour(i), label=label)
            above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
        ax.errorbar(place, found["excess"], found["excess_error"], fmt="o", color="black", label="measured excess")
        if theory is not None:
            ax.hlines(theory["excess"], place - 0.4, place + 0.4, color="0.4", linestyle="--", label="predicted excess", lw=1.2)
        ax.axhline(0, color="black", lw=0.8)
        ax.set_xticks(place, [f"{value:.3g}" for value in t])
        ax.set_xlabel(axis_label(found["sgd_temperature"]))
        ax.set_ylabel("excess test loss")
        # room for the legend where the first bar is as high as the last
        ax.set_ylim(top=max(1.1 * above.max(), above[0] * 1.7))
        ax.legend(loc="upper left")


def _lines(line: xr.Dataset, ax: Axes) -> None:
    with plot.style():
        a = line["along_shift"].values
        for i, name in enumerate(line["rule"].values):
            one = line.sel(rule=name)
            if i == 0:
                ax.plot(a, one["line_train_loss"], color="0.5", label="training loss")
            ax.plot(a, one["line_test_loss"], color=colour(i), label=f"test loss, {name}")
            ax.plot(a, one["parabola"], color="black", ls=":", lw=1.4, label="fitted parabolas" if i == 0 else None)
        ax.set_xlabel(r"$a$: position on $\theta_{\mathrm{tr}}+a\,s$")
        ax.set_ylabel("loss")
        ax.legend()


def trade_off(theory: Groups, experiment: Groups) -> Figure:
    """Densities and effective potentials, mean losses with the best temperature, and what the shape of the noise does."""
    count = 4 if "potentials" in theory else 2
    figure, axes = plot.panels(count // 2, 2, width=6.2)
    letters = iter("abcd")
    if count == 4:
        _densities(theory["potentials"], experiment["potentials"], axes[0])
        panel_title(axes[0], next(letters), "constant noise")
        _potentials(theory["potentials"], axes[1])
        panel_title(axes[1], next(letters), "noise larger at the sharp minimum")
    first, second = axes[-2:]
    found = experiment.get("trade_off")
    _losses(theory, found, first)
    panel_title(first, next(letters), "constant noise: a best temperature")
    plot.compare(theory["trade_off"], found, "flat_mass", second, dim="sgd_temperature")
    _exact(theory, "flat_mass", second, 2)
    second.set_xscale("log")
    second.set_ylim(0, 1.05)
    panel_title(second, next(letters), "the shape of the noise")
    return figure


def _losses(theory: Groups, found: xr.Dataset | None, ax: Axes) -> None:
    """E[U] and E[U_te] in one plot: the variable takes the place of the rule."""
    names = {"mean_test_loss": "test loss", "mean_loss": "training loss"}
    lines = {label: theory["trade_off"].isel(rule=0)[[name]].rename({name: "loss"}) for name, label in names.items()}
    points = None
    if found is not None:
        points = {
            label: found.isel(rule=0)[[name, f"{name}_error"]].rename({name: "loss", f"{name}_error": "loss_error"})
            for name, label in names.items()
        }
    plot.compare(lines, points, "loss", ax, dim="sgd_temperature")
    with plot.style():
        ax.set_xscale("log")
        ax.set_ylabel("mean loss")
        for name in names:
            _exact(theory, name, ax, 1)
        best, value = (float(theory["best"][name]) for name in ("best_temperature", "best_test_loss"))
        if np.isfinite(best):
            ax.plot([best], [value], "*", color="black", ms=13, zorder=5, label=f"$T^*={best:.3g}$")
        ax.legend()


def _exact(theory: Groups, name: str, ax: Axes, rules: int) -> None:
    """The exact answer at the learning rate of SGD, dashed."""
    if "finite_rate" in theory:
        found = theory["finite_rate"]
        with plot.style():
            for rule in found["rule"].values[:rules]:
                one = found.sel(rule=rule)
                ax.plot(one["sgd_temperature"], one[name], color="black", ls="--", lw=1.2)


def _densities(theory: xr.Dataset, experiment: xr.Dataset, ax: Axes) -> None:
    """Densities at the coldest, a middle and the hottest temperature, with the losses as lines on a second axis."""
    names = theory["rule"].values[[0, len(theory["rule"]) // 2, -1]] if len(theory["rule"]) > 2 else theory["rule"].values
    with plot.style():
        x = theory["theta"].values
        inside = theory["potential"].values < 0.6
        other = ax.twinx()
        other.plot(x[inside], theory["potential"][inside], color="0.6", lw=1.2)
        other.plot(x[inside], theory["test_potential"][inside], color="0.6", lw=1.2, ls="--")
        other.set_ylabel("training loss (line), test loss (dashes)")
        other.set_xlabel(axis_label(theory["theta"]))
        other.set_ylim(0, 0.9)
        for i, name in enumerate(names):
            ax.plot(x[inside], theory["density"].sel(rule=name)[inside], color=colour(i), label=str(name))
            ax.step(experiment["theta"], experiment["density"].sel(rule=name), where="mid", color=colour(i), alpha=0.5, lw=1.0)
        ax.set_xlim(x[inside][0], x[inside][-1])
        ax.set_ylim(bottom=0)
        ax.set_xlabel(axis_label(theory["theta"]))
        ax.set_ylabel(axis_label(theory["density"]))
        ax.legend()


def _potentials(theory: xr.Dataset, ax: Axes) -> None:
    """v of the other noise, with the training loss in grey."""
    with plot.style():
        x = theory["theta"].values
        inside = theory["potential"].values < 0.6
        ax.plot(x[inside], theory["potential"][inside], color="0.6", lw=1.2, label="training loss")
        for i, name in enumerate(theory["rule"].values):
            ax.plot(x[inside], theory["effective_potential"].sel(rule=name)[inside], color=colour(i), label=str(name))
        ax.set_xlabel(axis_label(theory["theta"]))
        ax.set_ylabel(axis_label(theory["effective_potential"]))
        ax.legend()


def network(found: xr.Dataset) -> Figure:
    """The parts of a network, and how sharp the places are where its SGD is."""
    figure, (first, second, third) = plot.panels(1, 3, width=5.8)
    bars(found.isel(rule=0), None, first)
    panel_title(first, "a", "network")
    for ax, name, letter in ((second, "sharpness", "b"), (third, "hessian_trace", "c")):
        plot.compare(None, found, name, ax, dim="sgd_temperature")
        if (legend := ax.get_legend()) is not None:
            legend.remove()
        panel_title(ax, letter, {"sharpness": "top eigenvalue", "hessian_trace": "trace"}[name])
    return figure
