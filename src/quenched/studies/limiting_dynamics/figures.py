"""Figures of the study: displacements, the plane with its current, relaxation and spectra, exponents of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from quenched import plot
from quenched.plot.style import axis_label, colour, panel_title
from quenched.studies.limiting_dynamics import plane
from quenched.studies.limiting_dynamics.network import SWEEPS
from quenched.studies.summary import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quenched.studies.limiting_dynamics.study import LimitingDynamics

Groups = Mapping[str, xr.Dataset]

PUBLISHED: dict[str, tuple[list[float], list[float]]] = {
    "learning_rate": ([1e-5, 6.2e-5, 1.7e-4, 1e-3], [1.325, 1.03, 0.96, 0.895]),
    "batch_size": ([32, 84, 188, 397, 606, 1024], [1.145, 1.03, 0.97, 1.01, 1.09, 1.17]),
    "momentum": ([0.80, 0.88, 0.95, 0.99], [1.05, 1.00, 0.955, 0.913]),
}
"""Exponents of ResNet-18 on ImageNet, read off figure 7 of the paper (error 0.01)."""
RESNET = "ResNet-18 on ImageNet"


def draw(study: LimitingDynamics, tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of the study, from the outcome of ``run``; parts that the study leaves out are left out."""
    theory, experiment = groups(tree)
    figures = {"displacement": displacement(theory, experiment), "relaxation": relaxation(theory, experiment)}
    if "plane" in theory:
        figures["plane"] = modified_loss(theory["plane"], experiment["plane"])
    if "anatomy" in experiment:
        figures["network"] = network(theory, experiment)
    return figures


# ---- displacement


def displacement(theory: Groups, experiment: Groups) -> Figure:
    """Stationary start by every formula; batches with and without replacement; spectra of power laws."""
    parts = [name for name in ("stationary", "epochs", "power_laws") if name in theory]
    titles = {"stationary": "stationary start", "epochs": "from the minimum", "power_laws": "power-law spectra"}
    figure, axes = plot.panels(1, len(parts), width=5.8)
    for ax, name, letter in zip(axes, parts, "abc", strict=False):
        ax.set_xscale("log")
        ax.set_yscale("log")
        plot.compare(theory[name], experiment.get(name), "global_displacement", ax, dim="step")
        ax.set_ylabel(r"$E|\theta_k-\theta_0|^2$")
        if name == "power_laws":
            _closed(theory[name], ax)
        panel_title(ax, letter, titles[name])
    return figure


def _closed(theory: xr.Dataset, ax: Axes) -> None:
    """The closed form of the over-damped window, dotted, and the fitted exponents."""
    with plot.style():
        for name in theory["rule"].values:
            one = theory.sel(rule=name)
            inside = one["step"].values > 300
            label = f"closed form, $c={float(one['predicted_power']):.3g}$; fitted {float(one['exponent']):.3f}"
            ax.plot(one["step"][inside], one["closed_form"][inside], color="black", ls=":", lw=1.6, label=label)
        ax.set_ylim(top=300 * float(theory["global_displacement"].max()))
        ax.legend(loc="upper left")


# ---- relaxation and spectra


def relaxation(theory: Groups, experiment: Groups) -> Figure:
    """Position against time with the band of two standard deviations, the same in phase space, and power spectra."""
    count = 3 if "spectra" in experiment else 2
    figure, axes = plot.panels(1, count, width=5.8)
    expected, found = theory["relaxation"], experiment["relaxation"]
    for i, name in enumerate(expected["rule"].values):
        _path(expected.sel(rule=name), found.sel(rule=name), axes[0], i, str(name))
        _portrait(expected.sel(rule=name), found.sel(rule=name), axes[1], i, str(name))
    panel_title(axes[0], "a", "on the way to the minimum")
    panel_title(axes[1], "b", "in phase space")
    axes[1].set_ylim(top=0.09)
    for ax in axes[:2]:
        with plot.style():
            ax.legend(loc="upper right")
    if count == 3:
        axes[2].set_xscale("log")
        axes[2].set_yscale("log")
        plot.compare(theory["spectra"], experiment["spectra"], "power_spectrum", axes[2], dim="frequency")
        axes[2].set_ylabel("$S(w)$: power spectrum")
        panel_title(axes[2], "c", "power spectra")
    return figure


