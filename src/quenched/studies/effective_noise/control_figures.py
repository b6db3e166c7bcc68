"""Figures of the noise against one parameter, and of its two measures against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from quenched import plot
from quenched.plot.style import colour, marker
from quenched.studies.effective_noise.controls import CONTROLS
from quenched.studies.effective_noise.summary import NUMBERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.effective_noise.study import EffectiveNoise

Groups = Mapping[str, xr.Dataset]


def draw(study: EffectiveNoise, theory: Groups, experiment: Groups) -> dict[str, Figure]:
    """T_eff and replica distance against every control, and T_eff against the replica distance where both were measured."""
    controls = [name for name in CONTROLS if name in theory]
    figures = {}
    if controls:
        figures["controls"] = against_controls(study, controls, theory, experiment)
    both = [name for name in controls if "replica_distance" in theory[name]]
    if both:
        figures["two-measures"] = two_measures(both, theory, experiment)
    return figures


def against_controls(study: EffectiveNoise, controls: list[str], theory: Groups, experiment: Groups) -> Figure:
    """One column per control: effective temperature above, with the white-noise estimate; replica distance below."""
    figure, axes = plot.panels(2, len(controls), width=4.8, height=3.9)
    names = {
        "shortest lag": "short_temperature",
        f"lag {study.lags} steps": "effective_temperature",
        "white noise": "white_noise_temperature",
    }
    for ax, name in zip(axes[: len(controls)], controls, strict=True):
        lines, points = (
            {label: _as(data[name], variable, "temperature") for label, variable in names.items() if variable in data[name]}
            for data in (theory, experiment)
        )
        plot.compare(lines, _finite(points, "temperature"), "temperature", ax, dim=CONTROLS[name].dim)
        _from_zero(ax)
    for ax, name in zip(axes[len(controls) :], controls, strict=True):
        if "replica_distance" in theory[name]:
            own = {"two replicas": theory[name]}, {"two replicas": experiment[name]}
            plot.compare(*own, "replica_distance", ax, dim=CONTROLS[name].dim)
            _from_zero(ax)
        else:
            ax.remove()
    # one legend serves a row
    for ax in figure.axes[1:]:
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    return figure


def two_measures(controls: list[str], theory: Groups, experiment: Groups) -> Figure:
    """T_eff of the under-parametrised system against the replica distance of the over-parametrised one, one point per rule."""
    figure, (ax,) = plot.panels(width=7.0, height=5.0)
    every: list[tuple[float, float]] = []
    with plot.style():
        for slot, name in enumerate(controls):
            x, y = (theory[name][variable].values for variable in ("replica_distance", "effective_temperature"))
            every += list(zip(x, y, strict=True))
            ax.plot(x, y, color=colour(slot), zorder=1)
            found = experiment[name]
            ax.errorbar(
                found["replica_distance"],
                found["effective_temperature"],
                xerr=found["replica_distance_error"],
                yerr=found["effective_temperature_error"],
                fmt=marker(slot),
                color=colour(slot),
                markeredgecolor="white",
                label=f"${CONTROLS[name].label.symbol}$: {CONTROLS[name].label.long_name}",
            )
        rank = spearmanr(np.array(every)[:, 0], np.array(every)[:, 1], nan_policy="omit").statistic
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(f"{plot.axis_label(theory[controls[0]]['replica_distance'])}, over-parametrised")
        ax.set_ylabel(plot.axis_label(theory[controls[0]]["effective_temperature"]))
        ax.set_title(f"lines: theory, points: simulation; rank correlation of the theory {rank:.2f}", loc="left", fontsize=12)
        ax.legend()
    return figure


def _as(ds: xr.Dataset, variable: str, name: str) -> xr.Dataset:
    """One number of a control, and its error, under another name."""
    found = ds[[variable, f"{variable}_error"]].rename({variable: name, f"{variable}_error": f"{name}_error"})
    label = NUMBERS["effective_temperature"].attributes() | {"long_name": "effective temperature"}
    return found.assign({name: found[name].assign_attrs(label)})


def _finite(data: dict[str, xr.Dataset], name: str) -> dict[str, xr.Dataset]:
    return {label: ds for label, ds in data.items() if bool(ds[name].notnull().any())}


def _from_zero(ax: Axes) -> None:
    ax.set_ylim(bottom=0)
