"""A study that returns at once, for tests of what the lab does with points."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from quenched.dynamics import IID, AbstractBatches, Gradient, Persistent
from quenched.lab.store import Store
from quenched.models import AbstractModel, GaussianMixture
from quenched.records.description import canonical_json
from quenched.studies import Study


class Foreign(AbstractModel):
    """A model of a user's own package: files name it by its import path."""

    def sizes(self, size):
        return (size,)

    def sample(self, key, sizes, dtype):
        return None

    def initial(self, key, disorder):
        return None


@dataclasses.dataclass(frozen=True)
class Ramp(Study):
    """``x`` times the step, and what else a test wants to vary."""

    name: ClassVar[str] = "ramp"
    title: ClassVar[str] = "A ramp"
    paper: ClassVar[str] = "none"

    model: AbstractModel = GaussianMixture(alpha=3.0)
    rule: Gradient = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=1.0))
    compare: tuple[AbstractBatches, ...] = (IID(fraction=0.3),)
    lags: tuple[float, ...] = (1.0, 2.0)
    x: float = 1.0
    steps: int = 3
    flag: bool = False
    word: str = ""
    solved: bool = True
    scale: float = 1.0

    def theory(self, seed: int, progress: bool) -> xr.Dataset | None:
        return xr.Dataset({"height": ("t", self.x * self._t())}, {"t": self._t()}) if self.solved else None

    def experiment(self, seed: int, progress: bool) -> xr.Dataset:
        t = self._t()
        noise = np.random.default_rng(seed).normal(size=(2, t.size))
        height = xr.Variable(("replica", "t"), self.x * t + noise, {"long_name": "height", "symbol": "h", "units": "m"})
        provenance = canonical_json({"model": {"class": "GaussianMixture"}})
        variables = {"height": height, "count": self.steps, "first": ("replica", np.array([True, False])), "mode": "up"}
        return xr.Dataset(variables, {"t": t, "step": ("t", np.arange(t.size))}, {"provenance": provenance})

    def _t(self) -> np.ndarray:
        return self.scale * np.arange(self.steps + 1.0)


class Ramp2(Ramp):
    """The next version."""

    version: ClassVar[str] = "2"


def ramps(**axes: Any) -> list[Study]:
    """A ramp for every combination."""
    return [Ramp(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def put(store: Store, study: Study, seed: int = 0) -> Path:
    return store.put(study.run(seed))


def fill(store: Store, studies: list[Study], seeds: tuple[int, ...] = (0,)) -> None:
    for study, seed in itertools.product(studies, seeds):
        store.put(study.run(seed))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
