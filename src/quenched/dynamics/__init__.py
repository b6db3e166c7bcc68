"""Dynamics: how the state moves, and the one engine that moves it."""

from quenched.dynamics.arrival import Arrived
from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import IID, AbstractBatches, Epochs, Fresh, Full, Persistent
from quenched.dynamics.block_gibbs import BlockGibbs
from quenched.dynamics.constraints import AbstractConstraint, Free, Spherical
from quenched.dynamics.contrastive_divergence import ClampedLearning, ContrastiveDivergence
from quenched.dynamics.energy_conserving import BBI, ECDSep, EnergyConserving
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.log_partition import log_partition
from quenched.dynamics.minibatches import AbstractMinibatch, GaussianBatch, Minibatch, Reshuffled
from quenched.dynamics.response import PerturbationResponse
from quenched.dynamics.sampling import AbstractSampling
from quenched.dynamics.schedules import AbstractSchedule, ExponentialDecay, PiecewiseConstant, PowerLawDecay
from quenched.dynamics.spins import Glauber, ParallelGlauber, SingleFlipStable
from quenched.dynamics.stops import AbstractStop, LossBelow
from quenched.dynamics.transforms import AbstractTransform, Momentum, Optax, Plain

__all__ = [
    "BBI",
    "IID",
    "AbstractBatches",
    "AbstractConstraint",
    "AbstractDynamics",
    "AbstractMinibatch",
    "AbstractSampling",
    "AbstractSchedule",
    "AbstractStop",
    "AbstractTransform",
    "Arrived",
    "BlockGibbs",
    "ClampedLearning",
    "ContrastiveDivergence",
    "ECDSep",
    "EnergyConserving",
    "Epochs",
    "ExponentialDecay",
    "Free",
    "Fresh",
    "Full",
    "GaussianBatch",
    "Glauber",
    "Gradient",
    "LossBelow",
    "Minibatch",
    "Momentum",
    "Optax",
    "ParallelGlauber",
    "Persistent",
    "PerturbationResponse",
    "PiecewiseConstant",
    "Plain",
    "PowerLawDecay",
    "Reshuffled",
    "SingleFlipStable",
    "Spherical",
    "log_partition",
]
