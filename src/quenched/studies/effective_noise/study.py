"""The study: how noisy is SGD, measured in two ways, on Gaussian mixtures (theory and simulation) and on handwritten digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.dynamics import IID, AbstractBatches, Full, Gradient, Persistent
from quenched.losses import QuadraticHinge
from quenched.models import AbstractGaussianModel, AbstractLossModel, GaussianMixture, GaussianStart, SingleLayerData
from quenched.numerics import checks
from quenched.observables.gaps import sample_gaps
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.effective_noise import measure
from quenched.studies.rules import beside, distinct, with_batches

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class EffectiveNoise(Study):
    """Effective temperature where the training loss stays positive, replica distance where it vanishes, both on digits too."""

    name: ClassVar[str] = "effective-noise"
    title: ClassVar[str] = (
        "How noisy is SGD? Effective temperature and replica distance, on Gaussian mixtures and on handwritten digits"
    )
    paper: ClassVar[str] = (
        "F. Mignacco, P. Urbani, The effective noise of Stochastic Gradient Descent, "
        "J. Stat. Mech. (2022) 083405, arXiv:2112.10852"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"B(t,t_w) = |w(t) - w(t_w)|^2 / 2d",
        r"\chi(t,t_w) = \sum_{s=t_w}^{t-1} \eta_s R(t,s)",
        r"T_{eff}(k) = B(t_w+k, t_w) / \chi(t_w+k, t_w)",
        r"dist(t) = |w^1(t) - w^2(t)|^2 / d,  same data and start, independent batches",
    )

    model: AbstractGaussianModel = GaussianMixture(alpha=4.0, noise=1.0)
    """Under-parametrised system, with a stationary state."""
    rule: Gradient = Gradient(lr=0.2, ridge=0.2, batches=Persistent(fraction=0.3, time=2.0))
    """The gradient rule; its ridge is used in the stationary state only."""
    compare: tuple[AbstractBatches, ...] = (IID(fraction=0.3), Persistent(fraction=0.6, time=0.6))
    """Batch processes shown beside that of the rule."""
    satisfiable: AbstractGaussianModel = GaussianMixture(
        alpha=0.5, noise=0.5, loss=QuadraticHinge(margin=1.0), start=GaussianStart(variance=1.0)
    )
    """Over-parametrised system: its training loss goes to zero."""
    data: AbstractLossModel = SingleLayerData()
    """Model of given data on which the same instruments run; default: odd against even handwritten digits."""
    waiting: int = 80
    """First waiting step tw, late enough for a stationary state."""
    lags: int = 60
    """Largest lag in steps."""
    steps: int = 120
    """Steps of the over-parametrised run."""
    size: int = 500
    """Dimension d of the simulation."""
    disorder: int = 48
    """Simulated data sets."""
    replicas: int = 2
    """Replicas on each data set."""
    samples: int = 8192
    """Trajectories per run of the theory."""
    runs: int = 8
    """Independent runs of the theory."""

    def check(self) -> None:
        lows = {"waiting": 1, "lags": 2, "steps": 2, "size": 2, "disorder": 2, "replicas": 2, "samples": 2, "runs": 2}
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        noisy = (IID(fraction=0.3), IID(fraction=0.6), Persistent(fraction=0.3, time=1.0), Persistent(fraction=0.6, time=2.0))
        return {
            "quick": cls(),
            "paper": cls(
                compare=noisy, size=2000, disorder=16, replicas=8, samples=16384, runs=8, waiting=100, lags=100, steps=200
            ),
        }

    def stationary_rules(self) -> tuple[Gradient, ...]:
        """Rules of the under-parametrised system."""
        return distinct((*(with_batches(self.rule, batches) for batches in self.compare), self.rule))

    def resting_rules(self) -> tuple[Gradient, ...]:
        """Rules of the over-parametrised system: full batch too, and no ridge, so that the dynamics can come to rest."""
        free = dataclasses.replace(self.rule, ridge=0.0)
        return distinct(with_batches(free, batches) for batches in (*self.compare, self.rule.batches, Full()))

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        solver = {"samples": self.samples, "runs": self.runs, "seed": seed}
        window = measure.Window(self.waiting, self.lags)
        return xr.DataTree.from_dict(
            {
                "fluctuations": beside(
                    self.stationary_rules(), lambda rule: measure.theory_fluctuations(self.model, rule, window, **solver)
                ),
                "training": beside(
                    self.resting_rules(), lambda rule: measure.theory_training(self.satisfiable, rule, self.steps, **solver)
                ),
            }
        )

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        window = measure.Window(self.waiting, self.lags)
        finite = {"size": self.size, "disorder": self.disorder, "replicas": self.replicas, "seed": seed, "progress": progress}
        # one data set only: the error bars are over replicas, so there are as many of them as elsewhere runs
        given = {"replicas": self.disorder * self.replicas, "seed": seed, "progress": progress}
        return xr.DataTree.from_dict(
            {
                "fluctuations": beside(
                    self.stationary_rules(), lambda rule: measure.simulated_fluctuations(self.model, rule, window, **finite)
                ),
                "training": beside(
                    self.resting_rules(),
                    lambda rule: measure.simulated_training(
                        self.satisfiable, rule, self.steps, **finite, final={"gap": sample_gaps}
                    ),
                ),
                "data_fluctuations": beside(
                    self.stationary_rules(), lambda rule: measure.simulated_fluctuations(self.data, rule, window, **given)
                ),
                "data_training": beside(
                    self.stationary_rules(),
                    lambda rule: measure.simulated_training(self.data, rule, self.waiting + self.lags, **given),
                ),
            }
        )

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.effective_noise import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.effective_noise import claims

        return claims.CLAIMS
