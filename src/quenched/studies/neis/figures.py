"""Figures of the study: variance during training, flow lines, methods at one budget, flows without variance, the funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, marker, panel_title
from quenched.sampling import (
    AbstractField,
    AbstractTarget,
    Funnel,
    FunnelField,
    GenericField,
    GradientField,
    four_modes,
    two_modes,
)
from quenched.studies.neis import zero
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.neis.study import Neis


class Published(NamedTuple):
    """What figures of the paper show: relative variance at the end of the training, and medians of estimate over exact value."""

    variance: float | None
    medians: dict[str, float]


_ANNEALED = {"AIS, K = 10": 0.84}
PUBLISHED: tuple[tuple[AbstractTarget, AbstractField, Published], ...] = (
    (two_modes(), GradientField(20), Published(1.5, _ANNEALED)),
    (two_modes(), GenericField(20), Published(1.0, _ANNEALED)),
    (four_modes(), GradientField(30), Published(5.0, {})),
    (Funnel(), FunnelField(), Published(None, {"AIS, K = 10": 0.645, "AIS, K = 100": 0.735, "NEIS": 0.97})),
)
"""Read off the paper's figures, to about a tenth."""


def draw(study: Neis, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    found = {}
    if "curve" in experiment:
        found["training"] = training(study, theory["target"], experiment)
    if "lines" in experiment:
        found["flow"] = flow(study, experiment["lines"])
    if "methods" in experiment:
        found["methods"] = methods(study, experiment["methods"])
    if "line" in experiment:
        found["zero-variance"] = zero_variance(theory, experiment)
    if isinstance(study.field, FunnelField) and study.training.steps:
        found["path"] = path(experiment["path"])
    return found


def published(study: Neis) -> Published:
    """The paper's numbers for this target and field."""
    known = (numbers for target, field, numbers in PUBLISHED if (study.target, study.field) == (target, field))
    return next(known, Published(None, {}))


# ---- training


def training(study: Neis, theory: xr.Dataset, experiment: Mapping[str, xr.Dataset]) -> Figure:
    """Relative variance against the step, with the value without a flow; the assisted window is shaded."""
    figure, (ax,) = plot.panels(1, 1, width=7.6, height=4.8)
    history, curve = experiment["training"], experiment["curve"]
    with plot.style():
        vanilla = float(theory["vanilla_relative_variance"])
        if np.isfinite(vanilla):
            ax.axhline(vanilla, color="black", ls="--", lw=1.6, label="no flow, exact")
        assisted = history["step"].values[history["assisted_probability"].values > 0]
        if assisted.size:
            ax.axvspan(-0.5, assisted[-1] + 0.5, color="grey", alpha=0.13, lw=0, label="assisted batches: biased")
        batch = history["training_relative_variance"]
        ax.plot(history["step"], batch, "o", ms=3.5, color=colour(5), label=f"training batch of {study.training.samples}")
        value, error = curve["relative_variance"].values, curve["relative_variance_error"].values
        # a sample that missed large weights can leave less than nothing; an error as large as its value has no lower end
        value = np.where(value > 0, value, np.nan)
        low = np.fmin(error, 0.9 * value)
        ax.errorbar(curve["step"], value, (low, error), marker="s", color=colour(1), label="fresh points")
        number = published(study).variance
        if number is not None:
            ax.plot([study.training.steps], [number], "D", ms=10, mfc="none", color="black", mew=1.6, label="published", zorder=5)
        ax.set_yscale("log")
        ax.set_xlim(-1, study.training.steps + 1.5)
        ax.set_xlabel(axis_label(curve["step"]).replace("step", "training step"))
        ax.set_ylabel(r"$\mathrm{Var}\,A/(E\,A)^2$: relative variance of a weight")
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93))
    return figure


# ---- flow lines


