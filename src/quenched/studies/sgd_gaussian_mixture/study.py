"""The study: learning curves of full-batch, stochastic and persistent gradient descent, theory through simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import xarray as xr

from quenched.dynamics import IID, AbstractBatches, Full, Gradient, Persistent
from quenched.losses import Door, Logistic
from quenched.models import AbstractGaussianModel, GaussianMixture, GaussianStart
from quenched.numerics import checks
from quenched.observables import gaps
from quenched.studies.base import Study
from quenched.studies.batches import Together
from quenched.studies.claims import Claim
from quenched.studies.rules import batch_name, beside, named, with_batches
from quenched.studies.simulations import Simulation, in_batches, one_by_one
from quenched.studies.summary import by_engine, ends
from quenched.theory import solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class SgdGaussianMixture(Study):
    """One model, one rule, other batch processes beside it: m, C, losses and errors against time, and the two-time functions."""

    name: ClassVar[str] = "sgd-gaussian-mixture"
    title: ClassVar[str] = "Learning curves of SGD on a high-dimensional Gaussian mixture, exact at finite learning rate"
    paper: ClassVar[str] = (
        "F. Mignacco, F. Krzakala, P. Urbani, L. Zdeborová, Dynamical mean-field theory for stochastic gradient descent in "
        "Gaussian mixture classification, NeurIPS 2020, arXiv:2006.06098"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"w(t+1) = w(t) - \eta [\lambda w(t) + d^{-1/2} \sum_\mu s_\mu(t) \ell'(y_\mu, r_\mu(t)) x_\mu]",
        r"r_\mu = w \cdot x_\mu / \sqrt{d}",
        r"r = m \zeta + \sqrt{\Delta} h,  f = s \ell'(y, r),  M(t,t') = \alpha <f(t) f(t')>,  g ~ N(0, M)",
        r"h(t+1) = (1 - \eta\lambda) h(t) - \eta [\sqrt{\Delta} (g(t) + f(t)) + \Delta \sum_{u \le t} \Gamma(t,u) h(u)]",
        r"m(t+1) = (1 - \eta\lambda) m(t) - \eta \alpha <f(t) \zeta>",
    )

    model: AbstractGaussianModel = GaussianMixture(alpha=2.0, noise=0.5)
    """The data, the loss and the start."""
    rule: Gradient = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=1.0))
    """The gradient rule."""
    compare: tuple[AbstractBatches, ...] = (Full(), IID(fraction=0.3), Persistent(fraction=0.3, time=10.0))
    """Batch processes shown beside that of the rule."""
    steps: int = 100
    """Number of steps."""
    size: int = 500
    """Dimension d of the simulation."""
    disorder: int = 16
    """Number of simulated data sets."""
    samples: int = 4096
    """Trajectories per run of the theory."""
    runs: int = 4
    """Independent runs of the theory."""
    details: bool = True
    """Also two-time functions and gaps; learning curves alone are faster, and small on disk."""
    starts: tuple[float, ...] = ()
    """Variances R0 of the start from which the rule is run as well, with its ridge and with ``start_ridges``."""
    start_ridges: tuple[float, ...] = (0.0,)
    """Ridges of these runs beside that of the rule."""

    def check(self) -> None:
        for name, low in (("steps", 2), ("size", 2), ("disorder", 2), ("samples", 2), ("runs", 2)):
            checks.integer_at_least(name, getattr(self, name), low)
        for name in ("starts", "start_ridges"):
            for value in getattr(self, name):
                checks.non_negative(name, value)
        if self.starts and not isinstance(self.model.start, GaussianStart):
            raise checks.ParameterError(f"starts needs a model with a GaussianStart, got {self.model.start!r}")

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        three = GaussianMixture(
            alpha=3.0,
            noise=0.05,
            clusters=3,
            loss=Logistic(output=Door(width=0.7)),
            start=GaussianStart(overlap=0.2, variance=0.1),
        )
        late = GaussianMixture(alpha=2.0, noise=0.5, start=GaussianStart(variance=5.0))
        return {
            "quick": cls(),
            "three-clusters": cls(model=three, steps=60),
            "large-start": cls(model=late, steps=150),
            "map": cls(compare=(), size=200, disorder=8, details=False),
            "paper": cls(
                steps=300,
                size=2000,
                disorder=16,
                samples=16384,
                runs=8,
                starts=(0.01, 1.0, 5.0, 10.0),
                start_ridges=(0.0, 0.1),
            ),
            "paper-three-clusters": cls(model=three, steps=150, size=2000, disorder=16, samples=16384, runs=8),
        }

    def rules(self) -> dict[str, Gradient]:
        """The rule, preceded by the ones it is compared with, by name."""
        return named((*(with_batches(self.rule, batches) for batches in self.compare), self.rule))

    def started(self) -> dict[str, tuple[AbstractGaussianModel, Gradient]]:
        """Models and rules of the runs from other starts, by name."""
        if self.starts and not isinstance(self.model.start, GaussianStart):
            raise checks.ParameterError(f"starts needs a GaussianStart, whose variance it varies, got {self.model.start!r}")
        found: dict[str, tuple[AbstractGaussianModel, Gradient]] = {}
        for ridge in dict.fromkeys((*self.start_ridges, self.rule.ridge)):
            for variance in self.starts:
                start = dataclasses.replace(cast(GaussianStart, self.model.start), variance=variance)
                name = f"R₀={variance:g}, λ={ridge:g}"
                found[name] = dataclasses.replace(self.model, start=start), dataclasses.replace(self.rule, ridge=ridge)
        return found

    def theory(self, seed: int, progress: bool) -> xr.Dataset | xr.DataTree:
        detail: dict[str, Any] = {"two_time": self.details, "final_gaps": self.details}
        solver: dict[str, Any] = {
            "steps": self.steps,
            "method": "sampled",
            "samples": self.samples,
            "runs": self.runs,
            "seed": seed,
        }
        answers = {name: solve(self.model, rule, **solver, **detail) for name, rule in self.rules().items()}
        others = {name: solve(model, rule, **solver, two_time=False) for name, (model, rule) in self.started().items()}
        return _tree(answers, others)

    def simulations(self) -> dict[str, Simulation]:
        """The experiment: one simulation per rule, and per other start."""
        arguments: dict[str, Any] = {"steps": self.steps, "size": self.size, "disorder": self.disorder}
        detail: dict[str, Any] = {"times": range(self.steps + 1), "two_time": self.details}
        if self.details:
            detail["final"] = {"gap": gaps.sample_gaps}
        found = {name: Simulation(self.model, rule, {**arguments, **detail}) for name, rule in self.rules().items()}
        for name, (model, rule) in self.started().items():
            found[name] = Simulation(model, rule, {**arguments, "times": range(self.steps + 1)})
        return found

    def measured(self, answers: Mapping[str, xr.Dataset]) -> xr.Dataset | xr.DataTree:
        """The answers of the simulations beside each other."""
        started = self.started()
        main = {name: answer for name, answer in answers.items() if name not in started}
        return _tree(main, {name: answers[name] for name in started})

    def experiment(self, seed: int, progress: bool) -> xr.Dataset | xr.DataTree:
        return self.measured(one_by_one(self.simulations(), seed, progress))

    def together(self) -> Together | None:
        return in_batches(self)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """Order parameters of the study's own rule at the last time, with standard errors; not of those it is compared with."""
        own = batch_name(self.rule.batches)
        return by_engine({name: ends(part.to_dataset().sel(rule=own, drop=True)) for name, part in tree.children.items()})

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.sgd_gaussian_mixture import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.sgd_gaussian_mixture import claims

        return claims.CLAIMS


def _tree(answers: Mapping[str, xr.Dataset], others: Mapping[str, xr.Dataset]) -> xr.Dataset | xr.DataTree:
    """Answers of the rules; where there are runs from other starts, those in the group ``starts`` below, along ``start``."""
    main = beside(answers)
    if not others:
        return main
    return xr.DataTree.from_dict({"/": main, "/starts": beside(others).rename(rule="start")})
