"""Models: the quenched disorder and what the state sees of it."""

from quenched.models.base import AbstractLossModel, AbstractModel
from quenched.models.boltzmann import BoltzmannMachine
from quenched.models.boltzmann_learning import BoltzmannLearning, clamped_weights
from quenched.models.convolutional import ConvolutionalNetwork
from quenched.models.from_loss import FromLoss
from quenched.models.gaussian import AbstractGaussianModel
from quenched.models.gaussian_mixture import GaussianMixture
from quenched.models.generalised_linear import GeneralisedLinear
from quenched.models.hopfield import Hopfield
from quenched.models.landscape import AbstractLandscape, DoubleWell
from quenched.models.on_landscape import AdditiveNoise, MultiplicativeNoise, Noiseless, OnLandscape
from quenched.models.phase_retrieval import PhaseRetrieval
from quenched.models.poisson_disc import PoissonDisc
from quenched.models.random_labels import RandomLabels
from quenched.models.rough_landscapes import AbstractTestLandscape, Ackley, TwoBasins, Valley, Zakharov
from quenched.models.single_layer import AbstractSingleLayer, Samples
from quenched.models.single_layer_data import SingleLayerData
from quenched.models.spins import AbstractCouplingModel, AbstractHiddenLayerModel, AbstractSpinModel
from quenched.models.start import AbstractStart, GaussianStart, SphericalStart
from quenched.models.structured import StructuredEnsemble
from quenched.models.teacher_student import TeacherStudent
from quenched.models.two_layer import TwoLayerNetwork

__all__ = [
    "AbstractCouplingModel",
    "AbstractGaussianModel",
    "AbstractHiddenLayerModel",
    "AbstractLandscape",
    "AbstractLossModel",
    "AbstractModel",
    "AbstractSingleLayer",
    "AbstractSpinModel",
    "AbstractStart",
    "AbstractTestLandscape",
    "Ackley",
    "AdditiveNoise",
    "BoltzmannLearning",
    "BoltzmannMachine",
    "ConvolutionalNetwork",
    "DoubleWell",
    "FromLoss",
    "GaussianMixture",
    "GaussianStart",
    "GeneralisedLinear",
    "Hopfield",
    "MultiplicativeNoise",
    "Noiseless",
    "OnLandscape",
    "PhaseRetrieval",
    "PoissonDisc",
    "RandomLabels",
    "Samples",
    "SingleLayerData",
    "SphericalStart",
    "StructuredEnsemble",
    "TeacherStudent",
    "TwoBasins",
    "TwoLayerNetwork",
    "Valley",
    "Zakharov",
    "clamped_weights",
]
