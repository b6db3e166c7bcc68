"""Fluctuation and response: the effective temperature of a stationary dynamics.

At equilibrium the half mean-square displacement B and the integrated response chi after a waiting time tw obey B = T chi at
every lag. Out of equilibrium their ratio defines an effective temperature, which may depend on the lag (arXiv:2112.10852). One
function serves theory and simulation; both give it B(tw + k, tw) and chi(tw + k, tw).

B is always the mean-square displacement. C(t,t) - C(t,tw) equals it in the stationary state on average, but carries the
fluctuation of C(t,t), which at short lags is larger than B itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics import checks
from quenched.observables.correlation import half_displacement, integrated_response
from quenched.observables.stationarity import WATCHED, drifts
from quenched.observables.statistics import independent, jackknife
from quenched.records.datasets import provenance
from quenched.records.labels import LABELS

SMALLEST_LOSS = 1e-6
"""Mean training loss below which a run counts as over-parametrised."""

_LABELS = {
    **{name: name for name in ("half_displacement", "integrated_response", "temperature")},
    "local_temperature": "temperature",
    "slope_temperature": "temperature",
    "two_time_temperature": "temperature",
}
_TIMES = ("t", "step", "t_prime", "step_prime")

Pair = tuple[xr.DataArray, xr.DataArray]
Samples = Float[np.ndarray, "sample waiting lag"]


def fluctuation_response(
    ds: xr.Dataset, waiting_steps: Sequence[int] | int | None = None, lags: Sequence[int] | None = None
) -> xr.Dataset:
    """B(tw + k, tw) and chi(tw + k, tw) by waiting step and lag, from a theory or from a simulation with
    ``PerturbationResponse``.

    Theory: ``ds`` holds ``correlation`` and ``integrated_response``, or ``correlation`` and ``response`` at every step. Default:
    20 waiting steps evenly from T/2 to 3T/4, every lag from 1 to T/4. At chosen times (``times=np.unique(np.add.outer(waiting,
    [0, *lags]))``, lags over decades at no cost) ``waiting_steps`` must be given; default lags: those observed after every one
    of them. Simulation: ``ds`` holds ``half_displacement`` and ``integrated_response`` by time; the one waiting
    step is the ``start`` of the probe, read from the provenance unless given; default lags: every observed step after it.

    Returns dimensions (disorder, replica if there, waiting, lag), ``waiting`` and ``lag`` in steps, with the physical times
    ``waiting_time`` and ``lag_time`` (mean over waiting steps) beside them, and the watched order parameters ``norm``, ``loss``,
    ``overlap`` over the window from the first waiting step to the last step used (dimension t), for the test of stationarity.

    Raises ``ParameterError`` for waiting steps or lags outside the run or unobserved, and for a Dataset without the two
    functions.
    """
    if "step" not in ds.coords:
        raise checks.ParameterError("the Dataset must have a coordinate `step` along t")
    step, t = ds["step"].values, ds["t"].values
    last = int(step[-1])
    if _has_pairs(ds):
        every = bool(np.all(np.diff(step) == 1))
        if waiting_steps is None:
            if not every:
                raise checks.ParameterError("waiting_steps must be given for a Dataset that does not hold every step, got None")
            waiting_steps = np.unique(np.linspace(last // 2, (3 * last) // 4, 20).round().astype(int)).tolist()
        waiting = _steps("waiting_steps", waiting_steps, 0)
        if lags is None:
            lags = range(1, max(last // 4, 1) + 1) if every else _common_lags(step.tolist(), waiting)
        delays = _steps("lags", lags, 1)
    elif "half_displacement" in ds and "integrated_response" in ds:
        waiting = [_probe_start(ds, waiting_steps)]
        delays = _steps("lags", [s - waiting[0] for s in step.tolist() if s > waiting[0]] if lags is None else lags, 1)
    else:
        raise checks.ParameterError(
            "the Dataset must hold `correlation` and `response` or `integrated_response` (theory, two_time=True), or "
            "`half_displacement` and `integrated_response` (simulation with PerturbationResponse), "
            f"it has {sorted(map(str, ds.data_vars))}"
        )
    late, early = _positions(step.tolist(), waiting, delays)
    b, chi = (_select(f, late, early) for f in _functions(ds))
    time_of = dict(zip(step.tolist(), t.tolist(), strict=True))
    lag_time = [np.mean([time_of[w + k] - time_of[w] for w in waiting]) for k in delays]
    result = xr.Dataset(
        {"half_displacement": b, "integrated_response": chi},
        coords={
            "waiting": ("waiting", waiting, {"long_name": "waiting step", "symbol": "t_w", "units": "steps"}),
            "lag": ("lag", delays, {"long_name": "lag in steps", "symbol": "k", "units": "steps"}),
            "waiting_time": ("waiting", [time_of[w] for w in waiting], LABELS["waiting"].attributes()),
            "lag_time": ("lag", lag_time, LABELS["lag"].attributes()),
        },
        attrs=ds.attrs,
    )
    window = (step >= min(waiting)) & (step <= max(waiting) + max(delays))
    watched = {name: ds[name].isel(t=window) for name in WATCHED if name in ds}
    return _labelled(result.assign(watched))


def effective_temperature(data: xr.Dataset, tolerance: float = 0.01) -> xr.Dataset:
    """Effective temperature by lag, from ``fluctuation_response`` (or from a Dataset that it takes, with its defaults).

    B and chi are averaged over waiting times (and samples) first. With those means:

        temperature(k)       = B(k)/chi(k),
        local_temperature(k) = dB/dchi, by differences of the neighbouring lags (with B = chi = 0 at lag 0),
        slope_temperature    = least-squares slope of B against chi over all lags.

    B is regressed on chi, and not chi on B, because chi is the precise one: the slope is not biased by the noise of B, and it is
    finite without noise (T = 0).

    ``*_error`` are delete-one jackknife errors over ``disorder`` (mean over replicas first; over ``replica`` if there is one
    data set), never over waiting times; NaN for a single sample, and for a deterministic theory. ``two_time_temperature``
    (waiting, lag) is B(tw + k, tw)/chi(tw + k, tw), NaN where chi <= 0.

    Test of stationarity: the second half of the window minus the first half, for norm, loss and overlap, and for B at the
    shortest, the middle and the longest lag by waiting time. Every ``drift`` must be smaller than ``drift_allowed``: 3 standard
    errors (in Student's t for the number of samples), or ``tolerance`` (default 1 %) of the quantity where that is larger or
    the error is unknown. ``stationary`` says whether all are; otherwise ``ageing`` is True, no single curve describes the
    dynamics, and ``two_time_temperature`` is the result.

    Raises ``ParameterError`` where chi <= 0, and where the mean training loss is below 1e-6: an over-parametrised dynamics
    comes to rest and has no stationary noise; measure the ``replica_distance`` there. Source: arXiv:2112.10852.
    """
    checks.positive("tolerance", tolerance)
    fr = data if "lag" in data.dims and "waiting" in data.dims else fluctuation_response(data)
    _refuse_over_parametrised(fr)
    pair, dim = independent(fr[["half_displacement", "integrated_response"]].astype(np.float64))
    extra = set(pair.dims) - {"waiting", "lag", dim}
    if extra:
        raise checks.ParameterError(
            f"effective_temperature takes one system at a time; select along {sorted(map(str, extra))} first"
        )
    b, chi = (_samples(pair[name], dim) for name in ("half_displacement", "integrated_response"))
    mean_chi = chi.mean((0, 1))
    if not np.all(mean_chi > 0):
        lag = fr["lag"].values[~(mean_chi > 0)][0]
        raise checks.ParameterError(
            f"integrated_response must be > 0 at every lag to define a temperature, got {mean_chi.min():.3g} (lag {lag})"
        )
    curve = ("lag",)
    values = {
        "half_displacement": (curve, jackknife(lambda x: x.mean(0), b)),
        "integrated_response": (curve, jackknife(lambda x: x.mean(0), chi)),
        "temperature": (curve, jackknife(_ratio, b, chi)),
        "local_temperature": (curve, jackknife(_local, b, chi)),
        "slope_temperature": ((), jackknife(_slope, b, chi)),
        "two_time_temperature": (("waiting", "lag"), jackknife(_two_time, b, chi)),
    }
    variables = {name: (dims, value) for name, (dims, (value, _)) in values.items()}
    variables |= {f"{name}_error": (dims, error) for name, (dims, (_, error)) in values.items()}
    found = drifts(fr, b, tolerance)
    sizes = np.array(list(found.values())).reshape(-1, 2)
    stationary = bool(np.all(np.abs(sizes[:, 0]) <= sizes[:, 1]))
    variables |= {"drift": (("check",), sizes[:, 0]), "drift_allowed": (("check",), sizes[:, 1])}
    variables |= {"stationary": ((), np.asarray(stationary)), "ageing": ((), np.asarray(not stationary))}
    coords = {name: fr[name] for name in ("waiting", "lag", "waiting_time", "lag_time") if name in fr.coords}
    note = "none: a single sample" if dim is None else f"delete-one jackknife over {dim}, {len(b)} samples"
    return _labelled(xr.Dataset(variables, coords={**coords, "check": list(found)}, attrs={**fr.attrs, "errors": note}))


def _has_pairs(ds: xr.Dataset) -> bool:
    """Whether this is a theory, with functions of two times."""
    return "correlation" in ds and ("response" in ds or "integrated_response" in ds)


def _functions(ds: xr.Dataset) -> Pair:
    """B and chi along t (and t_prime in a theory)."""
    if not _has_pairs(ds):
        return ds["half_displacement"], ds["integrated_response"]
    chi = ds["integrated_response"] if "integrated_response" in ds else integrated_response(ds["response"])
    return half_displacement(ds["correlation"]), chi


def _common_lags(step: list[int], waiting: list[int]) -> list[int]:
    """Lags that were observed after every waiting step."""
    return sorted(set.intersection(*({s - w for s in step if s > w} for w in waiting)))


def _positions(step: list[int], waiting: list[int], delays: list[int]) -> Pair:
    """Indices of the steps tw + k (waiting, lag) and tw (waiting); refuses what was not observed."""
    position = {s: i for i, s in enumerate(step)}
    missing = sorted({w + k for w in waiting for k in [0, *delays]} - position.keys())
    if missing:
        raise checks.ParameterError(
            f"waiting_steps and waiting_steps + lags must be steps of the Dataset (last step {step[-1]}), got {missing[:5]}"
        )
    late = xr.DataArray([[position[w + k] for k in delays] for w in waiting], dims=("waiting", "lag"))
    return late, xr.DataArray([position[w] for w in waiting], dims="waiting")


def _select(function: xr.DataArray, late: xr.DataArray, early: xr.DataArray) -> xr.DataArray:
    chosen = {"t": late, "t_prime": early} if "t_prime" in function.dims else {"t": late}
    return function.isel(chosen).drop_vars(_TIMES, errors="ignore").transpose(..., "waiting", "lag")


def _probe_start(ds: xr.Dataset, waiting_steps: Sequence[int] | int | None) -> int:
    """The waiting step of a run with a probe."""
    rule = provenance(ds).get("rule", {}) if "provenance" in ds.attrs else {}
    start = rule.get("start") if isinstance(rule, dict) else None
    if waiting_steps is None:
        waiting_steps = start
    if waiting_steps is None:
        raise checks.ParameterError("waiting_steps must be the start of the probe: the Dataset's provenance does not tell it")
    waiting = _steps("waiting_steps", waiting_steps, 0)
    if len(waiting) != 1 or start not in (None, waiting[0]):
        raise checks.ParameterError(
            f"waiting_steps must be the start of the probe, {start}, got {waiting}: one run has one waiting time"
        )
    return waiting[0]


def _steps(name: str, values: Sequence[int] | int, low: int) -> list[int]:
    steps = [int(v) for v in np.atleast_1d(np.asarray(values, dtype=object))]
    if not steps or min(steps) < low or np.any(np.diff(steps) <= 0):
        raise checks.ParameterError(f"{name} must be increasing steps >= {low}, got {steps}")
    return steps


def _refuse_over_parametrised(fr: xr.Dataset) -> None:
    loss = float(fr["loss"].mean()) if "loss" in fr else np.inf
    if loss < SMALLEST_LOSS:
        raise checks.ParameterError(
            f"the mean training loss must be >= {SMALLEST_LOSS:g} for an effective temperature, got {loss:.3g}: "
            "the dynamics is over-parametrised and comes to rest, there is no stationary noise. "
            "Measure the replica distance (replicas=2, share_start=True)"
        )


def _samples(values: xr.DataArray, dim: str | None) -> Samples:
    array = values.transpose(*([dim] if dim else []), "waiting", "lag").values
    return array if dim else array[None]


# estimators: arrays (waiting, lag), the means over samples


def _ratio(b: np.ndarray, chi: np.ndarray) -> np.ndarray:
    return b.mean(0) / chi.mean(0)


def _local(b: np.ndarray, chi: np.ndarray) -> np.ndarray:
    """Slope of the chord from the lag before to the lag after; one-sided at the last lag, from the origin at the first."""
    db, dchi = (_chords(np.append(0.0, x.mean(0))) for x in (b, chi))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(dchi == 0, np.nan, db / dchi)


def _chords(x: np.ndarray) -> np.ndarray:
    return np.append(x[2:] - x[:-2], x[-1] - x[-2])


def _slope(b: np.ndarray, chi: np.ndarray) -> np.ndarray:
    x, y = chi.mean(0), b.mean(0)
    x = x - x.mean()
    return np.asarray((x @ y) / (x @ x) if len(y) > 1 else np.nan)


def _two_time(b: np.ndarray, chi: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chi > 0, b / chi, np.nan)


def _labelled(ds: xr.Dataset) -> xr.Dataset:
    for name, base in _LABELS.items():
        for variable in (name, f"{name}_error"):
            if variable in ds:
                ds[variable].attrs.update(LABELS[base].attributes())
    return ds
