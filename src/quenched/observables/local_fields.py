"""The distribution of local fields: what the spins of a network feel, in the direction of a reference state."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PyTree

from quenched.numerics import checks
from quenched.records.labels import LABELS, Label, register_label

for _name, _label in {
    "field": Label("local field along the archetype", r"\xi_i h_i"),
    "field_density": Label("density of the local fields", "P(h)"),
}.items():
    register_label(_name, _label)


def gauged_fields(model: Any, weights: PyTree, disorder: PyTree) -> Float[Array, " n"]:
    """xi_i h_i of every site of one replica, xi the first archetype: the recorder of ``simulate(..., final={"local_field":
    gauged_fields})``.

    ``model`` has a method ``fields(spins, disorder)``, ``disorder`` the array ``archetypes`` (K, N).
    """
    return disorder.archetypes[0] * model.fields(weights, disorder)


def field_histogram(fields: xr.DataArray, *, bins: int = 60, limits: tuple[float, float] | None = None) -> xr.Dataset:
    """Histogram of local fields h_i as a density over ``field``, with its standard error over networks.

    ``fields`` has the sample dimensions ``disorder`` and ``replica``, and one or more others, over which fields are counted (the
    sites). ``bins`` (default 60) equal bins between ``limits`` (default: the smallest and the largest field); fields outside
    count in the norm, not in a bin. Variables ``field_density`` and ``field_density_error`` (field,), at the centres of the bins;
    the error is NaN for one sample.

    Raises ``ParameterError`` for fewer than one bin, and fields or limits that are not finite numbers.
    """
    checks.integer_at_least("bins", bins, 1)
    samples, dim = _samples(fields)
    if not np.all(np.isfinite(samples)):
        raise checks.ParameterError("fields must be finite numbers, got NaN or infinity")
    low, high = limits if limits is not None else (float(samples.min()), float(samples.max()))
    checks.positive("limits[1] - limits[0]", high - low)
    edges = np.linspace(low, high, bins + 1)
    densities = np.stack([np.histogram(row, edges)[0] / (row.size * np.diff(edges)) for row in samples])
    count = len(densities)
    error = densities.std(axis=0, ddof=1) / np.sqrt(count) if dim and count > 1 else np.full(bins, np.nan)
    known = LABELS["field_density"].attributes()
    variables = {
        "field_density": ("field", densities.mean(axis=0), known),
        "field_density_error": ("field", error, known | {"long_name": "standard error of " + known["long_name"]}),
    }
    return xr.Dataset(variables, {"field": ("field", (edges[1:] + edges[:-1]) / 2, LABELS["field"].attributes())})


def _samples(fields: xr.DataArray) -> tuple[np.ndarray, str | None]:
    """Fields (sample, site): one row per network, replicas of a network in one row; or per replica, with one network."""
    sizes = fields.sizes
    dim = "disorder" if sizes.get("disorder", 1) > 1 else "replica" if sizes.get("replica", 1) > 1 else None
    if dim is None:
        return fields.values.reshape(1, -1), None
    return fields.transpose(dim, ...).values.reshape(sizes[dim], -1), dim
