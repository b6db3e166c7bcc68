"""Figures that the two studies of memories share: learning curves, the phase diagram, and how a point depends on N."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, log_ticks, marker
from quenched.studies import memory_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "archetype_overlap": "$m$: overlap with the archetype",
    "example_overlap": "$n$: mean overlap with its examples",
    "largest_example_overlap": r"$n_{\max}$: largest overlap with one",
}
"""Short forms, for axes and legends of one archetype."""
SHOWN = (("archetype_overlap", "retrieval: $m$"), ("edwards_anderson", "retrieval: $q$"), ("glass_overlap", "glass: $q$"))


def learning_curve(theory: xr.Dataset, experiment: xr.Dataset, name: str, ax: Axes) -> None:
    """An overlap against the number of examples by rule, M_c as vertical lines; open points where no such state exists."""
    with plot.style():
        for i, rule in enumerate(experiment["rule"].values):
            line, points = theory[name].sel(rule=rule), experiment.sel(rule=rule)
            exists = np.isfinite(line.sel(examples=experiment["examples"]).values)
            ax.plot(theory["examples"], line, color=colour(i), label=f"{rule}: theory")
            for there, face, label in ((exists, None, f"{rule}: simulation"), (~exists, "white", "remanent: no such state")):
                if there.any():
                    ax.errorbar(
                        experiment["examples"].values[there],
                        points[name].values[there],
                        points[f"{name}_error"].values[there],
                        ls="none",
                        marker=marker(i),
                        color=colour(i),
                        mfc=face or colour(i),
                        label=label if face is None or i == 0 else None,
                    )
            critical = float(theory["critical_sample_size"].sel(rule=rule))
            ax.axvline(critical, color=colour(i), ls=":", lw=1.4, label=rf"$M_c={critical:.0f}$")
        log_ticks(ax, experiment["examples"].values)
        ax.set_xlabel(axis_label(theory["examples"]))
        ax.set_ylabel(LABELS[name])


def phase_diagram(lines: xr.Dataset, ax: Axes) -> None:
    """Lines in the plane of load and temperature, with the phases written in."""
    with plot.style():
        for i, (name, (load, temperature)) in enumerate(memory_lines.curves(lines).items()):
            order = np.argsort(temperature)
            ax.plot(load[order], temperature[order], color=colour(i), ls=("-", "--", "-.", ":")[i], label=name)
        critical = lines["critical_load"].values
        top = float(np.nanmax(critical))
        ax.set_xlim(0, float(lines["load"].max()))
        ax.set_ylim(0, 1.25 * float(np.nanmax(lines["spin_glass_temperature"])))
        ax.set_xlabel(r"$\alpha$: load")
        ax.set_ylabel("$T$: temperature")
        first = float(np.interp(0.0, lines["temperature"].values, lines["first_order_load"].values))
        scale = float(np.nanmax(lines["temperature"]))
        ax.text(0.3 * first, 0.12 * scale, "retrieval", rotation=90, va="bottom")
        ax.text(0.6 * first + 0.4 * top, 0.05 * scale, "metastable", rotation=90, ha="center", va="bottom", fontsize=10)
        ax.text(1.15 * top, 0.6 * scale, "spin glass", ha="center")
        ax.text(0.55 * float(lines["load"].max()), 1.1 * ax.get_ylim()[1] / 1.25, "ergodic", ha="center")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1, borderaxespad=0.2)


def finite_size(theory: xr.Dataset, experiment: xr.Dataset, ax: Axes) -> None:
    """Order parameters of the point against 1/N, extrapolated to N -> infinity; theory as dashes at 0."""
    with plot.style():
        x = np.append(1000 / experiment["size"].values[:-1], 0.0)
        for i, (name, label) in enumerate(SHOWN):
            value, error = experiment[name].values, experiment[f"{name}_error"].values
            ax.errorbar(x[:-1], value[:-1], error[:-1], ls="none", marker=marker(i), color=colour(i), label=label)
            ax.errorbar(x[-1:], value[-1:], error[-1:], ls="none", marker=marker(i), color=colour(i), mfc="white", clip_on=False)
            if np.isfinite(float(theory[name])):
                ax.axhline(float(theory[name]), color=colour(i), lw=1.4)
        ax.set_xlim(left=-0.02 * x.max())
        ax.set_xlabel("$1000/N$: inverse number of spins (open: extrapolated)")
        ax.set_ylabel("order parameter (lines: theory)")
        ax.legend()


def point_figure(
    theory: dict[str, xr.Dataset], experiment: dict[str, xr.Dataset], lines: str, draw: Callable[[xr.Dataset, Axes], None]
) -> Figure:
    """The part ``lines`` of the theory as ``draw`` draws it, and finite sizes of the point, whichever there are."""
    figure, axes = plot.panels(1, (lines in theory) + ("point" in experiment), width=6.2, height=5.0)
    if lines in theory:
        draw(theory[lines], axes[0])
    if "point" in experiment:
        finite_size(theory["point"], experiment["point"], axes[-1])
    return figure
