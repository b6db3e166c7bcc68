"""Importance sampling of densities known up to a constant: along learned flows, and by annealing."""

from quenched.sampling.ais import annealed, annealed_weights
from quenched.sampling.estimators import (
    AbstractEstimator,
    FiniteTime,
    InfiniteTime,
    LaggedTime,
    Problem,
    flow_lines,
    problem,
)
from quenched.sampling.fields import (
    AbstractField,
    FunnelField,
    GenericField,
    GradientField,
    LinearField,
    ModuleField,
    check_divergence,
)
from quenched.sampling.neis import Estimate, estimate, neis
from quenched.sampling.poisson import TorusField, torus_field, torus_problem, transport
from quenched.sampling.targets import (
    AbstractTarget,
    DoubleWells,
    Funnel,
    LogDensity,
    MixtureTarget,
    base_log_constant,
    four_modes,
    two_modes,
)
from quenched.sampling.train import FlowTraining, Trained, train
from quenched.sampling.weights import WeightStatistics, self_normalised, tail_index, weight_statistics

__all__ = [
    "AbstractEstimator",
    "AbstractField",
    "AbstractTarget",
    "DoubleWells",
    "Estimate",
    "FiniteTime",
    "FlowTraining",
    "Funnel",
    "FunnelField",
    "GenericField",
    "GradientField",
    "InfiniteTime",
    "LaggedTime",
    "LinearField",
    "LogDensity",
    "MixtureTarget",
    "ModuleField",
    "Problem",
    "TorusField",
    "Trained",
    "WeightStatistics",
    "annealed",
    "annealed_weights",
    "base_log_constant",
    "check_divergence",
    "estimate",
    "flow_lines",
    "four_modes",
    "neis",
    "problem",
    "self_normalised",
    "tail_index",
    "torus_field",
    "torus_problem",
    "train",
    "transport",
    "two_modes",
    "weight_statistics",
]
