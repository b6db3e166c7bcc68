"""What the two studies of memories have in common: one point of the phase diagram, and learning curves at T = 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr

from quenched.models import Hopfield
from quenched.models.hebbian import RULES
from quenched.numerics import checks
from quenched.studies import learning_curves, memories, memory_lines
from quenched.studies.base import Study
from quenched.studies.memories import Effort


@dataclasses.dataclass(frozen=True)
class MemoryStudy(Study):
    """A subclass sets the ``model`` of its point and adds its own parts to ``shared_theory`` and ``shared_experiment``."""

    model: Hopfield = Hopfield(load=0.02, examples=20, quality=0.5)
    """Network of the point."""
    temperature: float = 0.2
    """Temperature of the point."""
    sizes: tuple[int, ...] = (500, 1000, 2000)
    """Numbers of spins of the point, extrapolated to infinity. Empty: no simulation of it."""
    examples: tuple[int, ...] = (30, 50, 75, 100, 150, 250, 400)
    """Examples per archetype of the learning curves. Empty: left out."""
    load: float = 0.02
    """Their load."""
    quality: float = 0.2
    """Their quality."""
    curve_size: int = 2000
    """Their number of spins."""
    disorder: int = 8
    """Networks per number."""
    sweeps: int = 200
    """Sweeps over which equilibrium is averaged."""

    def check(self) -> None:
        self.check_integers({"curve_size": 2, "disorder": 2, "sweeps": 40}, {"sizes": 2, "examples": 1})
        memories.check_temperature(self.model, self.temperature)
        checks.positive("load", self.load)
        checks.in_interval("quality", self.quality, 0.0, 1.0, closed="right")

    def check_integers(self, numbers: Mapping[str, int], lists: Mapping[str, int]) -> None:
        """Require integers at least as large as given: the fields ``numbers``, and every entry of the fields ``lists``."""
        for name, low in numbers.items():
            checks.integer_at_least(name, getattr(self, name), low)
        for name, low in lists.items():
            for count in getattr(self, name):
                checks.integer_at_least(name, count, low)

    @property
    def effort(self) -> Effort:
        """How much a simulation is."""
        return Effort(self.disorder, sweeps=self.sweeps)

    def curve_model(self) -> Hopfield:
        """The network of the learning curves; its rule and examples are what varies."""
        return Hopfield(load=self.load, quality=self.quality)

    def shared_theory(self) -> dict[str, xr.Dataset]:
        """``point`` and, unless left out, ``concept``."""
        found = {"point": memories.expected(self.model, self.temperature)}
        if self.examples:
            found["concept"] = learning_curves.expected(self.curve_model(), RULES, learning_curves.between(self.examples))
        return found

    def shared_experiment(self, seed: int) -> dict[str, xr.Dataset]:
        """The same by simulation, each unless left out."""
        found = {}
        if self.sizes:
            found["point"] = memories.along_sizes(self.model, self.temperature, self.sizes, self.effort, seed)
        if self.examples:
            found["concept"] = learning_curves.measured(
                self.curve_model(), RULES, self.examples, self.curve_size, self.effort, seed
            )
        return found

    def transitions(self, x: str, y: str) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Lines of the phase diagram in the plane of ``model.load`` and ``temperature``."""
        return memory_lines.transitions(self.model, x, y)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """Numbers of the point: by theory, and extrapolated from simulations."""
        return memories.summarise(tree)
