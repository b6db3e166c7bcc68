"""Figures of the study: learning curves, phase diagrams, random classes, layers of replicas, what they store, and the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, log_ticks, marker, panel_title
from quenched.studies import memory_figures as shared
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.supervised_hebbian.study import SupervisedHebbian

Groups = dict[str, xr.Dataset]

PUBLISHED = {"without": 0.75, "with": 0.95}
"""Accuracies on MNIST without and with a replica layer, printed in arXiv:2203.01304."""


def draw(study: SupervisedHebbian, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {}
    if "concept" in experiment:
        figures["learning-curve"] = learning_curve(study, theory, experiment)
    if "diagrams" in theory or "point" in experiment:
        figures["phases"] = shared.point_figure(theory, experiment, "diagrams", diagrams)
    if "classes" in experiment:
        figures["classes"] = classes(study, theory["classes"], experiment["classes"])
    if "layers" in experiment:
        figures["layers"] = layers(experiment)
        figures["prototypes"] = plot.prototypes(experiment["prototypes"])
        figures["overlaps"] = plot.overlap_map(experiment["overlaps"])
        figures["ultrametricity"] = trees(experiment["ultrametricity"])
    return figures


def learning_curve(study: SupervisedHebbian, theory: Groups, experiment: Groups) -> Figure:
    """m against the number of examples, with a teacher and without."""
    figure, (ax,) = plot.panels(1, 1, width=6.6, height=4.8)
    shared.learning_curve(theory["concept"], experiment["concept"], "archetype_overlap", ax)
    with plot.style():
        ax.legend(loc="lower right")
    panel_title(ax, "", f"$r={study.quality:g}$, $\\alpha={study.load:g}$, $T=0$, $N={study.curve_size}$")
    return figure


def diagrams(theory: xr.Dataset, ax: Axes) -> None:
    """The end of retrieval and the first-order line by entropy, the spin-glass line common to all."""
    with plot.style():
        for i, rho in enumerate(theory["entropy"].values):
            one = theory.sel(entropy=rho)
            ax.plot(one["critical_load"], one["temperature"], color=colour(i), label=rf"$\rho={rho:g}$")
            ax.plot(one["first_order_load"], one["temperature"], color=colour(i), ls="--", lw=1.4)
        ax.plot(
            one["load"], one["spin_glass_temperature"], color="black", ls="-.", label=r"$T_{SG}=1+\sqrt{\alpha}$, every $\rho$"
        )
        ax.plot([], [], color="black", label="retrieval ends")
        ax.plot([], [], color="black", ls="--", lw=1.4, label="global minimum left of it")
        ax.set_xlim(0, float(theory["load"].max()))
        ax.set_ylim(0, 1.55)
        ax.set_xlabel(r"$\alpha$: load")
        ax.set_ylabel("$T$: temperature")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def classes(study: SupervisedHebbian, theory: xr.Dataset, experiment: xr.Dataset) -> Figure:
    """Accuracy on fresh examples against the number of examples that were learnt."""
    figure, (ax,) = plot.panels(1, 1, width=6.4, height=4.4)
    with plot.style():
        for i, r in enumerate(theory["quality"].values):
            line, points = theory.sel(quality=r), experiment.sel(quality=r)
            ax.plot(line["examples"], line["accuracy"], color=colour(i), label=f"$r={r:g}$")
            ax.errorbar(
                points["examples"], points["accuracy"], points["accuracy_error"], ls="none", marker=marker(i), color=colour(i)
            )
        log_ticks(ax, experiment["examples"].values)
        ax.axhline(1 / study.classes, color="grey", ls="--", lw=1, label="chance")
        ax.set_xlabel(axis_label(theory["examples"]))
        ax.set_ylabel(axis_label(theory["accuracy"]))
        ax.set_ylim(0, 1.02)
        ax.legend()
    panel_title(ax, "", f"$N={study.class_size}$, $K={study.classes}$ random classes")
    return figure


def layers(experiment: Groups) -> Figure:
    """Accuracy against the number of replicas by scoring, and of one archetype against the number of its examples."""
    figure, axes = plot.panels(1, 2, width=6.0, height=4.8)
    scores, single = experiment["layers"], experiment["saturation"]
    left, right = axes
    with plot.style():
        for i, name in enumerate(scores["scoring"].values):
            test, validation = (scores["image_accuracy"].sel(scoring=name, set=which) for which in ("test", "validation"))
            left.plot(scores["replicas"], test, color=colour(i), marker=marker(i), lw=1.2, label=str(name))
            left.plot(scores["replicas"], validation, color=colour(i), marker=marker(i), mfc="white", ls="none", ms=5)
        left.plot([], [], color="grey", marker="o", mfc="white", ls="none", ms=5, label="held-out training images")
        log_ticks(left, scores["replicas"].values)
        left.set_xlabel(axis_label(scores["replicas"]))
        right.errorbar(
            single["per_class"],
            single["image_accuracy"],
            single["image_accuracy_error"],
            ls="none",
            marker="o",
            color=colour(1),
            label="one archetype per class, centred",
        )
        log_ticks(right, single["per_class"].values)
        right.set_xlabel(axis_label(single["per_class"]))
        for ax in axes:
            for label, value in PUBLISHED.items():
                ax.axhline(
                    value, color="black", ls=":" if label == "without" else "--", lw=1, label=f"MNIST in the paper, {label} layer"
                )
            ax.set_ylabel(axis_label(scores["image_accuracy"]))
            ax.legend(fontsize=10)
        low = min(float(scores["image_accuracy"].min()), float(single["image_accuracy"].min()))
        for ax in axes:
            ax.set_ylim(low - 0.05, 1.0)
    panel_title(left, "a", "layers of replicas")
    panel_title(right, "b", "one archetype saturates")
    return figure


def trees(ds: xr.Dataset) -> Figure:
    """Ultrametric index by class, and cophenetic correlation, beside the surrogate's."""
    figure, axes = plot.panels(1, 2, width=6.0, height=4.4)
    places = np.arange(ds.sizes["class"])
    with plot.style():
        for ax, name in zip(axes, ("ultrametric_index", "cophenetic_correlation"), strict=True):
            for i, ensemble in enumerate(ds["ensemble"].values):
                values = ds[name].sel(ensemble=ensemble)
                error = ds["ultrametric_index_error"].sel(ensemble=ensemble) if name == "ultrametric_index" else None
                label = "images" if ensemble == "data" else "surrogate: independent pixels"
                ax.errorbar(places, values, error, ls="none", marker=marker(i), color=colour(i), label=label)
            ax.set_xticks(places, [str(value) for value in ds["class"].values])
            ax.set_xlabel("class")
            ax.set_ylabel(axis_label(ds[name]))
        axes[0].axhline(0.5, color="grey", ls=":", lw=1)
        axes[0].legend(loc="lower right")
    return figure
