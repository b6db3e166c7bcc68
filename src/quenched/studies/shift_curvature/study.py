"""The study: what curvature costs on the test set, and what the temperature of SGD has to do with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.data import Digits, GaussianTeacher
from quenched.models import AbstractLossModel, GeneralisedLinear, TwoLayerNetwork
from quenched.models.landscape import AbstractLandscape, Tilted
from quenched.numerics import checks
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.shift_curvature import anatomy, particles, summary, trade_off

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class ShiftCurvature(Study):
    """Logistic regression and a network: the parts of the excess test loss; a landscape: depth against flatness."""

    name: ClassVar[str] = "shift-curvature"
    title: ClassVar[str] = "Shift-curvature, SGD and generalisation: how curvature costs test loss, and a best temperature"
    paper: ClassVar[str] = (
        "A. V. Bradley, C. A. Gomez-Uribe, M. R. Vuyyuru, Shift-Curvature, SGD, and Generalization, "
        "Machine Learning: Science and Technology 3, 045002 (2022), arXiv:2108.09507"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"E[U_{te}] - U_{te}(\theta_{te}) = s^T C s / 2 + b^T C b / 2 - b^T C s + tr(C P) / 2",
        r"s = \theta_{te} - \theta_{tr},  b = E[\theta] - \theta_{tr},  P = Cov \theta",
        r"p = e^{-v/T} / Z,  \nabla v = \Sigma^{-1} (\nabla U + T div \Sigma),  T = \eta / 2S",
        r"E[s^T C s] = (1/N_{tr} + 1/N_{te}) tr \Sigma H^{-1},  b = - H^{-1} (U''':P) / 2",
    )

    model: AbstractLossModel = GeneralisedLinear(GaussianTeacher())
    """Model whose SGD is taken apart, with held-out data: raw losses with their own decay."""
    lr: float = 0.05
    """Learning rate whose numbers are summarised."""
    batch_size: int = 4
    """Batch size S; the temperature is T = lr/(2S)."""
    ladder: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Factors of the learning rate, and with it of the temperature."""
    equal: tuple[int, ...] = (1, 8, 64)
    """Factors of learning rate and batch size together, at one temperature."""
    domain: float = 1.5
    """Factor of the inputs of a second test set. 0: left out."""
    chains: int = 64
    """Runs of SGD from the training minimum."""
    settle: float = 100.0
    """Time lr k before anything counts."""
    time: float = 300.0
    """Time that counts."""
    landscape: AbstractLandscape = Tilted()
    """Landscape of one parameter with a deep, sharp and a shallow, flat minimum."""
    offset: float = 0.35
    """Shift of its test loss, with a random sign."""
    noise_slope: float = 0.8
    """The other noise is 1 - noise_slope tanh 2x."""
    temperatures: tuple[float, float] = (0.01, 0.2)
    """Range of temperatures on the landscape."""
    low: float = -2.6
    """Left end of its box."""
    high: float = 3.2
    """Right end."""
    particles_at: tuple[float, ...] = (0.06, 0.08, 0.11, 0.15, 0.2)
    """Temperatures of SGD on the landscape. Empty: left out."""
    particles: int = 400
    """Runs of SGD on the landscape."""
    particle_lr: float = 0.05
    """Their learning rate."""
    particle_batch: int = 4
    """Their batch size; the noise of a sample follows from the temperature."""
    particle_time: float = 700.0
    """Longest time lr k of a run."""
    network: AbstractLossModel | None = TwoLayerNetwork(data=Digits(train=512, test=359), width=8)
    """Network that is taken apart too. null: left out."""
    network_decay: float = 0.01
    """Its weight decay, in the training and in the test loss."""
    network_lr: float = 0.4
    """Its learning rate at the lowest temperature."""
    network_batch: int = 16
    """Its batch size."""
    network_chains: int = 16
    """Runs of its SGD."""
    network_steps: int = 2000
    """Steps of its SGD at every temperature; the second half counts."""

    def check(self) -> None:
        for name in ("lr", "time", "offset", "particle_lr", "particle_time", "network_lr", "network_decay"):
            checks.positive(name, getattr(self, name))
        for name in ("domain", "settle"):
            checks.non_negative(name, getattr(self, name))
        lows = {
            "batch_size": 1,
            "chains": 2,
            "particles": 4,
            "particle_batch": 1,
            "network_batch": 1,
            "network_chains": 2,
            "network_steps": 8,
        }
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)
        checks.in_interval("noise_slope", self.noise_slope, 0.0, 1.0, closed="left")
        for factor in self.ladder:
            checks.positive("ladder", factor)
        if 1.0 not in self.ladder:
            raise checks.ParameterError(f"ladder must contain 1, the study's own temperature, got {self.ladder!r}")
        for factor in self.equal:
            checks.integer_at_least("equal", factor, 1)
        for t in (*self.temperatures, *self.particles_at):
            checks.positive("temperatures", t)
        if not self.temperatures[0] < self.temperatures[1]:
            raise checks.ParameterError(f"temperatures must increase, got {self.temperatures!r}")
        if not self.low < self.high:
            raise checks.ParameterError(f"low must be < high, got {self.low!r}, {self.high!r}")

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        return {
            "quick": cls(),
            "map": cls(ladder=(1.0,), equal=(), domain=0.0, particles_at=(), network=None),
            "paper": cls(
                ladder=(0.5, 1.0, 2.0, 4.0, 8.0),
                equal=(1, 2, 4, 8, 16, 32, 64),
                chains=512,
                time=2000.0,
                particles_at=(0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2),
                particles=2000,
                particle_lr=0.02,
                particle_time=10_000.0,
                network_chains=64,
                network_steps=20_000,
            ),
        }

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        problem = anatomy.own_problem(self, seed)
        parts = {
            "anatomy": anatomy.predicted(self, problem, anatomy.ladder(self), "sgd_temperature"),
            "penalty": anatomy.penalty(self, problem),
            "line": anatomy.line(self, problem),
            "trade_off": trade_off.curves(self),
            "best": trade_off.best(self),
        }
        if self.equal:
            stable = anatomy.stable_pairs(problem, anatomy.equal_pairs(self))
            parts["invariance"] = anatomy.predicted(self, problem, stable, "learning_rate")
        if self.particles_at:
            parts["potentials"] = trade_off.potentials(self)
            parts["finite_rate"] = particles.finite_rate(self)
        return xr.DataTree.from_dict(parts)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        problem = anatomy.own_problem(self, seed)
        parts = {"anatomy": anatomy.measured(self, problem, anatomy.ladder(self), "sgd_temperature", seed, progress)}
        if self.equal:
            stable = anatomy.stable_pairs(problem, anatomy.equal_pairs(self))
            parts["invariance"] = anatomy.measured(self, problem, stable, "learning_rate", seed, progress)
        if self.particles_at:
            parts["trade_off"], parts["potentials"] = particles.simulated(self, seed, progress)
        if self.network is not None:
            parts["network"] = anatomy.network(self, seed, progress)
        return xr.DataTree.from_dict(parts)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """The four parts and the excess at the study's own temperature; the best temperature of the landscape (theory)."""
        return summary.summarise(self, tree)

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.shift_curvature import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.shift_curvature import claims

        return claims.CLAIMS
