"""Figures of the study: the concept, memories that get lost, sample sizes, phase diagram, local fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, log_ticks, marker, panel_title
from quenched.studies import memory_figures as shared
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from quenched.studies.emergence_of_a_concept.study import EmergenceOfAConcept

Groups = dict[str, xr.Dataset]


def draw(study: EmergenceOfAConcept, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {}
    if "concept" in experiment:
        figures["concept"] = concept(study, theory, experiment)
    if "memory" in experiment:
        figures["memory"] = memory(study, theory["memory"], experiment["memory"])
    if "sample_size" in theory:
        figures["sample-size"] = sample_size(theory["sample_size"])
    if "diagram" in theory or "point" in experiment:
        figures["phases"] = shared.point_figure(theory, experiment, "diagram", shared.phase_diagram)
    if "fields" in experiment:
        figures["fields"] = fields(study, theory["fields"], experiment["fields"])
    return figures


def concept(study: EmergenceOfAConcept, theory: Groups, experiment: Groups) -> Figure:
    """m and n against the number of examples, both rules."""
    figure, axes = plot.panels(1, 2, width=6.0, height=4.6)
    for ax, name, letter, words in zip(
        axes, ("archetype_overlap", "example_overlap"), "ab", ("with the archetype", "with its examples"), strict=True
    ):
        shared.learning_curve(theory["concept"], experiment["concept"], name, ax)
        panel_title(ax, letter, f"overlap {words}, $r={study.quality:g}$, $\\alpha={study.load:g}$, $T=0$")
    with plot.style():
        axes[0].axhline(study.quality, color="grey", lw=1, ls="--", label="one example: $m=r$")
        axes[0].legend(loc="lower right")
    return figure


def memory(study: EmergenceOfAConcept, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Runs that start from an example: overlaps with it, with all examples, with the archetype."""
    figure, (ax,) = plot.panels(1, 1, width=9.4, height=4.6)
    with plot.style():
        for i, (name, label) in enumerate(shared.LABELS.items()):
            for state, line in (("example", "-"), ("archetype", "--")):
                ax.plot(theory["examples"], theory[name].sel(state=state), color=colour(i), ls=line)
            value, error = experiment[name], experiment[f"{name}_error"]
            ax.errorbar(experiment["examples"], value, error, ls="none", marker=marker(i), color=colour(i), label=label)
        for state, line in (("example", "-"), ("archetype", "--")):
            ax.plot([], [], color="black", ls=line, label=f"theory: state of the {state}")
        log_ticks(ax, experiment["examples"].values)
        ax.set_xlabel(axis_label(experiment["examples"]))
        ax.set_ylabel("overlap at the end, from an example")
        ax.set_ylim(0, 1.05)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    panel_title(ax, "", f"$r={study.memory_quality:g}$, $\\alpha={study.memory_load:g}$, $T=0$, $N={study.curve_size}$")
    return figure


def sample_size(theory: xr.Dataset) -> Figure:
    """Critical sample sizes against quality, and their power laws."""
    figure, axes = plot.panels(1, theory.sizes["rule"], width=5.6, height=4.6)
    for ax, rule, letter in zip(axes, theory["rule"].values, "ab", strict=True):
        power = -4 if rule == "unsupervised" else -2
        with plot.style():
            for i, load in enumerate(theory["load"].values):
                one = theory.sel(rule=rule, load=load)
                ax.plot(one["quality"], one["critical_sample_size"], color=colour(i), label=rf"$\alpha={load:g}$")
                ax.plot(one["quality"], one["weak_sample_size"], color=colour(i), ls=":", lw=1.4)
            ax.plot([], [], color="black", ls=":", lw=1.4, label=rf"$r\to0$: $\propto r^{{{power}}}$")
            log_ticks(ax, theory["quality"].values)
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.8)
            ax.set_xlabel(axis_label(theory["quality"]))
            ax.set_ylabel(axis_label(theory["critical_sample_size"]))
            ax.legend()
        panel_title(ax, letter, str(rule))
    return figure


def fields(study: EmergenceOfAConcept, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Local fields of the retrieval state at T = 0, with the gap that the reaction of the others opens."""
    figure, (ax,) = plot.panels(1, 1, width=6.4, height=4.4)
    with plot.style():
        h = experiment["field"].values
        ax.plot(theory["field"], theory["field_density"], color=colour(0), label="theory")
        ax.errorbar(
            h,
            experiment["field_density"],
            experiment["field_density_error"],
            ls="none",
            marker="o",
            ms=4.5,
            color=colour(1),
            label=f"simulation, $N={study.curve_size}$",
        )
        ax.set_xlim(h.min() - 0.1, h.max() + 0.1)
        ax.set_xlabel(axis_label(experiment["field"]))
        ax.set_ylabel(axis_label(experiment["field_density"]))
        ax.legend(loc="upper left")
    model = study.field_model()
    panel_title(ax, "", f"$r={model.quality:g}$, $M={model.examples}$, $\\alpha={model.load:g}$, $T=0$, {model.rule}")
    return figure
