"""Whether a dynamics is stationary in a window: does the second half differ from the first by more than its error?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.observables.statistics import independent, sigmas

WATCHED = ("norm", "loss", "overlap")
"""Order parameters that must not drift."""


def drift(samples: Float[np.ndarray, "sample t"], tolerance: float, scale: float) -> tuple[float, float]:
    """Mean over the second half of the times minus mean over the first, and the largest deviation that still counts as none.

    Allowed is the larger of ``tolerance`` * ``scale`` and 3 standard errors over samples (paired: the difference is taken
    sample by sample; in Student's t for their number). A single sample has no error, and leaves the tolerance alone.
    """
    half = samples.shape[1] // 2
    change = samples[:, -half:].mean(1) - samples[:, :half].mean(1)
    n = len(change)
    allowed = sigmas(n) * change.std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
    return float(change.mean()), max(tolerance * scale, float(allowed))


def drifts(fr: xr.Dataset, b: Float[np.ndarray, "sample waiting lag"], tolerance: float) -> dict[str, tuple[float, float]]:
    """Every check of stationarity by name, each a pair (drift, allowed).

    ``fr`` holds the watched order parameters along ``t``; ``b`` is the half displacement, whose drift with the waiting time is
    tested at the shortest, the middle and the longest lag. The scale of an overlap is sqrt(C(t,t)): an overlap that is zero up
    to noise does not drift.
    """
    result = {}
    for name in WATCHED:
        if name not in fr or fr.sizes["t"] < 2:
            continue
        values, dim = independent(fr[name].astype(np.float64))
        columns = values.transpose(*([dim] if dim else []), "t", ...).values
        columns = columns.reshape(values.sizes[dim] if dim else 1, values.sizes["t"], -1)
        for k in range(columns.shape[2]):
            column = columns[:, :, k]
            scale = abs(column.mean())
            if name == "overlap" and "norm" in fr:
                scale = float(np.sqrt(fr["norm"].mean()))
            result[name if columns.shape[2] == 1 else f"{name}[{k}]"] = drift(column, tolerance, scale)
    if b.shape[1] >= 2:
        lags = fr["lag"].values
        for k in sorted({0, b.shape[2] // 2, b.shape[2] - 1}):
            result[f"half_displacement at lag {lags[k]}"] = drift(b[:, :, k], tolerance, abs(b[:, :, k].mean()))
    return result