def _scaled(ds: xr.Dataset, by: float) -> tuple[np.ndarray, np.ndarray]:
    return ds["mode_position"].values / by, ds["mode_step"].values / by


def _path(theory: xr.Dataset, found: xr.Dataset, ax: Axes, i: int, name: str) -> None:
    with plot.style():
        k, start = theory["step"].values, abs(float(theory["mode_position"][0]))
        mean, spread = theory["mode_position"].values / start, theory["mode_spread"].values / start
        ax.fill_between(k, mean - 2 * spread, mean + 2 * spread, color=colour(i), alpha=0.15, lw=0)
        ax.plot(k, mean, color=colour(i), label=f"{name}, theory")
        shown = np.unique(np.geomspace(1, len(k), 30).astype(int)) - 1
        rows = found["mode_position"].values / start, found["mode_position_error"].values / start
        ax.errorbar(
            k[shown], rows[0][shown], rows[1][shown], fmt="o", color=colour(i), markeredgecolor="white", label="mean of runs"
        )
        ax.plot(k, found["mode_position_path"].values / start, color=colour(i), lw=0.7, alpha=0.7, label="one run")
        ax.set_xlabel(axis_label(theory["step"]))
        ax.set_ylabel(r"$q\cdot(\theta_k-\mu)$ over its first value")


def _portrait(theory: xr.Dataset, found: xr.Dataset, ax: Axes, i: int, name: str) -> None:
    with plot.style():
        start = abs(float(theory["mode_position"][0]))
        ax.plot(*_scaled(theory, start), color=colour(i), label=f"{name}, theory")
        x, v = _scaled(found, start)
        shown = np.unique(np.geomspace(1, len(x), 40).astype(int)) - 1
        ax.plot(x[shown], v[shown], "o", color=colour(i), mec="white", label="mean of runs")
        path = found["mode_position_path"].values / start, found["mode_step_path"].values / start
        ax.plot(*path, color=colour(i), lw=0.5, alpha=0.5)
        ax.set_xlabel(r"position $q\cdot(\theta_k-\mu)$")
        ax.set_ylabel(r"step $q\cdot(\theta_k-\theta_{k-1})$")


# ---- the plane


def modified_loss(theory: xr.Dataset, found: xr.Dataset) -> Figure:
    """Level lines of loss and modified loss with the stationary current, and a path; what is measured of it."""
    figure, (left, right) = plot.panels(1, 2, width=6.2, height=5.2)
    one = plane.process()
    with plot.style():
        reach = 3.2 * np.sqrt(np.diag(one.covariance).max())
        axis = np.linspace(-reach, reach, 80)
        x, y = np.meshgrid(axis, axis)
        points = np.stack([x, y], axis=-1)
        loss = 0.5 * np.einsum("...i,ij,...j->...", points, (one.drift + one.drift.T) / 2, points)
        levels = np.array([0.5, 2.0, 4.5])
        for ax, name in ((left, "loss"), (right, "modified loss")):
            values = loss if name == "loss" else one.modified_loss(points)
            ax.contour(x, y, values, levels, colors=[colour(0) if name == "loss" else colour(1)])
            ax.set_xlabel(r"$\theta_1-\mu_1$")
            ax.set_ylabel(r"$\theta_2-\mu_2$")
            ax.set_aspect("equal")
        flow = one.current(points)
        density = np.exp(-one.modified_loss(points))
        strength = np.linalg.norm(flow, axis=-1) * density
        flow = np.where(one.modified_loss(points)[..., None] < levels.max(), flow, np.nan)
        right.streamplot(x, y, flow[..., 0], flow[..., 1], color="0.6", density=0.8, linewidth=1.5 * strength / strength.max())
        for ax in (left, right):
            ax.plot(found["path_1"], found["path_2"], color="black", lw=0.5, alpha=0.5)
            ax.set_xlim(-reach, reach)
            ax.set_ylim(-reach, reach)
    panel_title(left, "a", "level lines of the loss, a path")
    rate, error = float(found["circulation_rate"]), float(found["circulation_rate_error"])
    panel_title(right, "b", f"modified loss, current $2Q={float(theory['circulation_rate']):.3g}$, paths {rate:.2f}±{error:.2f}")
    return figure


