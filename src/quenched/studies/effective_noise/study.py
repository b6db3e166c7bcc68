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
from quenched.studies.batches import Together
from quenched.studies.claims import Claim
from quenched.studies.effective_noise import controls, measure, summary
from quenched.studies.rules import batch_name, beside, named, with_batches
from quenched.studies.simulations import Simulation, in_batches, one_by_one

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
    satisfiable: AbstractGaussianModel | None = GaussianMixture(
        alpha=0.5, noise=0.5, loss=QuadraticHinge(margin=1.0), start=GaussianStart(variance=1.0)
    )
    """Over-parametrised system: its training loss goes to zero. null: left out."""
    data: AbstractLossModel | None = SingleLayerData()
    """Model of given data on which the same instruments run; default: odd against even handwritten digits. null: left out."""
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
    over_fraction: tuple[float, ...] = ()
    """Batch fractions at which the noise is compared, with gradients summed over the batch and divided by the fraction."""
    over_time: tuple[float, ...] = ()
    """Persistence times at which the noise is compared."""
    over_lr: tuple[float, ...] = ()
    """Learning rates at which the noise is compared, at equal physical times."""
    over_alpha: tuple[float, ...] = ()
    """Loads of the under-parametrised system at which the noise is compared."""
    over_ridge: tuple[float, ...] = ()
    """Ridges of the under-parametrised system at which the noise is compared."""
    long_lags: int = 0
    """Largest lag of a long run, in steps, and its waiting step; 0: left out."""
    long_ridge: float = 0.02
    """Ridge of the long run: small, so that there are slow directions."""
    long_horizon: int = 400
    """Lag beyond which the long theory neglects the response kernel, in steps."""
    long_size: int = 8192
    """Dimension d of the long simulation, on structured data."""

    def check(self) -> None:
        lows = {"waiting": 1, "lags": 2, "steps": 2, "size": 2, "disorder": 2, "replicas": 2, "samples": 2, "runs": 2}
        for name, low in {**lows, "long_lags": 0, "long_horizon": 1, "long_size": 2}.items():
            checks.integer_at_least(name, getattr(self, name), low)
        checks.non_negative("long_ridge", self.long_ridge)
        controls.points(self)

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        noisy = (IID(fraction=0.3), IID(fraction=0.6), Persistent(fraction=0.3, time=1.0), Persistent(fraction=0.6, time=2.0))
        return {
            "quick": cls(),
            "map": cls(compare=(), data=None, size=200, disorder=8, steps=60, waiting=60, samples=2048, runs=4),
            "paper": cls(
                compare=noisy,
                size=1000,
                disorder=16,
                replicas=8,
                samples=16384,
                waiting=100,
                lags=100,
                steps=200,
                over_fraction=(0.1, 0.2, 0.3, 0.45, 0.6, 0.8),
                over_time=(0.5, 1.0, 2.0, 4.0, 8.0),
                over_lr=(0.05, 0.1, 0.2, 0.4),
                over_alpha=(2.0, 3.0, 4.0, 6.0, 8.0),
                over_ridge=(0.05, 0.1, 0.2, 0.4, 0.8),
                long_lags=10_000,
            ),
        }

    def stationary_rules(self) -> dict[str, Gradient]:
        """Rules of the under-parametrised system, by name."""
        return named((*(with_batches(self.rule, batches) for batches in self.compare), self.rule))

    def resting_rules(self) -> dict[str, Gradient]:
        """Rules of the over-parametrised system: no ridge, so that the dynamics can come to rest; full batch beside others."""
        free = dataclasses.replace(self.rule, ridge=0.0)
        beside_it = (*self.compare, self.rule.batches, Full()) if self.compare else (self.rule.batches,)
        return named(with_batches(free, batches) for batches in beside_it)

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        parts = self.solved(seed)
        if self.long_lags:
            # with a small ridge the noise of the kernel is felt at late times: more probes, none of it beyond the horizon
            solver = {"samples": self.samples // 2, "runs": max(self.runs // 2, 2), "seed": seed}
            solver |= {"probes": 4, "horizon": self.long_horizon}
            own = self.long_rule()
            found = measure.theory_long(self.model, own, self.long_lags, **solver)
            parts["long_fluctuations"] = beside({batch_name(own.batches): found})
        for name, points in controls.points(self).items():
            numbers = {value: summary.numbers(point, point.solved(seed)) for value, point in points.items()}
            parts[name] = controls.beside(name, numbers)
        return xr.DataTree.from_dict(parts)

    def solved(self, seed: int) -> dict[str, xr.Dataset]:
        """The theory at the study's own parameters: the two measurements."""
        solver = {"samples": self.samples, "runs": self.runs, "seed": seed}
        rules = self.stationary_rules()
        parts = {
            "fluctuations": beside(
                {name: measure.theory_fluctuations(self.model, rule, self.window, **solver) for name, rule in rules.items()}
            )
        }
        if self.satisfiable is not None:
            rules = self.resting_rules()
            parts["training"] = beside(
                {name: measure.theory_training(self.satisfiable, rule, self.steps, **solver) for name, rule in rules.items()}
            )
        return parts

    def long_rule(self) -> Gradient:
        """The rule of the long run."""
        return dataclasses.replace(self.rule, ridge=self.long_ridge)

    @property
    def window(self) -> measure.Window:
        """Waiting step and lags of the stationary state."""
        return measure.Window(self.waiting, self.lags)

    def simulations(self) -> dict[tuple[str, ...], Simulation]:
        """The experiment: simulations by part and name of the rule; before them, where there is one, a control and its value."""
        finite = {"size": self.size, "disorder": self.disorder, "replicas": self.replicas}
        # one data set only: the error bars are over replicas, so there are as many of them as elsewhere runs
        given = {"replicas": self.disorder * self.replicas}
        found: dict[tuple[str, ...], Simulation] = {}
        for name, rule in self.stationary_rules().items():
            found["fluctuations", name] = measure.perturbation(self.model, rule, self.window, **finite)
            if self.data is not None:
                found["data_fluctuations", name] = measure.perturbation(self.data, rule, self.window, **given)
                found["data_training", name] = measure.training(self.data, rule, self.waiting + self.lags, **given)
        if self.satisfiable is not None:
            for name, rule in self.resting_rules().items():
                gap = {"gap": sample_gaps}
                found["training", name] = measure.training(self.satisfiable, rule, self.steps, **finite, final=gap)
        if self.long_lags:
            own, structured = self.long_rule(), {"size": self.long_size, "disorder": max(self.disorder // 4, 2)}
            found["long_fluctuations", batch_name(own.batches)] = measure.long_perturbation(
                self.model, own, self.long_lags, **structured
            )
        for control, points in controls.points(self).items():
            for value, point in points.items():
                found |= {(control, repr(value), *key): one for key, one in point.simulations().items()}
        return found

    def measured(self, answers: Mapping[tuple[str, ...], xr.Dataset]) -> xr.DataTree:
        """The answers of the simulations: those of one part beside each other, and the numbers of the points of every control."""
        parts = self.read(answers)
        for control, points in controls.points(self).items():
            own = {
                value: {key[2:]: answer for key, answer in answers.items() if key[:2] == (control, repr(value))}
                for value in points
            }
            numbers = {value: summary.numbers(point, point.read(own[value])) for value, point in points.items()}
            parts[control] = controls.beside(control, numbers)
        return xr.DataTree.from_dict(parts)

    def read(self, answers: Mapping[tuple[str, ...], xr.Dataset]) -> dict[str, xr.Dataset]:
        """The measurements at the study's own parameters, those of one part beside each other."""
        parts: dict[str, dict[str, xr.Dataset]] = {}
        for key, answer in answers.items():
            if len(key) == 2:
                part, name = key
                read = measure.fluctuations(answer) if part.endswith("fluctuations") else answer
                parts.setdefault(part, {})[name] = read
        return {part: beside(found) for part, found in parts.items()}

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        return self.measured(one_by_one(self.simulations(), seed, progress))

    def together(self) -> Together | None:
        return in_batches(self)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """Effective temperature, replica distance and errors of the study's own rule, with standard errors."""
        return summary.summarise(self, tree)

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.effective_noise import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.effective_noise import claims

        return claims.CLAIMS
