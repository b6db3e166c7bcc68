"""The two measurements of the study, each by theory and by simulation, with the same names."""

from __future__ import annotations

from typing import Any, NamedTuple

import xarray as xr

from quenched.dynamics import AbstractDynamics, Gradient
from quenched.dynamics.response import PerturbationResponse
from quenched.models import AbstractGaussianModel, AbstractModel
from quenched.observables.fdt import fluctuation_response
from quenched.studies.simulations import Simulation
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


def perturbation(model: AbstractModel, rule: AbstractDynamics, window: Window, **arguments: Any) -> Simulation:
    """The simulation that ``fluctuations`` reads: perturbed at the waiting step, observed from there on."""
    last = window.waiting + window.lags
    observed = {"steps": last, "times": range(window.waiting, last + 1)}
    return Simulation(model, PerturbationResponse(rule, start=window.waiting), {**observed, **arguments})


def fluctuations(ds: xr.Dataset, window: Window) -> xr.Dataset:
    """B and chi by lag of a ``perturbation``; dims (disorder, replica, waiting, lag)."""
    return fluctuation_response(ds, lags=window.delays)


def simulated_fluctuations(
    model: AbstractModel, rule: AbstractDynamics, window: Window, seed: int, **arguments: Any
) -> xr.Dataset:
    """B and chi by lag, by perturbing a simulation at one waiting step; dims (disorder, replica, waiting, lag)."""
    return fluctuations(perturbation(model, rule, window, **arguments).run(seed), window)


def theory_training(model: AbstractGaussianModel, rule: Gradient, steps: int, **solver: Any) -> xr.Dataset:
    """Learning curves, replica distance and final gaps of two replicas with common data and start.

    Four probes: over-parametrised, the response does not decay, and the noise of its estimate adds up.
    """
    return solve(model, rule, steps=steps, method="sampled", replicas=2, probes=4, two_time=False, final_gaps=True, **solver)


def training(model: AbstractModel, rule: AbstractDynamics, steps: int, **arguments: Any) -> Simulation:
    """The simulation of learning curves and replica distance: replicas with common data and start."""
    return Simulation(model, rule, {"steps": steps, "share_start": True, **arguments})
