"""SGD as a Fokker-Planck equation: stationary laws, mixing times, escape, with and without momentum, at finite learning rate."""

from quenched.theory.fokker_planck.kinetic import kinetic_spectrum
from quenched.theory.fokker_planck.line import Line, line
from quenched.theory.fokker_planck.line_answers import (
    basin_mass,
    evolve,
    gap,
    gap_derivative,
    masses,
    relax,
    spectrum,
    stationary,
)
from quenched.theory.fokker_planck.passage import barriers, escape_rate, mass_ratio, mean_first_passage
from quenched.theory.fokker_planck.plane import Plane, plane, plane_gap, plane_masses
from quenched.theory.fokker_planck.temperature import Temperature
from quenched.theory.fokker_planck.transfer import Transfer, transfer

__all__ = [
    "Line",
    "Plane",
    "Temperature",
    "Transfer",
    "barriers",
    "basin_mass",
    "escape_rate",
    "evolve",
    "gap",
    "gap_derivative",
    "kinetic_spectrum",
    "line",
    "mass_ratio",
    "masses",
    "mean_first_passage",
    "plane",
    "plane_gap",
    "plane_masses",
    "relax",
    "spectrum",
    "stationary",
    "transfer",
]