def flow(study: Neis, lines: xr.Dataset) -> Figure:
    """Orbits of base points over unit time, before and after training, over the target (its slice through the plane)."""
    figure, axes = plot.panels(1, 2, width=5.2, height=5.2)
    reach = _reach(study.target)
    for ax, when, letter in zip(axes, lines["when"].values, "ab", strict=True):
        orbits = lines["orbit"].sel(when=when).values
        _density(study.target, reach, ax)
        with plot.style():
            for orbit in orbits:
                ax.plot(*orbit.T, color=colour(0), lw=1.0, alpha=0.6)
            ax.plot(*orbits[:, 0].T, "o", ms=3, color="black", label="start, $N(0,I)$")
            ax.plot(*orbits[:, -1].T, "o", ms=4, color=colour(1), label="after unit time")
            ax.set_xlim(*reach[0])
            ax.set_ylim(*reach[1])
            ax.set_aspect("equal")
            ax.set_xlabel("$x_1$: first coordinate")
            ax.set_ylabel("$x_2$: second coordinate")
        panel_title(ax, letter, f"{when} training")
    with plot.style():
        axes[0].plot([], [], color="grey", label="target")
        axes[0].legend(loc="lower left", fontsize=10)
    return figure


def _reach(target: AbstractTarget) -> tuple[tuple[float, float], tuple[float, float]]:
    if isinstance(target, Funnel):
        return (-10.0, 8.0), (-9.0, 9.0)
    means = np.asarray(getattr(target, "means", ((0.0, 0.0),)))[:, :2]
    low, high = np.minimum(means.min(0), 0) - 5, np.maximum(means.max(0), 0) + 5
    half = (high - low).max() / 2
    (x, y) = (low + high) / 2
    return (x - half, x + half), (y - half, y + half)


def _density(target: AbstractTarget, reach: tuple[tuple[float, float], tuple[float, float]], ax: Axes) -> None:
    # a slice says little about a funnel; its plane of two coordinates has a funnel as marginal law
    target = Funnel(2, target.width, target.radius) if isinstance(target, Funnel) else target
    first, second = (np.linspace(*side, 161) for side in reach)
    grid = np.zeros((161, 161, target.dimension))
    grid[..., 0], grid[..., 1] = np.meshgrid(first, second)
    with jax.enable_x64(True):
        values = np.asarray(jax.vmap(jax.vmap(target.log_density))(jax.numpy.asarray(grid)))
    with plot.style():
        ax.contour(
            first, second, values - values.max(), levels=[-8, -4.5, -2, -0.5], colors="grey", linestyles="solid", linewidths=1.1
        )


# ---- methods


def methods(study: Neis, found: xr.Dataset) -> Figure:
    """Estimates of every method at the same number of queries: boxes, each repeat as a point."""
    names = found["method"].values.tolist()
    figure, (left, right) = plot.panels(1, 2, width=6.0, height=4.8)
    ratio = np.exp(found["log_ratio_deviation"].values)
    numbers = published(study).medians
    with plot.style():
        for ax, values in ((left, ratio), (right, found["relative_variance"].values)):
            boxes = ax.boxplot(values.T, positions=range(len(names)), widths=0.5, showfliers=False, patch_artist=True)
            for i, box in enumerate(boxes["boxes"]):
                box.set(facecolor=colour(i), alpha=0.3)
                boxes["medians"][i].set(color=colour(i), lw=2.5)
                spread = i + 0.3 * np.linspace(-0.5, 0.5, values.shape[1])
                ax.plot(spread, values[i], ls="none", marker=marker(i), ms=5, color=colour(i))
            ax.set_xticks(range(len(names)), names)
            ax.set_xlabel("method")
        left.axhline(1.0, color="black", ls="--", lw=1.6, label="exact")
        for k, (name, value) in enumerate((n, v) for n, v in numbers.items() if n in names):
            label = "published (median)" if k == 0 else None
            left.plot(names.index(name) + 0.36, value, "D", ms=9, mfc="none", color="black", mew=1.6, label=label)
        left.set_ylim(bottom=0)
        left.set_ylabel(r"$\hat Z/Z$: estimate over exact value")
        left.legend(loc="upper right")
        right.set_yscale("log")
        right.set_ylabel(r"$\mathrm{Var}\,w/(E\,w)^2$: relative variance seen")
    queries = rf"${float(found.attrs['budget']) / 1e6:.2g}\times10^6$ queries each"
    panel_title(left, "a", f"{found.sizes['repeat']} estimates, {queries}")
    panel_title(right, "b", "their weights")
    return figure


