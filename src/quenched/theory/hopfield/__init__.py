"""Replica-symmetric theory of Hopfield models that learn from blurred examples: states, phase diagram, sample sizes."""

from quenched.theory.hopfield.diagram import phase_diagram
from quenched.theory.hopfield.equilibrium import equilibrium
from quenched.theory.hopfield.glass import spin_glass_temperature
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.lines import CriticalLoad, critical_load, first_order_load, instability_temperature
from quenched.theory.hopfield.local_fields import local_field_density
from quenched.theory.hopfield.retrieval import LOWEST_TEMPERATURE
from quenched.theory.hopfield.sample_size import (
    critical_entropy,
    critical_sample_constant,
    critical_sample_size,
    weak_example_load,
)
from quenched.theory.hopfield.signal import classifier_accuracy, mean_cosine, one_step_overlap, sign_overlap

__all__ = [
    "LOWEST_TEMPERATURE",
    "CriticalLoad",
    "PatternLaw",
    "classifier_accuracy",
    "critical_entropy",
    "critical_load",
    "critical_sample_constant",
    "critical_sample_size",
    "equilibrium",
    "first_order_load",
    "instability_temperature",
    "local_field_density",
    "mean_cosine",
    "one_step_overlap",
    "phase_diagram",
    "sign_overlap",
    "spin_glass_temperature",
    "weak_example_load",
]