# ---- the network


def network(theory: Groups, experiment: Groups) -> Figure:
    """Exponents over learning rate, batch size and momentum; step lengths; Hessian density; noise along its eigenvectors."""
    figure, axes = plot.panels(2, 3, width=5.6)
    for ax, dim, letter in zip(axes, SWEEPS, "abc", strict=False):
        if dim != "momentum":
            ax.set_xscale("log")
        plot.compare(theory[dim], experiment[dim], "exponent", ax, dim=dim, published={RESNET: PUBLISHED[dim]})
        if letter != "a" and (legend := ax.get_legend()) is not None:
            legend.remove()
        panel_title(ax, letter, "exponent")
    _strides(theory, experiment, axes[3])
    _density(experiment["anatomy"], axes[4])
    _alignment(experiment["anatomy"], axes[5])
    return figure


def _strides(theory: Groups, experiment: Groups, ax: Axes) -> None:
    """Measured over predicted step lengths."""
    with plot.style():
        for i, dim in enumerate(SWEEPS):
            expected = theory[dim]["local_displacement"].values
            found, error = (experiment[dim][n].values for n in ("local_displacement", "local_displacement_error"))
            ax.errorbar(
                expected, found / expected, error / expected, fmt="o", color=colour(i), label=dim.replace("_", " ") + " varied"
            )
        ax.axhline(1, color="black", lw=1)
        ax.set_xscale("log")
        ax.set_xlabel(r"predicted $E|\theta_k-\theta_{k-1}|^2$")
        ax.set_ylabel("measured over predicted")
        ax.legend()
    panel_title(ax, "d", "squared step length")


def _density(found: xr.Dataset, ax: Axes) -> None:
    with plot.style():
        grid, density = found["eigenvalue_grid"].values, found["spectral_density"].values
        ax.plot(grid, density, color=colour(0))
        low = 1e-6 * float(density.max())
        ax.plot(found["eigenvalue"], np.full(found.sizes["mode"], 2 * low), "|", color="black", ms=12, label="top eigenvalues")
        ax.set_yscale("log")
        ax.set_ylim(low, 10 * float(density.max()))
        ax.legend()
        ax.set_xlabel(
            axis_label(found["eigenvalue_grid"]) if "long_name" in found["eigenvalue_grid"].attrs else r"eigenvalue $\rho$"
        )
        ax.set_ylabel(axis_label(found["spectral_density"]))
    panel_title(ax, "e", f"Hessian; {100 * float(found['negative_mass']):.1f} % negative")


def _alignment(found: xr.Dataset, ax: Axes) -> None:
    with plot.style():
        rho, along = found["eigenvalue"].values, found["noise_along"].values
        inside = (rho > 0) & (along > 0)
        ax.plot(rho[inside], along[inside], "o", color=colour(0), mec="white", label="top eigenvectors")
        ends: Any = np.array([rho[inside].min(), rho[inside].max()])
        ax.plot(ends, float(found["noise_ratio"]) * ends, color="black", lw=1.2, label=r"$\Sigma=\sigma^2H$")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(axis_label(found["eigenvalue"]))
        ax.set_ylabel(axis_label(found["noise_along"]))
        ax.legend()
    panel_title(ax, "f", rf"noise and curvature, $\cos(\Sigma,H)={float(found['alignment']):.2f}$")
