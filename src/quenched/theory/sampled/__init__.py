"""The sampled solver: causal Monte-Carlo dynamical mean-field theory of first-order methods on Gaussian data."""

from quenched.theory.sampled.solver import refuses, solve_sampled
from quenched.theory.sampled.trajectory import trajectory

__all__ = ["refuses", "solve_sampled", "trajectory"]
