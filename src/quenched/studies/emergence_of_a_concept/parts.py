"""Parts of the study beside its point: runs from an example, sample sizes, local fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from quenched.models import Hopfield
from quenched.models.hebbian import RULES
from quenched.numerics import checks
from quenched.observables.local_fields import field_histogram, gauged_fields
from quenched.records.labels import LABELS
from quenched.studies import learning_curves
from quenched.studies.memories import Effort, at_rest
from quenched.theory import hopfield

STATES = ("archetype", "example")
BINS = 40


def memories_expected(model: Hopfield, examples: Sequence[int]) -> xr.Dataset:
    """Order parameters (state, examples) of the archetype's state and of an example's, NaN where it does not exist."""
    parts = [learning_curves.states(model, ("unsupervised",), examples, state).isel(rule=0, drop=True) for state in STATES]
    return xr.concat(parts, xr.IndexVariable("state", list(STATES)))


def sample_sizes(qualities: Sequence[float], loads: Sequence[float]) -> xr.Dataset:
    """Critical sample sizes (rule, load, quality), Gaussian average and real M, and those of small r.

    ``weak_sample_size`` is 1/(kappa_c r^4) unsupervised and 1/(rho_c r^2) supervised.
    """
    shape = len(RULES), len(loads), len(qualities)
    exact, weak = np.full(shape, np.nan), np.empty(shape)
    r = np.asarray(qualities, float)
    for j, load in enumerate(loads):
        weak[RULES.index("unsupervised"), j] = 1 / (hopfield.critical_sample_constant(load) * r**4)
        weak[RULES.index("supervised"), j] = 1 / (hopfield.critical_entropy(load) * r**2)
        for i, rule in enumerate(RULES):
            exact[i, j] = [hopfield.critical_sample_size(load, q, rule=rule, average="gaussian") for q in qualities]
    coords = {"rule": list(RULES), "load": list(loads), "quality": ("quality", r, {"long_name": "quality", "symbol": "r"})}
    dims = ("rule", "load", "quality")
    attrs = LABELS["critical_sample_size"].attributes()
    return xr.Dataset({"critical_sample_size": (dims, exact, attrs), "weak_sample_size": (dims, weak, attrs)}, coords)


def fields_measured(model: Hopfield, size: int, effort: Effort, seed: int) -> xr.Dataset:
    """Histogram of the local fields where the archetype's run at T = 0 stops."""
    run = at_rest(model, size, effort, seed, final={"local_field": gauged_fields})
    return field_histogram(run["local_field"], bins=BINS)


def fields_expected(model: Hopfield) -> xr.Dataset:
    """Density of the local fields at T = 0; NaN where there is no retrieval."""
    h = np.linspace(-1.5, 3.0, 901)
    try:
        density = hopfield.local_field_density(model, h)
    except checks.NoSolutionError:
        density = np.full_like(h, np.nan)
    return xr.Dataset({"field_density": ("field", density)}, {"field": h})
