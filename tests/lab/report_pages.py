"""What the tests of reports are about: a small study, a store of its sweep, and values that a page must not believe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quenched.lab import registry
from quenched.lab.grid import axes_of, points
from quenched.lab.report.report import report
from quenched.lab.store import Store
from quenched.numerics.checks import DivergenceError
from quenched.records.files import save
from quenched.studies import Study
from tests.lab.toy import install

STUDY = r'''
from __future__ import annotations

import dataclasses
from typing import ClassVar

import equinox as eqx
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from quenched.dynamics import IID, AbstractBatches, Gradient
from quenched.models import AbstractModel, GaussianMixture
from quenched.records.labels import LABELS
from quenched.studies import Claim, Measured, Reference, Study


class Foreign(AbstractModel):
    """A model of this package: files name it by its import path."""

    alpha: float = eqx.field(default=1.0, converter=float)

    def sizes(self, size):
        return (size,)

    def sample(self, key, sizes, dtype):
        return None

    def initial(self, key, disorder):
        return None


@dataclasses.dataclass(frozen=True)
class Page(Study):
    """A test error that is known, so that a sweep takes no time.

    It has ``two`` paragraphs & a <sign>.
    """

    name: ClassVar[str] = "page-study"
    title: ClassVar[str] = "The error of a study that is swept"
    paper: ClassVar[str] = "A. Stranger, arXiv:2112.10852"
    equations: ClassVar[tuple[str, ...]] = (r"\epsilon = \frac{1}{2} e^{-\alpha},  T_{eff} ~ b", r"\nonsense{")

    model: AbstractModel = GaussianMixture(alpha=1.0)
    """What is learned."""
    rule: Gradient = Gradient(lr=0.2, batches=IID(fraction=0.5))
    size: int = 100
    note: str = ""
    """Any text."""

    @classmethod
    def claims(cls):
        return (
            Claim("one is one", lambda: Measured(1.01, 0.01), Reference(1.0, "exact", "by hand", sigmas=4)),
            Claim("one is two", lambda: Measured(1.0), Reference(2.0, "published", "nowhere", relative=0.1)),
            Claim("one is slow", lambda: Measured(1.0), Reference(1.0, "theory", "solver", absolute=0.1), cost="slow"),
        )

    def known(self):
        return 0.5 * np.exp(-self.model.alpha) * (1 + getattr(self.rule.batches, "fraction", 1.0))

    def theory(self, seed, progress):
        return xr.Dataset({"test_error": ((), self.known(), LABELS["test_error"].attributes())})

    def experiment(self, seed, progress):
        noise = np.random.default_rng(seed).normal(size=(8, 1)) / self.size
        attributes = LABELS["test_error"].attributes()
        loss = (("disorder", "replica"), 1.0 - self.model.alpha + noise, LABELS["loss"].attributes())
        return xr.Dataset({"test_error": (("disorder", "replica"), self.known() + noise, attributes), "loss": loss})

    def figures(self, tree):
        figure = Figure()
        ax = figure.subplots()
        ax.plot([0, 1], [0, float(tree["theory"]["test_error"])])
        ax.set(xlabel="$t$: time", ylabel=r"$\epsilon$: error", title="A drawing")
        return {"drawing": figure}
'''
ENTRY_POINTS = "[quenched.studies]\npage-study = pagestudies.study:Page\n"

HOSTILE = (
    "<script>window.pwned = 1; alert(1)</script>",
    "</script><script>window.pwned = 2</script>",
    '"><img src=x onerror="window.pwned = 3">',
    "{{ 7 * 7 }} {% raw %} ${window.pwned = 4}",
    "Ω ünïcödé \u2028 \u2029 \u202e 𝛼 \U0001f600 &lt;b&gt; &amp;",
    "wide" * 300,
)


def install_study(folder: Path) -> Path:
    return install(folder, "pagestudies", {"__init__.py": "", "study.py": STUDY}, ENTRY_POINTS)


def load_study() -> type[Study]:
    return registry.load("page-study")


def filled(folder: Path, study: Study, over: dict[str, Any], seeds: int = 1, failing: Sequence[int] = ()) -> Path:
    """A store of all points; those whose number is in ``failing`` have failed."""
    store = Store(folder)
    for number, (point, seed) in enumerate(points(study, axes_of(over), range(seeds))):
        if number in failing:
            store.put_failure(point, seed, DivergenceError(f"norm is not finite at step {number}"))
        else:
            store.put(point.run(seed))
    return folder


def hostile_report(study: type[Study], folder: Path) -> Path:
    """A page of a sweep over hostile values with a failed point, and of a run with hostile labels and a hostile parameter."""
    store = filled(folder / "hostile", study(), {"note": list(HOSTILE)}, seeds=2, failing=[3])
    tree = study(note=HOSTILE[0]).run(0)
    data = tree.to_dataset()
    for number, hostile in enumerate(HOSTILE):
        label = {"long_name": hostile, "symbol": hostile, "units": hostile}
        data[f"x{number}"] = data["test_error"].assign_attrs(label)
    tree.dataset = data
    return report([save(tree, folder / "hostile.nc"), store], folder / "hostile.html", title=HOSTILE[0])
