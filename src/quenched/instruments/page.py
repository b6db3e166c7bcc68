"""The one-page report of a diagnosis: figures, numbers measured and predicted side by side, and what does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from markupsafe import escape

from quenched import plot
from quenched.lab.report.content import Number, Part, Section
from quenched.lab.report.equations import equation, label
from quenched.lab.report.page import render
from quenched.lab.report.pictures import Album
from quenched.numerics import checks
from quenched.plot.style import COLOURS
from quenched.records.files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EQUATIONS = (
    r"v_{k+1} = \beta v_k - g_B(\theta_k) - \lambda\theta_k,  \theta_{k+1} = \theta_k + \eta v_{k+1}",
    r"E|\theta_k-\theta_0|^2 = \eta^2 |a_1 g+\dots+a_k g|^2 + \frac{\eta^2}{S} \mathrm{tr} \Sigma (a_1^2+\dots+a_k^2)",
    r"a_{k+1} = (1+\beta-\eta(H+\lambda)) a_k - \beta a_{k-1},  a_0=0,  a_1=1",
)
_STATEMENT = (
    "Copies of the network go on from the given parameters, each with its own batches. What is measured stands beside what "
    "linear theory, exact in discrete time, predicts from the Hessian H and the covariance Sigma of the gradients of single "
    "samples at these parameters. Where the two part, the landscape is not quadratic, or its noise not constant, over the "
    "distance moved."
)
_ROOM = 3_000_000


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Displacement measured and predicted; spectrum of the Hessian; noise along its top eigenvectors."""
    figure, axes = plot.panels(1, 3, width=5.6, height=5.0)
    with plot.style():
        _displacement(axes[0], tree)
        _spectrum(axes[1], tree["curvature"].to_dataset())
        _alignment(axes[2], tree)
    return {"diagnosis": figure}


def _displacement(ax: Axes, tree: xr.DataTree) -> None:
    measured, predicted = tree["measured"].to_dataset(), tree["predicted"].to_dataset()
    # before the points are chosen: they are spread evenly along the axis
    ax.set_xscale("log")
    plot.compare(predicted[["global_displacement", "global_displacement_error"]], measured, "global_displacement", ax, dim="step")
    for name, dashes in (("drift", "--"), ("spread", ":")):
        ax.plot(predicted["step"], predicted[name], dashes, color="0.45", lw=1.6, label=f"theory: {name}", zorder=1)
    ax.set_yscale("log")
    # a drift that is nothing at the first steps does not set the scale
    low = float(measured["global_displacement"].min())
    ax.set_ylim(bottom=low / 5 if low > 0 else None)
    ax.legend()
    ax.set_title("(a) displacement", loc="left")


def _spectrum(ax: Axes, found: xr.Dataset) -> None:
    ax.fill_between(found["eigenvalue_grid"], found["spectral_density"], color=COLOURS[0], alpha=0.35, lw=0)
    ax.plot(found["eigenvalue_grid"], found["spectral_density"], color=COLOURS[0], label="density")
    ax.set_yscale("log")
    # below that a smoothed density shows the shape of the smoothing only
    ax.set_ylim(bottom=float(found["spectral_density"].max()) * 1e-6)
    values = found["eigenvalue"].values
    ax.plot(values, np.full(len(values), ax.get_ylim()[0] * 2), "v", color=COLOURS[1], label="largest eigenvalues")
    ax.set_xlabel(r"$\rho$: curvature")
    ax.set_ylabel(r"$p(\rho)$: spectral density")
    ax.legend()
    ax.set_title("(b) Hessian", loc="left")


def _alignment(ax: Axes, tree: xr.DataTree) -> None:
    found, ratio = tree["curvature"].to_dataset(), float(tree["noise"]["noise_ratio"])
    rho, q = found["eigenvalue"].values, found["noise_along"].values
    ax.plot(rho, q, "o", color=COLOURS[0], markeredgecolor="white", label="eigenvectors")
    ends = np.array([max(rho.min(), 0), rho.max()])
    ax.plot(ends, ratio * ends, color="0.4", label=r"$\Sigma=\sigma^2 H$")
    if rho.min() > 0 and rho.max() > 10 * rho.min() and q.min() > 0:
        ax.set_xscale("log")
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel(r"$\rho$: curvature")
    ax.set_ylabel(r"$q\cdot\Sigma q$: noise along the eigenvector")
    ax.legend()
    ax.set_title("(c) noise", loc="left")


def write_page(tree: xr.DataTree, out: str | Path, title: str = "The noise of my SGD") -> Path:
    """Write a tree of ``diagnose`` as one self-contained HTML page, and return its path.

    Raises ``ParameterError`` unless ``out`` is a file in an existing folder.
    """
    out = Path(out).expanduser()
    if out.is_dir() or not out.parent.is_dir():
        raise checks.ParameterError(f"out must be a file in an existing folder, got {out}")
    album = Album(_ROOM)
    pictures = [album.picture(name, figure) for name, figure in figures(tree).items()]
    about = (
        f"{tree.attrs['weights']} weights, {tree.attrs['samples']} samples, {tree.attrs['steps']} steps of {tree.attrs['chains']}"
    )
    part = Part("Diagnosis", f"{about} chains")
    part.notes = [line for line in str(tree.attrs["cautions"]).splitlines() if line]
    part.pictures = [picture for picture in pictures if picture is not None]
    part.numbers = numbers(tree)
    part.provenance = [
        ("rule", " ".join(str(tree.attrs["rule"]).split())),
        ("window of the exponent", tree["measured"].attrs["window"]),
    ]
    section = Section("diagnose", title, statement=[escape(_STATEMENT)], equations=[equation(line) for line in _EQUATIONS])
    section.parts = [part]
    write(render(title, [section]).encode(errors="backslashreplace"), out)
    return out


def numbers(tree: xr.DataTree) -> list[Number]:
    """Every scalar of the tree, predicted and measured; what is a property of the landscape counts as measured."""
    groups = {name: tree[name].to_dataset() for name in ("curvature", "noise", "measured", "predicted")}
    rows = []
    for group in ("measured", "predicted", "curvature", "noise"):
        for name in groups[group].data_vars:
            scalar = groups[group][name].ndim == 0 and not str(name).endswith("_error")
            known = group == "predicted" and name in groups["measured"]
            # the trace of the Hessian is among the numbers of the noise too, with an error of more probes
            if not scalar or known or name == "trace":
                continue
            theory = _shown(groups["predicted"], str(name)) if group in ("measured", "predicted") else ""
            found = "" if group == "predicted" else _shown(groups[group], str(name))
            rows.append(Number(label(str(name), groups[group][name].attrs), theory, found))
    return rows


def _shown(ds: xr.Dataset, name: str) -> str:
    if name not in ds or not np.isfinite(ds[name]):
        return ""
    value, error = float(ds[name]), float(ds.get(f"{name}_error", np.nan))
    return f"{value:.4g} ± {error:.2g}" if np.isfinite(error) else f"{value:.4g}"
