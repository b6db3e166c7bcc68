"""The study: a flow learns to make importance weights equal; what that is worth against annealing, and when nothing is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.numerics import checks
from quenched.sampling import (
    AbstractEstimator,
    AbstractField,
    AbstractTarget,
    FiniteTime,
    FlowTraining,
    Funnel,
    FunnelField,
    GradientField,
    four_modes,
    two_modes,
)
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.neis import parts, zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Neis(Study):
    """The normalisation constant of a density with distant modes, by weights that collect the target along the orbits of a
    flow. The mean is exact for every flow; training takes away the variance.
    """

    name: ClassVar[str] = "neis"
    title: ClassVar[str] = "Non-equilibrium importance sampling along learned flows"
    paper: ClassVar[str] = (
        "Y. Cao, E. Vanden-Eijnden, Learning Optimal Flows for Non-Equilibrium Importance Sampling, NeurIPS 2022, "
        "arXiv:2206.09908"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"\dot X = b(X), \quad \frac{d}{dt} \ln J = \nabla \cdot b(X), \quad F_k(t) = e^{-U_k(X_t)} J_t",
        r"A = \int_{t_-}^{t_+} \frac{F_1(t)}{B(t)} dt, \quad B(t) = \int_{t - t_+}^{t - t_-} F_0(s) ds, \quad E A = Z_1/Z_0",
        r"\min_b E A^2; \quad \nabla \cdot b = \rho_1 - \rho_0 \quad \mathrm{at\ infinite\ time:} \quad A = Z_1/Z_0",
        r"E w^2 = \sum_{ij} w_i w_j e^{B_{ij}} / \sqrt{\det A_{ij}}, \quad w = e^{U_0 - U_1}",
    )

    target: AbstractTarget = two_modes()
    """Density whose constant is wanted."""
    field: AbstractField = GradientField(20)
    """Velocity field that is trained."""
    estimator: AbstractEstimator = FiniteTime(steps=50)
    """Window of time, and Runge-Kutta steps."""
    training: FlowTraining = FlowTraining(assisted=0.1)
    """How the field is trained."""
    samples: int = 20_000
    """Fresh base points of the estimate."""
    curve_points: int = 9
    """Steps of the training at which the field is tested on fresh points. 0: left out, with the flow lines."""
    curve_samples: int = 4000
    """Points of each such test."""
    curve_spread: float = 3.0
    """Standard deviation of the broader law that half of these points come from."""
    repeats: int = 4
    """Trainings and estimates at the budget of queries, beside as many of each other method. 0: left out."""
    training_share: float = 0.5
    """Part of the budget that training takes; the other methods spend all of it on samples."""
    rungs: tuple[int, ...] = (10, 100)
    """Levels K of annealed importance sampling."""
    step_size: float = 0.1
    """Length tau of its Langevin moves."""
    starts: int = 500
    """Starts of the flows without variance. 0: left out."""

    def check(self) -> None:
        lows = {"samples": 100, "curve_points": 0, "curve_samples": 2, "repeats": 0, "starts": 0}
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)
        for count in self.rungs:
            checks.integer_at_least("rungs", count, 1)
        checks.positive("step_size", self.step_size)
        checks.in_interval("curve_spread", self.curve_spread, 1.0, float("inf"), closed="left")
        checks.in_interval("training_share", self.training_share, 0.0, 1.0, closed="neither")
        if self.repeats:
            checks.integer_at_least("training.steps", self.training.steps, 1)

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        paper = cls(samples=100_000, curve_points=26, curve_samples=20_000, repeats=10, training_share=1 / 3, starts=2000)
        four = dataclasses.replace(
            paper,
            target=four_modes(),
            field=GradientField(30),
            estimator=FiniteTime(steps=60),
            training=FlowTraining(steps=60, samples=800, lr=0.5, assisted=0.3, assisted_until=0.75),
            training_share=0.25,
            curve_spread=2.0,
            starts=0,
        )
        funnel = dataclasses.replace(
            four,
            target=Funnel(),
            field=FunnelField(),
            estimator=FiniteTime(start=-0.5, steps=100),
            training=FlowTraining(steps=100, samples=1000, lr=0.3, lr_ratio=0.5),
        )
        return {
            "quick": cls(),
            "map": cls(curve_points=0, repeats=0, starts=0),
            "paper": paper,
            "four-modes": four,
            "funnel": funnel,
        }

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        found = {"target": parts.exact(self.target)}
        if self.starts:
            found |= {
                "line": zero.line_expected(self.starts),
                "map": zero.map_expected(self.starts),
                "torus": zero.torus_expected(self.starts, seed),
            }
        return xr.DataTree.from_dict(found)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        found = parts.measured(self, seed)
        if self.repeats:
            found["methods"] = parts.compared(self, seed)
        if self.starts:
            found |= {
                "line": zero.line_measured(self.starts),
                "map": zero.map_measured(self.starts),
                "torus": zero.torus_measured(self.starts, seed),
                "transport": zero.torus_transported(self.starts, seed),
            }
        return xr.DataTree.from_dict(found)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """The constant by theory and by the trained flow; variances, and the share of samples that count."""
        return parts.summarise(tree)

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.neis import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.neis import claims

        return claims.CLAIMS
