"""Studies that return at once, fail in every way, or tell about their process. A real module: worker processes import it."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np
import xarray as xr

from quenched.dynamics import IID, AbstractBatches, AbstractDynamics, Gradient, Persistent
from quenched.models import AbstractModel, GaussianMixture
from quenched.numerics import checks
from quenched.numerics.checks import DivergenceError, ParameterError, QuenchedWarning
from quenched.studies import Study
from quenched.studies.batches import Together
from tests.lab.toy import install

ENTRY_POINTS = "[quenched.studies]\ntoy-point = tests.lab.sweep_toy:Toy\n"


class Range(eqx.Module):
    """Two numbers that only make sense together: low < high."""

    low: float = eqx.field(default=0.0, converter=float)
    high: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.in_interval("low", self.low, -10.0, self.high, closed="left")


@dataclasses.dataclass(frozen=True)
class Toy(Study):
    name: ClassVar[str] = "toy-point"
    title: ClassVar[str] = "A study for sweeps"
    paper: ClassVar[str] = "nobody, nowhere"

    model: AbstractModel = GaussianMixture(alpha=3.0)
    rule: AbstractDynamics = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=1.0))
    compare: tuple[AbstractBatches, ...] = (IID(fraction=0.3), Persistent(fraction=0.6, time=0.6))
    span: Range = Range()
    x: float = 1.0
    count: int = 4
    flag: bool = False
    word: str = "plain"
    limit: int | None = None
    kind: Literal["fast", "slow"] = "fast"
    numbers: tuple[int, ...] = (1, 2)
    log: str = ""
    """A file to which every computation adds a line."""
    mode: str = ""
    """What happens instead of an answer."""
    wait: float = 0.0
    """Seconds that it takes."""

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        return {"quick": cls(), "paper": cls(count=9)}

    def experiment(self, seed: int, progress: bool) -> xr.Dataset:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{self.x} {seed}\n")
        time.sleep(self.wait)
        self.misbehave()
        return self.answer(seed)

    def answer(self, seed: int) -> xr.Dataset:
        samples = self.x + 0.01 * np.random.default_rng(seed).standard_normal(self.count)
        return xr.Dataset({"test_error": ("replica", samples)})

    def misbehave(self) -> None:
        match self.mode:
            case "diverge":
                raise DivergenceError("norm is not finite at step 3")
            case "bug":
                raise RuntimeError("a bug\nin two lines")
            case "exit":
                raise SystemExit(3)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "warn":
                warnings.warn("the step is large", QuenchedWarning, stacklevel=2)


@dataclasses.dataclass(frozen=True)
class Process(Study):
    """Answers with what its process was given."""

    name: ClassVar[str] = "toy-process"
    title: ClassVar[str] = "The process of a point"
    paper: ClassVar[str] = "nobody, nowhere"

    x: float = 0.0

    def experiment(self, seed: int, progress: bool) -> xr.Dataset:
        import jax

        # long enough that no worker can do all points alone
        time.sleep(0.3)
        warnings.warn("the step is large", QuenchedWarning, stacklevel=2)
        names = ("MPLBACKEND", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
        attributes: dict[str, Any] = {name: os.environ.get(name, "") for name in names}
        attributes |= {
            "cores": sorted(os.sched_getaffinity(0)),
            "pid": os.getpid(),
            "cache": str(jax.config.jax_compilation_cache_dir),
        }
        return xr.Dataset({"y": self.x}, attrs=attributes)


@dataclasses.dataclass(frozen=True)
class Batched(Study):
    """Computed three at a time; writes into ``log`` which points came together."""

    name: ClassVar[str] = "toy-batched"
    title: ClassVar[str] = "Points in batches"
    paper: ClassVar[str] = "nobody, nowhere"

    x: float = 0.0
    shape: int = 1
    log: str = ""
    bad: float = -1.0

    def experiment(self, seed: int, progress: bool) -> xr.Dataset:
        raise AssertionError("points of this study are computed in batches")

    def together(self) -> Together:
        return Together(self.shape, 3, _compute)


def _compute(studies: Sequence[Any], seeds: Sequence[int]) -> list[xr.DataTree | Exception]:
    with Path(studies[0].log).open("a") as file:
        file.write(" ".join(f"{study.x:g}" for study in studies) + "\n")
    if any(study.x == study.bad for study in studies):
        raise ParameterError("x must not be bad")
    parts = [{"experiment": xr.Dataset({"y": study.x})} for study in studies]
    return [study.outcome(seed, part, batch=3) for study, seed, part in zip(studies, seeds, parts, strict=True)]


def install_toy(folder: Path) -> Path:
    """Make the study ``toy-point`` known to processes that have the folder on their path."""
    return install(folder, "sweeptoys", {"__init__.py": ""}, ENTRY_POINTS)
