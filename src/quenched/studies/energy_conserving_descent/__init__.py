"""Energy-conserving descent: an optimiser that cannot stop on a hill, and whose outcomes have a law."""

from quenched.studies.energy_conserving_descent.study import EnergyConservingDescent

__all__ = ["EnergyConservingDescent"]
