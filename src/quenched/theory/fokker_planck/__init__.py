"""SGD as a Fokker-Planck equation: stationary laws, mixing times, escape, with and without momentum, at finite learning rate."""

from quenched.theory.fokker_planck.flow import Flow, flow, flow_gap
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
from quenched.theory.fokker_planck.mixing import in_unit, mixing, same_unit
from quenched.theory.fokker_planck.passage import barriers, escape_rate, mass_ratio, mean_first_passage
from quenched.theory.fokker_planck.plane import Plane, plane, plane_gap, plane_masses
from quenched.theory.fokker_planck.schedule import anneal
from quenched.theory.fokker_planck.temperature import Temperature
from quenched.theory.fokker_planck.transfer import Transfer, transfer, transfer_matrix

__all__ = [
    "Flow",
    "Line",
    "Plane",
    "Temperature",
    "Transfer",
    "anneal",
    "barriers",
    "basin_mass",
    "escape_rate",
    "evolve",
    "flow",
    "flow_gap",
    "gap",
    "gap_derivative",
    "in_unit",
    "kinetic_spectrum",
    "line",
    "mass_ratio",
    "masses",
    "mean_first_passage",
    "mixing",
    "plane",
    "plane_gap",
    "plane_masses",
    "relax",
    "same_unit",
    "spectrum",
    "stationary",
    "transfer",
    "transfer_matrix",
]
