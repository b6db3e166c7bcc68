"""What trajectories near a minimum tell: the exponent of anomalous diffusion, circulation, power spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.signal import savgol_filter, welch

from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

register_label("exponent", Label("exponent of the displacement", "c"))
register_label("local_exponent", Label("local exponent", r"d\ln\langle|\Delta|^2\rangle/d\ln k"))
register_label("circulation", Label("circulation per step", r"\langle x\circ dy-y\circ dx\rangle"))


def anomalous_exponent(
    steps: Any, displacement: Any, window: tuple[float | int, float | int], *, resamples: int = 400, seed: int = 0
) -> xr.Dataset:
    """The exponent c of E|Delta_k|^2 ~ k^c: least squares of log displacement on log k over a declared ``window``.

    ``steps`` (step,): steps > 0, spread evenly in their logarithm (otherwise late steps weigh more). ``displacement`` (...,
    step): one row per run; the fit is made to the mean over runs, its error is a bootstrap over runs (NaN for one).
    Results: ``exponent``, ``exponent_error``, ``local_exponent`` (step,), smoothed by a quadratic over five points; the window
    is an attribute. c depends on it: at k = 1 motion is ballistic (c = 2), at the end it saturates (c = 0).

    Raises ``ParameterError`` for a window with fewer than five steps, steps <= 0, or displacements that are not positive.
    """
    k, rows = np.asarray(steps, float), np.asarray(displacement, float)
    rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows
    if k.ndim != 1 or rows.ndim != 2 or rows.shape[1] != len(k):
        raise checks.ParameterError(f"displacement must have the steps on its last axis, got {np.shape(displacement)}, {k.shape}")
    if k.min(initial=np.inf) <= 0:
        raise checks.ParameterError(f"steps must be > 0, got {k.min()}")
    inside = (k >= window[0]) & (k <= window[1])
    if inside.sum() < 5:
        raise checks.ParameterError(f"window must hold at least 5 of the steps, got {int(inside.sum())} in {window}")
    if not (np.all(np.isfinite(rows[:, inside])) and rows[:, inside].mean(axis=0).min() > 0):
        raise checks.ParameterError("displacement must be positive and finite within the window")

    def slope(mean: np.ndarray) -> np.ndarray:
        return np.asarray(np.polyfit(np.log(k[inside]), np.log(mean[..., inside]).T, 1)[0])

    random = np.random.default_rng(seed)
    drawn = rows[random.integers(0, len(rows), (resamples, len(rows)))].mean(axis=1)
    error = float(np.std(slope(drawn), ddof=1)) if len(rows) > 1 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rows.mean(axis=0))
    local = np.gradient(logs, np.log(k)) if len(k) > 1 else np.full(len(k), np.nan)
    if len(k) >= 5 and np.all(np.isfinite(local)):
        local = savgol_filter(local, 5, 2)
    variables = {
        "exponent": ((), float(slope(rows.mean(axis=0)))),
        "exponent_error": ((), error),
        "local_exponent": (("step",), local),
    }
    record = {"engine": "anomalous_exponent", "window": list(window), "resamples": resamples, "seed": seed}
    return dataset(variables, {"step": k}, record, window=f"{window[0]:g} to {window[1]:g}")


def circulation(x: Any, y: Any) -> xr.Dataset:
    """<x o dy - y o dx> per step of trajectories x, y (..., time), with mid-points: 2 Q_xy of an Ornstein-Uhlenbeck process.

    Scalar variables ``circulation`` and ``circulation_error``, the latter from the scatter over trajectories, or over twenty
    blocks of a single one. Zero if there is detailed balance.
    """
    x, y = (np.asarray(a, float).reshape(-1, np.shape(a)[-1]) for a in (x, y))
    if x.shape != y.shape or x.shape[1] < 3:
        raise checks.ParameterError(f"x and y must be trajectories of equal length >= 3, got {x.shape} and {y.shape}")
    # the mid-points cancel: x_m dy - y_m dx = x_k y_{k+1} - y_k x_{k+1}
    each = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
    parts = each.mean(axis=1) if len(each) > 1 else np.array([b.mean() for b in np.array_split(each[0], min(20, each.shape[1]))])
    error = parts.std(ddof=1) / np.sqrt(len(parts))
    variables = {"circulation": ((), each.mean()), "circulation_error": ((), error)}
    return dataset(variables, {}, {"engine": "circulation"})


def measured_spectrum(x: Any, segment: int = 256) -> xr.Dataset:
    """The power spectrum of trajectories x (..., time) by Welch's method, in the convention of the theory.

    ``frequency`` in radians per step, (0, pi]; the variance is the integral of ``power_spectrum`` over (-pi, pi] over 2 pi.
    ``power_spectrum_error`` is the scatter over trajectories (NaN for one).
    """
    rows = np.asarray(x, float).reshape(-1, np.shape(x)[-1])
    checks.integer_at_least("segment", segment, 8)
    if rows.shape[1] < segment:
        raise checks.ParameterError(f"segment must be <= the length of the trajectories, {rows.shape[1]}, got {segment}")
    frequency, power = welch(rows, nperseg=segment, detrend="constant")
    # one-sided in cycles per step: half of it lies at each sign, but for the largest frequency, which has one sign only
    each = power[:, 1:] / np.where(np.isclose(frequency[1:], 0.5), 1.0, 2.0)
    error = each.std(axis=0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.full(each.shape[1], np.nan)
    variables = {"power_spectrum": (("frequency",), each.mean(axis=0)), "power_spectrum_error": (("frequency",), error)}
    return dataset(variables, {"frequency": 2 * np.pi * frequency[1:]}, {"engine": "measured_spectrum", "segment": segment})
