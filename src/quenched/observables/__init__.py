"""Observables: numbers and functions read off states, trajectories and Datasets. They know arrays and callables only."""

from quenched.observables import accumulators, correlation, curvature, fdt, gaps, gradient_noise, replica_distance, statistics
from quenched.observables.accumulators import AbstractAccumulator, FrozenOverlap, MeanSquareDisplacement, WeightMoments
from quenched.observables.curvature import spectral_density, top_eigenpairs
from quenched.observables.diffusion import anomalous_exponent, circulation, measured_spectrum
from quenched.observables.displacement import Projections, StepLength, log_spaced
from quenched.observables.fdt import effective_temperature, fluctuation_response
from quenched.observables.gradient_noise import alignment, noise_along
from quenched.observables.line_scan import line_scan
from quenched.observables.local_fields import field_histogram, gauged_fields
from quenched.observables.loss_on_data import LossOnData
from quenched.observables.minimum_pair import minimum, minimum_pair
from quenched.observables.shift_basins import shift_curvature_by_basin
from quenched.observables.shift_curvature import shift_curvature
from quenched.observables.shift_moments import ShiftMoments, shift_curvature_from_moments
from quenched.observables.spins import EdwardsAnderson, time_averages
from quenched.observables.statistics import compare, mean_error
from quenched.observables.ultrametricity import ordered_overlaps, ultrametricity
from quenched.observables.wells import arrival_rate, contrast_rate, population_rate

__all__ = [
    "AbstractAccumulator",
    "EdwardsAnderson",
    "FrozenOverlap",
    "LossOnData",
    "MeanSquareDisplacement",
    "Projections",
    "ShiftMoments",
    "StepLength",
    "WeightMoments",
    "accumulators",
    "alignment",
    "anomalous_exponent",
    "arrival_rate",
    "circulation",
    "compare",
    "contrast_rate",
    "correlation",
    "curvature",
    "effective_temperature",
    "fdt",
    "field_histogram",
    "fluctuation_response",
    "gaps",
    "gauged_fields",
    "gradient_noise",
    "line_scan",
    "log_spaced",
    "mean_error",
    "measured_spectrum",
    "minimum",
    "minimum_pair",
    "noise_along",
    "ordered_overlaps",
    "population_rate",
    "replica_distance",
    "shift_curvature",
    "shift_curvature_by_basin",
    "shift_curvature_from_moments",
    "spectral_density",
    "statistics",
    "time_averages",
    "top_eigenpairs",
    "ultrametricity",
]
