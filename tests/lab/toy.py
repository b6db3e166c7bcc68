"""A package with studies of its own, as a stranger would write it; installed into a folder by the tests without any network."""

from __future__ import annotations

from pathlib import Path

TOY = '''
from __future__ import annotations

import dataclasses
from typing import ClassVar

import equinox as eqx
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from quenched.dynamics import IID, AbstractBatches, AbstractDynamics, Gradient, Persistent
from quenched.models import AbstractModel, GaussianMixture
from quenched.numerics.checks import DivergenceError
from quenched.studies import Claim, Measured, Reference, Study


class Spins(AbstractModel):
    """A model without a loss: ``bias`` is a number."""

    bias: float = eqx.field(default=0.5, converter=float)

    def sizes(self, size):
        return (size,)

    def sample(self, key, sizes, dtype):
        return None

    def initial(self, key, disorder):
        return None


class Idle(AbstractDynamics):
    """Does nothing to any model."""

    def init(self, model, weights, disorder, key):
        return weights

    def step(self, model, state, disorder, key):
        return state

    def weights(self, state):
        return state


@dataclasses.dataclass(frozen=True)
class Walk(Study):
    """A random walk of unit steps."""

    name: ClassVar[str] = "toy-walk"
    title: ClassVar[str] = "A toy random walk"
    paper: ClassVar[str] = "A. Stranger, arXiv:0000.00000"
    equations: ClassVar[tuple[str, ...]] = ("x(t+1) = x(t) + s(t)", "<x(t)^2> = t")

    model: AbstractModel = GaussianMixture(alpha=3.0)
    """What is learned."""
    rule: AbstractDynamics = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=1.0))
    """How it is learned, in 100 % of the cases."""
    reference: Gradient = Gradient(lr=0.1)
    """A field of a concrete class."""
    compare: tuple[AbstractBatches, ...] = (IID(fraction=0.3), Persistent(fraction=0.6, time=0.6))
    """A tuple of components."""
    steps: int = 20
    """Number of steps."""
    scale_factor: float = 1.0
    """Length of a step."""
    fails: str = ""

    @classmethod
    def presets(cls):
        return {"quick": cls(), "paper": cls(steps=200)}

    @classmethod
    def claims(cls):
        return (
            Claim("the walk is [diffusive]", lambda: Measured(1.01, 0.01), Reference(1.0, "exact", "by hand", sigmas=4)),
            Claim("slow", lambda: Measured(1.0), Reference(1.0, "exact", "by hand", absolute=0.1), cost="slow"),
        )

    def theory(self, seed, progress):
        t = np.arange(self.steps + 1.0)
        return xr.Dataset({"square": ("t", self.scale_factor**2 * t)}, {"t": t})

    def experiment(self, seed, progress):
        self.rule.check(self.model)
        if self.fails == "diverge":
            raise DivergenceError("norm is not finite at step 3")
        if self.fails == "interrupt":
            raise KeyboardInterrupt
        if self.fails == "bug":
            raise RuntimeError("a bug")
        t = self.rule.times(self.steps)
        x = self.scale_factor * np.cumsum(np.random.default_rng(seed).choice([-1.0, 1.0], (100, self.steps + 1)), axis=1)
        return xr.Dataset({"square": (("replica", "t"), x**2)}, {"t": t})

    def figures(self, tree):
        figure = Figure()
        figure.subplots().plot(tree["theory"]["t"], tree["theory"]["square"])
        return {"square": figure}


@dataclasses.dataclass(frozen=True)
class Wrong(Walk):
    name: ClassVar[str] = "toy-wrong"
    title: ClassVar[str] = "A claim that does not hold"

    @classmethod
    def claims(cls):
        return (Claim("one is two", lambda: Measured(1.0, 0.01), Reference(2.0, "exact", "nowhere", relative=0.1)),)


@dataclasses.dataclass(frozen=True)
class Compiled(Study):
    name: ClassVar[str] = "toy-compiled"
    title: ClassVar[str] = "Something that JAX compiles"
    paper: ClassVar[str] = "none"

    def experiment(self, seed, progress):
        import jax
        import jax.numpy as jnp

        return xr.Dataset({"x": ("i", np.asarray(jax.jit(lambda x: jnp.sort(jnp.cos(x)))(jnp.arange(4.0))))})
'''

ENTRY_POINTS = """\
[quenched.studies]
toy-walk = toystudies.walk:Walk
toy-wrong = toystudies.walk:Wrong
toy-compiled = toystudies.walk:Compiled
toy-broken = toystudies.absent:Nothing
"""


def install(folder: Path, package: str, files: dict[str, str], entry_points: str) -> Path:
    """Write a package and the metadata that pip would write for it; putting the folder on the path installs it."""
    for name, text in files.items():
        path = folder / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    return folder


def install_toy(folder: Path) -> Path:
    return install(folder, "toystudies", {"__init__.py": "", "walk.py": TOY}, ENTRY_POINTS)
