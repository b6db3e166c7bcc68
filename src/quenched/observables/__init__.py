"""Observables: numbers and functions read off states, trajectories and Datasets. They know arrays and callables only."""

from quenched.observables import accumulators, correlation, fdt, gaps, replica_distance, statistics
from quenched.observables.accumulators import AbstractAccumulator, FrozenOverlap, MeanSquareDisplacement, WeightMoments
from quenched.observables.fdt import effective_temperature, fluctuation_response
from quenched.observables.statistics import compare, mean_error

__all__ = [
    "AbstractAccumulator",
    "FrozenOverlap",
    "MeanSquareDisplacement",
    "WeightMoments",
    "accumulators",
    "compare",
    "correlation",
    "effective_temperature",
    "fdt",
    "fluctuation_response",
    "gaps",
    "mean_error",
    "replica_distance",
    "statistics",
]
