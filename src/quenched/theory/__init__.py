"""Theory: closed equations for the order parameters, one solver per kind of equation."""

from quenched.theory import (
    effective_potential,
    fokker_planck,
    hopfield,
    microcanonical,
    oracle,
    ornstein_uhlenbeck,
    saddle_point,
    sampled,
    shift_curvature,
    square_loss,
    static,
)
from quenched.theory.coupled import solve_replicas
from quenched.theory.derivatives import differentiate
from quenched.theory.limits import continuous_limit, solve_to_error
from quenched.theory.solve import solve

__all__ = [
    "continuous_limit",
    "differentiate",
    "effective_potential",
    "fokker_planck",
    "hopfield",
    "microcanonical",
    "oracle",
    "ornstein_uhlenbeck",
    "saddle_point",
    "sampled",
    "shift_curvature",
    "solve",
    "solve_replicas",
    "solve_to_error",
    "square_loss",
    "static",
]
