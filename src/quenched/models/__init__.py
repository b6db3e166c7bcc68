"""Models: the quenched disorder and what the state sees of it."""

from quenched.models.base import AbstractLossModel, AbstractModel
from quenched.models.gaussian import AbstractGaussianModel, Samples
from quenched.models.gaussian_mixture import GaussianMixture
from quenched.models.start import AbstractStart, GaussianStart, SphericalStart

__all__ = [
    "AbstractGaussianModel",
    "AbstractLossModel",
    "AbstractModel",
    "AbstractStart",
    "GaussianMixture",
    "GaussianStart",
    "Samples",
    "SphericalStart",
]
