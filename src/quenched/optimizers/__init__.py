"""Optimisers whose motion conserves an energy, in the form of optax; for PyTorch see ``quenched.optimizers.torch``."""

from quenched.optimizers.base import EnergyState
from quenched.optimizers.bbi import bbi
from quenched.optimizers.ecd_sep import ecd_sep

__all__ = ["EnergyState", "bbi", "ecd_sep"]
