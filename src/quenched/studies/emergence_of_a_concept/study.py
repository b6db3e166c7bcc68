"""The study: memories of single examples, their loss, and the archetype that emerges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from quenched.models import Hopfield
from quenched.numerics import checks
from quenched.studies import learning_curves, memory_lines
from quenched.studies.base import Study
from quenched.studies.claims import Claim
from quenched.studies.emergence_of_a_concept import parts
from quenched.studies.memory_study import MemoryStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class EmergenceOfAConcept(MemoryStudy):
    """A network stores blurred examples without being told what they are examples of. Few are memorised one by one; of many,
    their archetype becomes an attractor, though it was never shown.
    """

    name: ClassVar[str] = "emergence-of-a-concept"
    title: ClassVar[str] = "The emergence of a concept: Hopfield networks that learn archetypes from blurred examples"
    paper: ClassVar[str] = (
        "E. Agliari, F. Alemanno, A. Barra, G. De Marzo, The emergence of a concept in shallow neural networks, Neural Networks "
        "148, 232 (2022), arXiv:2109.00454"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"J_{ij} = \frac{1}{N M R} \sum_{\mu, a} \eta_i^{\mu a} \eta_j^{\mu a}, \quad R = r^2 + (1 - r^2)/M",
        r"h = \frac{1}{M R} \sum_a n_a \chi_a + \sqrt{\alpha p} z, \quad m = E \tanh \beta h, \quad n_a = E \chi_a \tanh \beta h",
        r"q = E \tanh^2 \beta h, \quad C = \beta (1 - q), \quad p = q \sum_k \mu_k \lambda_k^2 / (1 - \lambda_k C)^2",
        r"M_c \propto r^{-4}, \quad \mathrm{with\ a\ teacher} \quad M_c \propto r^{-2}",
    )

    memory_examples: tuple[int, ...] = (2, 3, 5, 10, 20)
    """Examples per archetype of the runs that start from an example. Empty: left out."""
    memory_load: float = 0.01
    """Their load."""
    memory_quality: float = 0.5
    """Their quality."""
    qualities: tuple[float, ...] = (0.05, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.8)
    """Qualities of the critical sample sizes. Empty: left out."""
    loads: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    """Loads of the critical sample sizes."""
    lines: int = 33
    """Points of the lines of the phase diagram. 0: left out."""

    def check(self) -> None:
        super().check()
        self.check_integers({"lines": 0}, {"memory_examples": 1})
        checks.positive("memory_load", self.memory_load)
        for name, values in {"memory_quality": (self.memory_quality,), "qualities": self.qualities}.items():
            for value in values:
                checks.in_interval(name, value, 0.0, 1.0, closed="right")
        for value in self.loads:
            checks.in_interval("loads", value, 0.0, 0.1379, closed="neither")

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        return {
            "quick": cls(),
            "map": cls(sizes=(250, 500, 1000), examples=(), memory_examples=(), qualities=(), lines=0),
            "paper": cls(sizes=(500, 1000, 2000, 4000), curve_size=3000, disorder=32, sweeps=400, lines=65),
        }

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        found = self.shared_theory()
        if self.memory_examples:
            found["memory"] = parts.memories_expected(self.memory_model(), self.memory_examples)
        if self.qualities:
            found["sample_size"] = parts.sample_sizes(self.qualities, self.loads)
        if self.lines:
            found["diagram"] = memory_lines.diagram(self.model, self.lines)
            found["fields"] = parts.fields_expected(self.field_model())
        return xr.DataTree.from_dict(found)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree | None:
        found = self.shared_experiment(seed)
        if self.memory_examples:
            found["memory"] = learning_curves.measured(
                self.memory_model(), ("unsupervised",), self.memory_examples, self.curve_size, self.effort, seed
            ).isel(rule=0, drop=True)
        if self.lines:
            found["fields"] = parts.fields_measured(self.field_model(), self.curve_size, self.effort, seed)
        return xr.DataTree.from_dict(found) if found else None

    def memory_model(self) -> Hopfield:
        """The network that starts from an example."""
        return Hopfield(load=self.memory_load, quality=self.memory_quality, start="example")

    def field_model(self) -> Hopfield:
        """The network of the local fields."""
        return dataclasses.replace(self.model, start="archetype")

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.emergence_of_a_concept import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.emergence_of_a_concept import claims

        return claims.CLAIMS
