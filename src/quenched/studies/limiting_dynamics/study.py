"""The study: how far SGD wanders near a minimum, in which rhythm, and with which exponent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.data import AbstractData, Cifar10, Digits, GaussianTeacher, Mnist
from quenched.models import AbstractLossModel, ConvolutionalNetwork, TwoLayerNetwork
from quenched.numerics import checks
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.limiting_dynamics import network, plane, regression, summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class LimitingDynamics(Study):
    """Linear regression, a plane with a current, spectra of power laws, and a trained network that goes on."""

    name: ClassVar[str] = "limiting-dynamics"
    title: ClassVar[str] = "Limiting dynamics of SGD: modified loss, oscillations, and anomalous diffusion near a minimum"
    paper: ClassVar[str] = (
        "D. Kunin, J. Sagastuy-Brena, L. Gillespie, E. Margalit, H. Tanaka, S. Ganguli, D. L. K. Yamins, The Limiting Dynamics "
        "of SGD: Modified Loss, Phase-Space Oscillations, and Anomalous Diffusion, Neural Computation 36, 151 (2023), "
        "arXiv:2107.09133"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"v_{k+1} = \beta v_k - g_B(\theta_k) - \lambda \theta_k, \quad \theta_{k+1} = \theta_k + \eta v_{k+1}",
        r"C = M C M^T + G \Sigma G^T / S, \quad E|\Delta_k|^2 = 2 \mathrm{tr} [(I - M^k) C]_{\theta\theta}",
        r"E|\delta|^2 = \eta^2 \mathrm{tr} \Sigma / (S (1 - \beta^2)) + O(\eta^3)",
        r"E|\Delta_k|^2 \propto k^c, \quad c = 1/\alpha \quad \mathrm{for} \quad \rho_l \propto l^{-\alpha}",
    )

    data: AbstractData = GaussianTeacher(
        dimension=10, train=2000, test=1, variance=3.0, exponent=1.5, labels="numbers", noise=0.7
    )
    """Inputs and labels of the regression."""
    lr: float = 0.05
    """Learning rate of the stationary state: noise that depends on the weights shows."""
    small_lr: float = 0.005
    """Learning rate of epochs, relaxation and spectra: it does not."""
    momentum: float = 0.9
    """Momentum beta."""
    batch_size: int = 8
    """Batch size S."""
    ridge: float = 0.0
    """Weight decay lambda, in the gradient."""
    chains: int = 128
    """Runs of SGD on the regression."""
    settle: int = 1000
    """Steps before the state counts as stationary. 0: no stationary part (data whose slowest mode is too slow)."""
    steps: int = 2000
    """Steps over which displacements are measured."""
    relaxation_steps: int = 600
    """Steps of the way to the minimum."""
    plane_chains: int = 1000
    """Paths of the process in the plane. 0: left out."""
    spectra: tuple[float, ...] = (1.5, 2.0, 3.0)
    """Exponents alpha of the spectra of power laws, > 1. Empty: left out."""
    spectrum_size: int = 50_000
    """Modes of such a spectrum."""
    network: AbstractLossModel | None = TwoLayerNetwork(data=Digits(train=1024, test=256), width=16)
    """Network that is trained and goes on. null: left out."""
    network_ridge: float = 1e-3
    """Its weight decay."""
    network_training: int = 10_000
    """Steps of its training."""
    network_training_lr: float = 0.5
    """Learning rate of the first half of the training; a tenth, and a hundredth, for two more quarters."""
    network_lr: float = 0.003
    """Learning rate it goes on with."""
    network_size: int = 32
    """Batch size it goes on with."""
    network_momentum: float = 0.9
    """Momentum it goes on with."""
    network_lrs: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """Learning rates to compare."""
    network_sizes: tuple[int, ...] = (8, 32, 128, 512)
    """Batch sizes to compare."""
    network_momenta: tuple[float, ...] = (0.8, 0.9, 0.98)
    """Momenta to compare."""
    network_chains: int = 16
    """Runs that go on from the same weights."""
    network_steps: int = 3000
    """Steps they go on for."""

    def check(self) -> None:
        rates = ("lr", "small_lr", "network_lr", "network_training_lr")
        lists = {"network_lrs": self.network_lrs, "network_sizes": self.network_sizes}
        for name, value in [(n, getattr(self, n)) for n in rates] + [(n, v) for n, vs in lists.items() for v in vs]:
            checks.positive(name, float(value))
        for name, value in [("momentum", self.momentum), *(("network_momenta", v) for v in self.network_momenta)]:
            checks.in_interval(name, value, -1.0, 1.0, closed="neither")
        for name in ("ridge", "network_ridge"):
            checks.non_negative(name, getattr(self, name))
        lows = {"batch_size": 1, "chains": 2, "settle": 0, "steps": 10, "relaxation_steps": 10, "plane_chains": 0}
        lows |= {"spectrum_size": 2, "network_training": 4, "network_size": 1, "network_chains": 2, "network_steps": 10}
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)
        for alpha in self.spectra:
            checks.in_interval("spectra", alpha, 1.0, float("inf"), closed="neither")

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        large = cls(
            chains=512,
            steps=10_000,
            plane_chains=4000,
            network=TwoLayerNetwork(data=Mnist(train=10_000, test=1000), width=32),
            network_training=30_000,
            network_momenta=(0.8, 0.9, 0.95, 0.99),
            network_steps=10_000,
        )
        # pixels as they are: the mean image is a direction of large curvature, in which the paper's learning rate oscillates
        images = cls(data=Cifar10(), small_lr=1e-5, batch_size=500, chains=16, settle=0, plane_chains=0, spectra=(), network=None)
        convolutional = cls(
            plane_chains=0,
            spectra=(),
            network=ConvolutionalNetwork(data=Mnist(train=2048, test=512), channels=(4, 8)),
            network_training=20_000,
            network_chains=8,
        )
        return {
            "quick": cls(),
            "map": cls(plane_chains=0, spectra=(), network=None),
            "cifar10": images,
            "convolutional": convolutional,
            "paper": large,
        }

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        parts = {"epochs": regression.epochs(self), "relaxation": regression.relaxed(self)}
        parts["spectra"] = regression.spectra(self, regression.frequencies())
        if self.settle:
            parts["stationary"] = regression.predicted(self)
        if self.plane_chains:
            parts["plane"] = plane.predicted()
        if self.spectra:
            parts["power_laws"] = plane.power_laws(self)
        if self.network is not None:
            parts |= {dim: network.predicted(self, dim, seed) for dim in network.SWEEPS}
        return xr.DataTree.from_dict(parts)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        parts = {
            "epochs": regression.measured_epochs(self, seed, progress),
            "relaxation": regression.measured_relaxed(self, seed, progress),
        }
        if self.settle:
            parts["stationary"] = regression.measured(self, seed, progress)
            parts["spectra"] = regression.measured_spectra(self, seed, progress)
        if self.plane_chains:
            parts["plane"] = plane.measured(max(self.plane_chains, 2), seed)
        if self.network is not None:
            parts |= {dim: network.measured(self, dim, seed, progress) for dim in network.SWEEPS}
            parts["anatomy"] = network.anatomy(self, seed)
        return xr.DataTree.from_dict(parts)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """Step length and exponent of the regression: by the exact theory, and of minibatches."""
        return summary.summarise(self, tree)

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.limiting_dynamics import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.limiting_dynamics import claims

        return claims.CLAIMS
