"""The two measurements of the study, each by theory and by simulation, with the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from quenched.dynamics import AbstractDynamics, Gradient, Persistent
from quenched.dynamics.batches import fractional
from quenched.dynamics.response import PerturbationResponse
from quenched.dynamics.schedules import AbstractSchedule
from quenched.models import AbstractGaussianModel, AbstractModel
from quenched.numerics.checks import ParameterError
from quenched.observables.fdt import fluctuation_response
from quenched.studies.simulations import Simulation
from quenched.theory import solve

WAITING_STEPS = 20
"""How many waiting steps the theory averages over; the runs of a simulation are many instead."""
LONG_WAITING_STEPS = 6
"""The same for long runs, where their number times that of the lags is the length of what is kept."""


class Window(NamedTuple):
    """Waiting step tw and largest lag, in steps."""

    waiting: int
    lags: int

    @property
    def delays(self) -> range:
        return range(1, self.lags + 1)


def theory_fluctuations(model: AbstractGaussianModel, rule: Gradient, window: Window, **solver: Any) -> xr.Dataset:
    """B and chi by lag, from C and R of the DMFT; dims (disorder, waiting, lag)."""
    waiting = range(window.waiting, window.waiting + WAITING_STEPS)
    times = range(window.waiting, waiting[-1] + window.lags + 1)
    return _by_theory(model, rule, waiting, window.delays, times, **solver)


def theory_long(model: AbstractGaussianModel, rule: Gradient, lags: int, **solver: Any) -> xr.Dataset:
    """B and chi at logarithmic lags up to ``lags``, waiting steps from half of it to the whole; dims (disorder, waiting, lag)."""
    waiting = np.unique(np.linspace(lags // 2, lags, LONG_WAITING_STEPS).astype(int)).tolist()
    delays = logarithmic_lags(lags)
    return _by_theory(model, rule, waiting, delays, sorted({w + k for w in waiting for k in (0, *delays)}), **solver)


def _by_theory(
    model: AbstractGaussianModel, rule: Gradient, waiting: Sequence[int], lags: Sequence[int], times: Sequence[int], **solver: Any
) -> xr.Dataset:
    two_time = solve(model, rule, steps=times[-1], times=list(times), method="sampled", **solver)
    found = fluctuation_response(two_time, waiting, lags)
    at = two_time["step"].isin(waiting)
    # M(t,t) = alpha <f^2>, averaged over the waiting steps: what a white noise of the same variance would have
    variance = xr.DataArray(np.diagonal(two_time["noise_kernel"].values, axis1=1, axis2=2), dims=("disorder", "t"))
    return found.assign(force_variance=variance.isel(t=np.flatnonzero(at.values)).mean("t"))


def logarithmic_lags(largest: int, per_decade: int = 8) -> list[int]:
    """Lags 1, ..., ``largest``, evenly spread in their logarithm, in steps."""
    return sorted({int(lag) for lag in np.geomspace(1, largest, round(per_decade * np.log10(largest)) + 1).round()})


def white_noise_temperature(rule: Gradient, delta: float, force_variance: xr.DataArray) -> xr.DataArray:
    """The temperature of a thermostat whose noise has the variance of the gradient noise of one step: the naive "lr over batch".

    A batch of a fraction b picks samples with variance b (1 - b), so that a step kicks every weight by a random force of variance
    (1 - b) Delta M(t,t), M = alpha <f^2>, in units of lr^2; white noise of that strength is that of a thermostat at
    T = lr (1 - b) Delta M/2. Persistent batches with autocorrelation (1 - lr/(b tau))^k replace lr by its sum, 2 b tau - lr.
    For the square loss it is the short-lag limit of arXiv:2112.10852; that noise is not white, nor the same in all directions,
    is what the effective temperature shows.
    """
    batches, lr = fractional(rule.batches), rule.lr
    if isinstance(lr, AbstractSchedule):
        raise ParameterError(f"the temperature of white noise needs a constant lr, got {lr!r}")
    if isinstance(batches, Persistent):
        lr = 2 * batches.fraction * batches.time - lr
    return lr * (1 - batches.mean) * delta * force_variance / 2


def perturbation(model: AbstractModel, rule: AbstractDynamics, window: Window, **arguments: Any) -> Simulation:
    """The simulation that ``fluctuations`` reads: perturbed at the waiting step, observed from there on."""
    last = window.waiting + window.lags
    observed = {"steps": last, "times": range(window.waiting, last + 1)}
    return Simulation(model, PerturbationResponse(rule, start=window.waiting), {**observed, **arguments})


def long_perturbation(model: AbstractGaussianModel, rule: Gradient, lags: int, **arguments: Any) -> Simulation:
    """The same at logarithmic lags up to ``lags``, waiting as long, on structured data: its cost per step is O(d log d).

    At long lags a soft direction answers a force of 0.05 with a shift of the order of the weights, and chi comes out two per
    cent too large: the field is ten times weaker.
    """
    times = [lags, *(lags + k for k in logarithmic_lags(lags))]
    return Simulation(
        model,
        PerturbationResponse(rule, strength=0.005, start=lags),
        {"steps": 2 * lags, "times": times, "ensemble": "structured", **arguments},
    )


def fluctuations(ds: xr.Dataset) -> xr.Dataset:
    """B and chi by lag of a ``perturbation``, at every observed step; dims (disorder, replica, waiting, lag)."""
    return fluctuation_response(ds)


def simulated_fluctuations(
    model: AbstractModel, rule: AbstractDynamics, window: Window, seed: int, **arguments: Any
) -> xr.Dataset:
    """B and chi by lag, by perturbing a simulation at one waiting step; dims (disorder, replica, waiting, lag)."""
    return fluctuations(perturbation(model, rule, window, **arguments).run(seed))


def theory_training(model: AbstractGaussianModel, rule: Gradient, steps: int, **solver: Any) -> xr.Dataset:
    """Learning curves, replica distance and final gaps of two replicas with common data and start.

    Four probes: over-parametrised, the response does not decay, and the noise of its estimate adds up.
    """
    return solve(model, rule, steps=steps, method="sampled", replicas=2, probes=4, two_time=False, final_gaps=True, **solver)


def training(model: AbstractModel, rule: AbstractDynamics, steps: int, **arguments: Any) -> Simulation:
    """The simulation of learning curves and replica distance: replicas with common data and start."""
    return Simulation(model, rule, {"steps": steps, "share_start": True, **arguments})
