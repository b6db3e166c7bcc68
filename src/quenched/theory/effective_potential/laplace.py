"""Weights of basins by Laplace's method on the effective potential, beside exact ones.

    w_i ~ exp(-v(theta_i)/T) det(Hess v(theta_i))^(-1/2),    Hess v = Sigma^-1 H at leading order

Small temperatures choose the minimum that is deepest in v, larger ones the one that is flattest in v. Source: Bradley,
Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.integrate import cumulative_simpson
from scipy.special import softmax

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.numerics.critical_points import critical_point
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.effective_potential.line import Function, on_grid, recorded

for _name, _label in {
    "minimum": Label("place of a minimum", r"\theta_i"),
    "depth": Label("depth in the effective potential at zero temperature", r"v_0(\theta_i)"),
    "well_curvature": Label("curvature of the training loss at a minimum", "H"),
    "noise_variance": Label("variance of the gradient of a sample", r"\Sigma"),
    "basin_mass": Label("probability of a basin", "P"),
    "laplace_mass": Label("probability of a basin by Laplace's method", r"P_{\mathrm{Laplace}}"),
}.items():
    register_label(_name, _label)


def laplace_weights(values: Any, hessians: Any, temperature: float | int) -> Float[np.ndarray, " basin"]:
    """Probabilities of basins from the values (basin,) of v at its minima and its Hessians (basin, d, d), or (basin,) for d = 1.

    Raises ``ParameterError`` for shapes that do not fit, T <= 0, or a Hessian that is not positive.
    """
    checks.positive("temperature", temperature)
    v, h = np.atleast_1d(np.asarray(values, float)), np.asarray(hessians, float)
    h = h[:, None, None] if h.ndim == 1 else h
    if v.ndim != 1 or h.ndim != 3 or h.shape[0] != len(v) or h.shape[1] != h.shape[2]:
        raise checks.ParameterError(f"hessians must be (basin, d, d) for values (basin,), got {h.shape} and {v.shape}")
    # Sigma^-1 H is not symmetric, but similar to a symmetric matrix: its eigenvalues are real
    rates = np.linalg.eigvals(h).real
    if not rates.min() > 0:
        raise checks.ParameterError(f"hessians must be positive, got an eigenvalue {rates.min():.4g}")
    return softmax(-v / float(temperature) - 0.5 * np.log(rates).sum(axis=1))


def basin_weights(
    loss: AbstractLandscape,
    temperature: float | int,
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    points: int = 120_001,
    wall: float | int = 10.0,
) -> xr.Dataset:
    """Every minimum of a loss of one dimension in [low, high], with its probability, exact and by Laplace: dims (basin,).

    Variables ``minimum``, ``depth`` v_0 = int U'/Sigma (the lowest is 0), ``well_curvature`` U'', ``noise_variance`` Sigma,
    ``basin_mass`` by quadrature between the barriers, and ``laplace_mass`` with Hess v = U''/Sigma. Options and errors as
    ``effective_potential``; ``ParameterError`` for a loss without a minimum inside.
    """
    checks.positive("temperature", temperature)
    t = float(temperature)
    grid = on_grid(loss, noise, low, high, points)
    falls = np.flatnonzero((grid.slope[:-1] < 0) & (grid.slope[1:] >= 0))
    if not len(falls):
        raise checks.ParameterError(f"loss must have a minimum in [{low:g}, {high:g}], got none")
    minima = [critical_point(loss.potential, grid.x[i]) for i in falls]
    places = np.array([m.position[0] for m in minima])
    tops = [a + int(np.argmax(grid.loss[a:b])) for a, b in itertools.pairwise(falls)]
    level = cumulative_simpson(grid.slope / grid.noise, x=grid.x, initial=0.0)
    depth, sigma = np.interp(places, grid.x, level), np.interp(places, grid.x, grid.noise)
    curvature = np.array([m.hessian[0, 0] for m in minima])
    p = np.exp(grid.log_probability(t, wall=float(wall)))
    cumulated = np.concatenate([[0.0], np.cumsum(p)[tops], [1.0]])
    variables = {
        "minimum": places,
        "depth": depth - depth.min(),
        "well_curvature": curvature,
        "noise_variance": sigma,
        "basin_mass": np.diff(cumulated),
        "laplace_mass": laplace_weights(depth + t * np.log(sigma), curvature / sigma, t),
    }
    record = {"engine": "basin_weights", "loss": recorded(loss), "noise": noise, "temperature": t}
    return dataset({name: (("basin",), v) for name, v in variables.items()}, {"basin": np.arange(len(places))}, record)
