"""Gaps h = y phi(r) of the training samples, and how wide the decision boundary is.

Full-batch descent on a hinge loss stops with many samples exactly on the margin h = kappa; noise moves them inside, so that a
noisier algorithm ends with fewer samples on the margin and a larger mean gap (arXiv:2112.10852).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PyTree

from quenched.numerics import checks
from quenched.observables.statistics import SAMPLE_DIMS, mean_error
from quenched.records.description import public
from quenched.records.labels import Label

WIDTH = 0.02
"""A sample is at the margin if h < kappa + 0.02 |kappa|."""


@public
def sample_gaps(model: Any, weights: PyTree, disorder: PyTree) -> Float[Array, " n"]:
    """h of every training sample of one replica: the recorder of ``simulate(..., final={"gap": sample_gaps})``.

    ``model`` has a method ``gaps(weights, disorder)``.
    """
    return model.gaps(weights, disorder)


def statistics(gap: xr.DataArray, margin: float = 1.0, norm: xr.DataArray | None = None) -> xr.Dataset:
    """Numbers of the boundary, each with its standard error ``*_error`` (see ``mean_error``).

    ``gap`` has sample dimensions and one axis (or more) of gaps. ``margin`` is kappa; ``norm`` is C(t,t) at the end, by sample
    (``ds.norm.isel(t=-1)``; 1 if not given, right under a spherical constraint only). Variables:

        at_margin          F = P(h < kappa + 0.02 |kappa|), the violated samples included,
        violated           P(h < kappa),
        normalised_margin  kappa/sqrt(C),
        mean_gap           <h>/sqrt(C).

    A run that stopped at a small loss l leaves its support samples below kappa by about sqrt(l): for them ``violated`` says
    little, ``at_margin`` is the stable number.
    """
    checks.finite("margin", margin)
    axes = _axes(gap)
    gap = gap.astype(np.float64)
    length = 1.0 if norm is None else np.sqrt(norm.astype(np.float64))
    first = gap.mean(axes)
    values = xr.Dataset(
        {
            "at_margin": (gap < margin + WIDTH * abs(margin)).mean(axes),
            "violated": (gap < margin).mean(axes),
            "normalised_margin": xr.zeros_like(first) + margin / length,
            "mean_gap": first / length,
        }
    )
    value, error = mean_error(values)
    result = value.assign({f"{name}_error": error[name] for name in error.data_vars})
    return _labelled(result.assign_attrs(margin=float(margin)))


def histogram(gap: xr.DataArray, bins: int = 60, limits: tuple[float, float] | None = None) -> xr.Dataset:
    """Probability density of the gaps: ``density`` and ``density_error`` along ``gap`` (the centres of the bins).

    ``limits`` default to the range of all gaps; gaps outside count in the normalisation, so that densities over different
    limits agree. The error is over data sets (``mean_error``): samples of one data set are not independent, their counts are
    not Poissonian. The coordinates ``left`` and ``right`` are the edges of the bins.
    """
    checks.integer_at_least("bins", bins, 1)
    low, high = limits if limits is not None else (float(gap.min()), float(gap.max()))
    if not high > low:
        high = low + max(abs(low), 1.0) * 1e-6
    edges = np.linspace(low, high, bins + 1)
    stacked = gap.transpose(*(dim for dim in gap.dims if dim not in _axes(gap)), ...)
    kept = [dim for dim in gap.dims if dim not in _axes(gap)]
    flat = stacked.values.reshape(*(gap.sizes[dim] for dim in kept), -1)
    counts = np.apply_along_axis(lambda h: np.histogram(h, edges)[0], -1, flat)
    density = counts / (flat.shape[-1] * np.diff(edges))
    value, error = mean_error(xr.DataArray(density, dims=[*kept, "gap"]))
    centres = ("gap", (edges[1:] + edges[:-1]) / 2, {"long_name": "gap of a sample", "symbol": "h", "units": "1"})
    coords = {"gap": centres, "left": ("gap", edges[:-1]), "right": ("gap", edges[1:])}
    return _labelled(xr.Dataset({"density": value, "density_error": error}).assign_coords(coords))


def _axes(gap: xr.DataArray) -> list[Any]:
    """The axes along which gaps lie: all but those of independent runs."""
    axes = [dim for dim in gap.dims if dim not in SAMPLE_DIMS]
    if not axes:
        raise checks.ParameterError(f"gap must have an axis of samples beside {SAMPLE_DIMS}, got dimensions {gap.dims}")
    return axes


_LABELS = {
    "at_margin": Label("fraction of samples at the margin", r"P(h<1.02\,\kappa)"),
    "violated": Label("fraction of violated samples", r"P(h<\kappa)"),
    "normalised_margin": Label("normalised margin", r"\kappa/\sqrt{C}"),
    "mean_gap": Label("normalised mean gap", r"\langle h\rangle/\sqrt{C}"),
    "density": Label("density of gaps", "P(h)"),
}


def _labelled(ds: xr.Dataset) -> xr.Dataset:
    for name, label in _LABELS.items():
        for variable in (name, f"{name}_error"):
            if variable in ds:
                ds[variable].attrs.update(label.attributes())
    return ds
