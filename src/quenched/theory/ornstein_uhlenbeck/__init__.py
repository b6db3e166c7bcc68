"""Momentum SGD near a minimum as a linear stochastic process: continuous, exact in discrete time, and general."""

from quenched.theory.ornstein_uhlenbeck.general import (
    OrnsteinUhlenbeck,
    momentum_process,
    persistent_covariance,
    stationary_covariance,
    step_matrices,
)
from quenched.theory.ornstein_uhlenbeck.modes import (
    displacement,
    oscillation,
    power_law_displacement,
    power_spectrum,
    stationary_state,
)
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD
from quenched.theory.ornstein_uhlenbeck.regression import Quadratic, exact_covariance, quadratic

__all__ = [
    "MomentumSGD",
    "OrnsteinUhlenbeck",
    "Quadratic",
    "displacement",
    "exact_covariance",
    "momentum_process",
    "oscillation",
    "persistent_covariance",
    "power_law_displacement",
    "power_spectrum",
    "quadratic",
    "stationary_covariance",
    "stationary_state",
    "step_matrices",
]