# ---- flows without variance


def zero_variance(theory: Mapping[str, xr.Dataset], experiment: Mapping[str, xr.Dataset]) -> Figure:
    """The line with a constant field; spread on the torus against the window; transport of uniform points to three bumps."""
    figure, (first, second, third) = plot.panels(1, 3, width=5.2, height=4.7)
    with plot.style():
        expected, found = theory["line"]["weight"], experiment["line"]["weight"]
        for i, window in enumerate(expected["window"].values):
            label = "no flow" if window == 0 else f"$T={window:g}$"
            first.plot(expected["start"], expected.sel(window=window), color=colour(i), label=label)
            if window:
                own = found.sel(window=window)[:: max(1, found.sizes["start"] // 25)]
                first.plot(own["start"], own, ls="none", marker=marker(i), ms=5, color=colour(i))
        first.set_ylim(-0.05, 4.6)
        first.set_xlabel(axis_label(expected["start"]))
        first.set_ylabel(r"$A(x)/(Z_1/Z_0)$: weight")
        first.legend(loc="upper left", ncols=2, title="lines: closed form", borderaxespad=0.1)
        spread = experiment["torus"]["weight_spread"]
        ends = theory["torus"]["weight_spread"]
        second.plot(ends["window"], ends, color=colour(0), label=r"theory: ends of the orbits")
        second.plot(spread["window"], spread, "o", color=colour(0), label="weights of uniform starts")
        second.plot(0, zero.DEPTH / 2, "s", ms=11, mfc="none", color=colour(1), mew=1.6, label="no flow, exact")
        second.set_yscale("log")
        second.set_xlabel(axis_label(spread["window"]))
        second.set_ylabel(r"$\sigma_A$: standard deviation of the weight")
        second.legend(loc="upper right")
        _bumps(experiment["transport"], third)
    panel_title(first, "a", "on the line, $b=1$")
    panel_title(second, "b", r"on the torus, $\nabla\cdot b=\rho_1-\rho_0$")
    panel_title(third, "c", "transport to three bumps")
    return figure


def _bumps(found: xr.Dataset, ax: Axes) -> None:
    side = np.linspace(0, 1, 101)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    with jax.enable_x64(True):
        density = np.exp(np.asarray(jax.vmap(jax.vmap(zero.log_three))(jax.numpy.asarray(grid))))
    ax.contour(side, side, density / density.mean(), levels=[0.5, 1, 2, 3], colors="grey", linewidths=1.1)
    ax.plot(*found["point"].values.T, "o", ms=2.5, color="black", alpha=0.5, label="before")
    ax.plot(*found["image_point"].values.T, "o", ms=3.5, color=colour(1), label="after")
    ax.set_aspect("equal")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("$x_1$: first coordinate")
    ax.set_ylabel("$x_2$: second coordinate")
    legend = ax.legend(loc="lower right", ncols=2, handletextpad=0.1, columnspacing=0.8, frameon=True, framealpha=0.9)
    legend.get_frame().set_linewidth(0)


# ---- the funnel


def path(found: xr.Dataset) -> Figure:
    """The two numbers of the funnel's field during training; what the paper reports at the end as a box."""
    figure, (ax,) = plot.panels(1, 1, width=6.0, height=4.6)
    alpha, beta = found["trained_parameters"].values.T
    with plot.style():
        ax.plot(beta, alpha, "-", color=colour(0), lw=1.2)
        points = ax.scatter(beta, alpha, c=found["after"], s=18, cmap="viridis", zorder=3)
        figure.colorbar(points, ax=ax, label="$k$: training step")
        ax.plot(4.7, 4.15, "D", ms=10, mfc="none", color="black", mew=1.6)
        ax.errorbar(4.7, 4.15, 0.55, 0.3, fmt="none", color="black", lw=1.2, label="published: range at the end")
        ax.set_xlabel(r"$\beta$: speed along $x_1$")
        ax.set_ylabel(r"$\alpha$: contraction of $x_2,\dots,x_d$")
        ax.legend(loc="lower right")
    return figure
