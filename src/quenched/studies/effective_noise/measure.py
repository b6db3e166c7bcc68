"""The two measurements of the study, each by theory and by simulation, with the same names."""

from __future__ import annotations

from typing import Any, NamedTuple

import xarray as xr

from quenched.dynamics import AbstractDynamics, Gradient
from quenched.dynamics.response import PerturbationResponse
from quenched.dynamics.simulate import simulate
from quenched.models import AbstractGaussianModel, AbstractModel
from quenched.observables.fdt import fluctuation_response
from quenched.theory import solve

WAITING_STEPS = 20
"""How many waiting steps the theory averages over; the runs of a simulation are many instead."""


class Window(NamedTuple):
    """Waiting step tw and largest lag, in steps."""

    waiting: int
    lags: int

    @property
    def delays(self) -> range:
        return range(1, self.lags + 1)


def theory_fluctuations(model: AbstractGaussianModel, rule: Gradient, window: Window, **solver: Any) -> xr.Dataset:
    """B and chi by lag, from C and R of the DMFT; dims (disorder, waiting, lag)."""
    steps = window.waiting + WAITING_STEPS + window.lags
    two_time = solve(model, rule, steps=steps, method="sampled", **solver)
    return fluctuation_response(two_time, range(window.waiting, window.waiting + WAITING_STEPS), window.delays)


def simulated_fluctuations(model: AbstractModel, rule: AbstractDynamics, window: Window, **run: Any) -> xr.Dataset:
    """B and chi by lag, by perturbing a simulation at one waiting step; dims (disorder, replica, waiting, lag)."""
    probe = PerturbationResponse(rule, start=window.waiting)
    last = window.waiting + window.lags
    observed = simulate(model, probe, steps=last, times=range(window.waiting, last + 1), **run)
    return fluctuation_response(observed, lags=window.delays)


def theory_training(model: AbstractGaussianModel, rule: Gradient, steps: int, **solver: Any) -> xr.Dataset:
    """Learning curves, replica distance and final gaps of two replicas with common data and start.

    Four probes: over-parametrised, the response does not decay, and the noise of its estimate adds up.
    """
    return solve(model, rule, steps=steps, method="sampled", replicas=2, probes=4, two_time=False, final_gaps=True, **solver)


def simulated_training(model: AbstractModel, rule: AbstractDynamics, steps: int, **run: Any) -> xr.Dataset:
    """Learning curves and replica distance of replicas with common data and start, by simulation."""
    return simulate(model, rule, steps=steps, share_start=True, **run)
