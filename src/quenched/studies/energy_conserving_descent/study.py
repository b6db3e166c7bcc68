"""The study: the law of the loss, the race to a minimum, narrow valleys, and the choice between two basins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.numerics import checks
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.energy_conserving_descent import distribution, races
from quenched.studies.summary import by_engine, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class EnergyConservingDescent(Study):
    """A particle whose energy is conserved cannot stop on a hill. Where it mixes, the loss of its iterates follows the
    microcanonical measure, which prefers low and wide minima; that is a prediction, and it is tested here.
    """

    name: ClassVar[str] = "energy-conserving-descent"
    title: ClassVar[str] = "Energy-conserving descent: an optimiser that cannot stop on a hill, and the law of its loss"
    paper: ClassVar[str] = (
        "G. B. De Luca, E. Silverstein, Born-Infeld (BI) for AI: Energy-Conserving Descent (ECD) for Optimization, ICML 2022, "
        "arXiv:2201.11137; G. B. De Luca, A. Gatti, E. Silverstein, Improving Energy Conserving Descent for Machine Learning: "
        "Theory and Practice, arXiv:2306.00352"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"H = \sqrt{V (V + p^2)} = E, \quad V = F - V_0",
        r"\dot\theta = (V/E) p, \quad \dot p = -\frac12 (V/E + E/V) \nabla V",
        r"p(V) \propto g(V) V^{-n/2} (1 - V^2/E^2)^{(n-2)/2}",
        r"n_1/n_2 = \sqrt{\det H_2/\det H_1}",
    )

    dimensions: tuple[int, ...] = (2, 4, 10)
    """Dimensions of the quadratic bowl. Empty: left out."""
    minimum: float = 0.1
    """V at its bottom, > 0."""
    energy: float = 2.0
    """The largest V."""
    step: float = 0.01
    """Step of time dt."""
    coarse_step: float = 0.1
    """A step that is too large: its bias is shown. 0: left out."""
    steps: int = 10_000
    """Steps of a run."""
    replicas: int = 128
    """Runs."""
    race: int = 10_000
    """Steps on Zakharov's function. 0: left out."""
    valleys: tuple[float, ...] = (0.3, 0.1, 0.03)
    """Ratios of the two frequencies of a valley. Empty: left out."""
    valley_rates: tuple[float, ...] = (1.0, 1.2, 1.3, 1.4, 1.5)
    """Steps of time of which BBI takes the best."""
    valley_steps: int = 3000
    """Steps in a valley."""
    basin_runs: int = 200
    """Runs that choose between two basins. 0: left out."""
    basin_steps: int = 15_000
    """Their steps."""

    def check(self) -> None:
        for name in ("minimum", "energy", "step"):
            checks.positive(name, getattr(self, name))
        checks.non_negative("coarse_step", self.coarse_step)
        if not self.minimum < self.energy / 2:
            raise checks.ParameterError(
                f"minimum must be < energy/2 = {self.energy / 2:g}, where ECDSep begins, got {self.minimum!r}"
            )
        lows = {"steps": 100, "replicas": 8, "race": 0, "valley_steps": 1, "basin_runs": 0, "basin_steps": 5}
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)
        for size in self.dimensions:
            checks.integer_at_least("dimensions", size, 1)
        for ratio in self.valleys:
            checks.in_interval("valleys", ratio, 0.0, 1.0, closed="right")
        for rate in self.valley_rates:
            checks.positive("valley_rates", rate)

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        large = cls(
            minimum=0.01,
            step=0.005,
            coarse_step=0.05,
            steps=100_000,
            replicas=256,
            valleys=(0.1, 0.03, 0.01),
            valley_steps=25_000,
            basin_runs=2000,
            basin_steps=25_000,
        )
        return {"quick": cls(), "map": cls(dimensions=(4,), race=0, valleys=(), basin_runs=0, coarse_step=0.0), "paper": large}

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        found = {}
        if self.dimensions:
            found["distribution"] = distribution.expected(self.dimensions, self.minimum, self.energy)
        if self.basin_runs:
            found["basins"] = races.basins_expected()
        return xr.DataTree.from_dict(found)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        found = {}
        shape = (self.steps, self.replicas, seed)
        if self.dimensions:
            found["distribution"] = distribution.measured(self.dimensions, self.minimum, self.energy, self.step, *shape)
            if self.coarse_step:
                found["coarse"] = distribution.measured(self.dimensions, self.minimum, self.energy, self.coarse_step, *shape)
        if self.race:
            found["race"] = races.zakharov(self.race)
        if self.valleys:
            found["valleys"] = races.valleys(self.valleys, self.valley_rates, self.valley_steps)
        if self.basin_runs:
            found["basins"] = races.basins(self.basin_runs, self.basin_steps, seed)
        return xr.DataTree.from_dict(found)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """The median of V by kind, in the first dimension of the list, by engine."""
        parts = {name: part["distribution"].to_dataset() for name, part in tree.children.items() if "distribution" in part}
        return by_engine({engine: _medians(part.isel(dimension=0, drop=True)) for engine, part in parts.items()})

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.energy_conserving_descent import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.energy_conserving_descent import claims

        return claims.CLAIMS


def _medians(part: xr.Dataset) -> xr.Dataset:
    found: dict[str, xr.DataArray] = {}
    for kind in distribution.KINDS:
        one = part.sel(kind=kind, probability=0.5, drop=True)
        value = one["potential_quantile"]
        error = one.get("potential_quantile_error", xr.zeros_like(value))
        label = {"long_name": f"median of V, {kind}", "symbol": "V_{1/2}", "units": "1"}
        found |= number(f"{kind}_median", value, error, label)
    return xr.Dataset(found)
