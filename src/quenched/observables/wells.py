"""Rates between two wells, from populations of many runs or from first arrivals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.optimize import OptimizeWarning, curve_fit

from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

TIME_UNITS = ("steps", "eta_k", "t_prime")
"""Steps k, eta k (the sum of learning rates, the time of ``simulate``), and eta k/(1 - beta) with momentum beta."""

register_label("relaxation_rate", Label("rate of relaxation between the wells", "k"))
register_label("plateau", Label("fraction in the second well in the end", "P"))
register_label("amplitude", Label("amplitude of the slow exponential", "a"))
register_label("arrival_rate", Label("rate of first arrivals", "r"))


def population_rate(
    times: Any, there: Any, *, amplitude: float | int | None = None, resamples: int = 200, seed: int = 0, time_unit: str = "eta_k"
) -> xr.Dataset:
    """Fit of f(t) = P (1 - a exp(-k t)) to the fraction f of runs in the second well; errors by a bootstrap over runs.

    ``times`` (t,), increasing; ``there`` (run, t): whether a run is in the second well. ``amplitude`` fixes a; None (default)
    leaves it free, which takes up the first moments, when the density inside the first well has not settled. The rate k measures
    r_ab + r_ba. Results: ``relaxation_rate``, ``plateau``, ``amplitude``, each with ``*_error``;
    attributes ``method`` "particles" and ``time_unit``, that of ``times``.

    Raises ``ParameterError`` for other shapes, and ``ConvergenceError`` if no fit is found, as where nobody has moved.
    """
    t, marks = np.asarray(times, float), np.asarray(there, float)
    if t.ndim != 1 or marks.ndim != 2 or marks.shape[1] != len(t) or len(t) < 4:
        raise checks.ParameterError(
            f"there must have a row per run and a column for each of at least 4 times, got {marks.shape}, {t.shape}"
        )
    checks.integer_at_least("resamples", resamples, 2)
    checks.one_of("time_unit", time_unit, TIME_UNITS)
    if np.ptp(marks.mean(axis=0)) == 0:
        raise checks.ConvergenceError(f"the fraction fits no exponential: it is {marks[0, 0]:.3g} at all times")
    value = _fit(t, marks.mean(axis=0), None if amplitude is None else float(amplitude))
    draws = np.random.default_rng(seed).multinomial(len(marks), np.full(len(marks), 1 / len(marks)), resamples) / len(marks)
    again = np.stack([_fit(t, row, None if amplitude is None else float(amplitude)) for row in draws @ marks])
    found: dict[str, Any] = {}
    for name, one, error in zip(("relaxation_rate", "plateau", "amplitude"), value, again.std(axis=0, ddof=1), strict=True):
        found |= {name: ((), one), f"{name}_error": ((), error)}
    how = {"engine": "population_rate", "amplitude": amplitude, "resamples": resamples, "seed": seed}
    return dataset(found, {}, how, method="particles", time_unit=time_unit)


def _fit(t: Float[np.ndarray, " t"], f: Float[np.ndarray, " t"], amplitude: float | None) -> Float[np.ndarray, " three"]:
    """Rate, plateau, amplitude."""
    top = max(float(f.max()), 1e-12)
    half = float(t[np.argmax(f >= 0.5 * top)]) or float(t[-1])
    start = [np.log(np.log(2) / half), top]

    def curve(t: Any, log_rate: float, plateau: float, a: float = 1.0 if amplitude is None else amplitude) -> Any:
        # in logarithms: a rate is positive
        return plateau * (1 - a * np.exp(-np.exp(np.clip(log_rate, -100, 100)) * t))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, _ = curve_fit(curve, t, f, p0=start + ([1.0] if amplitude is None else []))
    except (RuntimeError, OptimizeWarning) as error:
        raise checks.ConvergenceError(f"the fraction fits no exponential, its largest value is {top:.3g}: {error}") from error
    return np.array([np.exp(best[0]), best[1], best[2] if amplitude is None else amplitude])


def contrast_rate(
    times: Any,
    from_first: Any,
    from_second: Any,
    *,
    paired: bool = False,
    resamples: int = 200,
    seed: int = 0,
    time_unit: str = "eta_k",
) -> xr.Dataset:
    """Fit of D(t) = a exp(-k t) to the difference of the fractions in the second well of runs that started in either well.

    No plateau enters: k can be read off long before the populations have settled. ``times`` (t,); ``from_first`` and
    ``from_second`` (run, t): whether a run that started in the first (second) well is in the second. Errors by a bootstrap over
    runs; ``paired``: run i of both sets had the same random numbers. Results: ``relaxation_rate`` k, ``amplitude`` a, with
    ``*_error``.

    Raises ``ParameterError`` for other shapes, ``ConvergenceError`` where nobody has crossed.
    """
    t, first, second = np.asarray(times, float), np.asarray(from_first, float), np.asarray(from_second, float)
    if t.ndim != 1 or any(marks.ndim != 2 or marks.shape[1] != len(t) for marks in (first, second)) or len(t) < 3:
        raise checks.ParameterError(
            f"runs must have a row each and a column for each of at least 3 times, got {first.shape}, {second.shape}, {t.shape}"
        )
    checks.integer_at_least("resamples", resamples, 2)
    checks.one_of("time_unit", time_unit, TIME_UNITS)
    if paired and len(first) != len(second):
        raise checks.ParameterError(f"paired runs must be equally many, got {len(first)} and {len(second)}")
    value = _decay(t, second.mean(axis=0) - first.mean(axis=0))
    rng = np.random.default_rng(seed)
    here, there = (rng.multinomial(n, np.full(n, 1 / n), resamples) / n for n in (len(first), len(second)))
    again = (here if paired else there) @ second - here @ first
    scatter = np.std([_decay(t, row) for row in again], axis=0, ddof=1)
    found: dict[str, Any] = {}
    for name, one, error in zip(("relaxation_rate", "amplitude"), value, scatter, strict=True):
        found |= {name: ((), one), f"{name}_error": ((), error)}
    how = {"engine": "contrast_rate", "paired": paired, "resamples": resamples, "seed": seed}
    return dataset(found, {}, how, method="particles", time_unit=time_unit)


def _decay(t: Float[np.ndarray, " t"], contrast: Float[np.ndarray, " t"]) -> Float[np.ndarray, " two"]:
    """Rate and amplitude."""
    if not contrast.max() > contrast.min():
        raise checks.ConvergenceError(f"the contrast of the two starts must fall, got {contrast[0]:.3g} at all times")
    ratio = np.clip(contrast[-1] / max(contrast[0], 1e-12), 1e-3, 1 - 1e-3)
    try:
        best, _ = curve_fit(lambda x, k, a: a * np.exp(-k * x), t, contrast, p0=[-np.log(ratio) / (t[-1] - t[0]), 1.0])
    except RuntimeError as error:
        raise checks.ConvergenceError(f"the contrast of the two starts fits no exponential: {error}") from error
    return best


def arrival_rate(stop_step: Any, steps: int, per_step: float | int = 1.0, time_unit: str = "steps") -> xr.Dataset:
    """The rate of first arrivals: their number over the time that all runs together have spent under way.

    ``stop_step`` of each run (-1: has not arrived within ``steps``), as ``simulate`` records it with a stop condition;
    ``per_step`` is the time of a step in ``time_unit``. The estimate of largest likelihood for an exponential law, with the runs
    that are not there yet: ``arrival_rate`` and its error, rate/sqrt(number). Raises ``ParameterError`` where nobody has arrived.
    """
    stops = np.asarray(stop_step).ravel()
    checks.integer_at_least("steps", steps, 1)
    checks.positive("per_step", per_step)
    checks.one_of("time_unit", time_unit, TIME_UNITS)
    arrived = stops >= 0
    if not arrived.any():
        raise checks.ParameterError(f"stop_step must name an arrival, got none among {stops.size} runs of {steps} steps")
    rate = arrived.sum() / (np.where(arrived, stops, steps).sum() * per_step)
    found = {"arrival_rate": ((), rate), "arrival_rate_error": ((), rate / np.sqrt(arrived.sum()))}
    how = {"engine": "arrival_rate", "steps": steps, "per_step": per_step}
    return dataset(found, {}, how, method="particles", time_unit=time_unit)
