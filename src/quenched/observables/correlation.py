"""What follows from the two-time functions C(t,t') and R(t,t'): displacements and the integrated response."""

from __future__ import annotations

import numpy as np
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.records.labels import LABELS


def half_displacement(correlation: xr.DataArray) -> xr.DataArray:
    """B(t,t') = |w(t) - w(t')|^2/(2d) = [C(t,t) + C(t',t')]/2 - C(t,t').

    ``correlation`` has dimensions ``t`` and ``t_prime`` with the same steps, and any others; the result has its shape. B is a
    small difference of large numbers: give C in float64 (theory), and in a simulation record B itself (``PerturbationResponse``
    does).
    """
    diagonal = _diagonal(correlation)
    b = (diagonal + diagonal.rename(t="t_prime").assign_coords(t_prime=correlation["t_prime"])) / 2 - correlation
    return _label(b.transpose(*correlation.dims), "half_displacement")


def mean_square_displacement(correlation: xr.DataArray) -> xr.DataArray:
    """|w(t) - w(t')|^2/d = 2 B(t,t'), from C; see ``half_displacement``."""
    displacement = 2 * half_displacement(correlation)
    attributes = {"long_name": "mean-square displacement per weight", "symbol": r"|w(t)-w(t')|^2/N", "units": "1"}
    return displacement.rename("mean_square_displacement").assign_attrs(attributes)


def decorrelation(correlation: xr.DataArray) -> xr.DataArray:
    """1 - C(t,t')/sqrt(C(t,t) C(t',t')): one minus the cosine of the angle between w(t) and w(t'). NaN where w = 0."""
    diagonal = _diagonal(correlation)
    other = diagonal.rename(t="t_prime").assign_coords(t_prime=correlation["t_prime"])
    values = 1 - correlation / np.sqrt(diagonal * other)
    attributes = {"long_name": "decorrelation", "symbol": r"1-\cos(w(t),w(t'))", "units": "1"}
    return values.transpose(*correlation.dims).rename("decorrelation").assign_attrs(attributes)


def integrated_response(response: xr.DataArray, lr: np.ndarray | None = None) -> xr.DataArray:
    """chi(t,tw) = sum over s in [tw, t) of lr_s R(t,s), with dimensions ``t`` and ``t_prime`` (= tw); 0 for t <= tw.

    ``response`` must be known at EVERY step between its first and its last. ``lr`` are the learning rates lr_s of the steps in
    ``t`` (the last is not used); by default the differences of ``t``, which is the sum of learning rates. R(t,s) is the
    response to lr_s F(s), so that R(s+1,s) = 1 and chi(tw+1,tw) = lr_tw.

    Raises ``ParameterError`` where steps are missing: the sum over s needs all of them.
    """
    steps = response["step"].values if "step" in response.coords else np.arange(response.sizes["t"])
    if response.sizes["t"] != response.sizes["t_prime"] or np.any(np.diff(steps) != 1):
        raise ParameterError(
            "response must be given at every step to be integrated: solve with times=None, or pass consecutive times"
        )
    times = response["t"].values
    rates = np.append(np.diff(times), 0.0) if lr is None else np.asarray(lr, np.float64)
    if rates.shape != times.shape:
        raise ParameterError(f"lr must have one value per step, {times.shape[0]}, got {rates.shape}")
    causal = response.transpose(..., "t", "t_prime")
    weighted = np.tril(np.asarray(causal.values, np.float64) * rates, -1)
    summed = np.cumsum(weighted[..., ::-1], axis=-1)[..., ::-1]
    return _label(causal.copy(data=summed).transpose(*response.dims), "integrated_response")


def _diagonal(correlation: xr.DataArray) -> xr.DataArray:
    """C(t,t)."""
    if "t" not in correlation.dims or "t_prime" not in correlation.dims:
        raise ParameterError(f"correlation must have dimensions t and t_prime, got {correlation.dims}")
    if not np.array_equal(correlation["t"].values, correlation["t_prime"].values):
        raise ParameterError("correlation must be given at the same times along t and t_prime")
    index = xr.DataArray(np.arange(correlation.sizes["t"]), dims="t")
    diagonal = correlation.isel(t=index, t_prime=index)
    return diagonal.drop_vars([name for name in ("t_prime", "step_prime") if name in diagonal.coords])


def _label(values: xr.DataArray, name: str) -> xr.DataArray:
    return values.rename(name).assign_attrs(LABELS[name].attributes())
