"""What SGD samples at stationarity: an effective potential, not the training loss (arXiv:2108.09507)."""

from quenched.theory.effective_potential.field import (
    curl_test,
    local_covariance,
    mode_shift,
    potential_along,
    potential_gradient,
)
from quenched.theory.effective_potential.laplace import basin_weights, laplace_weights
from quenched.theory.effective_potential.line import effective_potential, optimal_temperature, temperature_scan

__all__ = [
    "basin_weights",
    "curl_test",
    "effective_potential",
    "laplace_weights",
    "local_covariance",
    "mode_shift",
    "optimal_temperature",
    "potential_along",
    "potential_gradient",
    "temperature_scan",
]
