"""What a study is: one paper as parameters, theory, experiment, figures and claims."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr

from quenched.numerics import checks
from quenched.records.datasets import environment
from quenched.records.description import canonical_json, describe
from quenched.studies.claims import Claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Study:
    """One paper. A subclass is a frozen dataclass too; its fields are the parameters, and the options of the command line.

    Field types say what an option accepts (a number, a tuple, an abstract component such as ``AbstractModel``); a string
    below a field is its help text. A subclass sets the class attributes and any of ``theory``, ``experiment``, ``figures``,
    ``claims``, ``presets``. Integers given for a ``float`` field become floats, so that 2 and 2.0 are one point.
    """

    name: ClassVar[str]
    """The word on the command line, as in the ``quenched.studies`` entry point."""
    title: ClassVar[str]
    """One line."""
    paper: ClassVar[str]
    """Authors, title, journal and arXiv number."""
    equations: ClassVar[tuple[str, ...]] = ()
    """The main equations, as plain text or LaTeX, one line each."""
    version: ClassVar[str] = "1"
    """Changes when the same parameters would give other numbers."""

    def __post_init__(self) -> None:
        types = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if types[field.name] is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
        self.check()

    def check(self) -> None:
        """Raise ``ParameterError`` for bad values; components have checked themselves. Default: nothing."""
        return None

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        """Named instances. ``quick`` (under a minute after compilation) is the default scale; ``paper`` is the full one."""
        return {"quick": cls()}

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        """The checks, each at its own parameters. Default: none."""
        return ()

    def theory(self, seed: int, progress: bool) -> xr.Dataset | xr.DataTree | None:
        """Solve the closed equations; a tree where there are several Datasets. Default: no theory."""
        return None

    def experiment(self, seed: int, progress: bool) -> xr.Dataset | xr.DataTree | None:
        """Simulate at finite size. Default: no experiment."""
        return None

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        """Draw the outcome of ``run``, also one read from a file; keys are file names without ending. Default: none."""
        return {}

    def run(self, seed: int = 0, progress: bool = False) -> xr.DataTree:
        """Theory and experiment as the groups ``/theory`` and ``/experiment`` of one tree, with provenance.

        ``seed`` is an integer in [0, 2**32). The tree's attribute ``provenance`` (JSON) holds every parameter and the versions.
        """
        checks.seed(seed)
        parts = {name: getattr(self, name)(seed, progress) for name in ("theory", "experiment")}
        tree = xr.DataTree.from_dict({name: part for name, part in parts.items() if part is not None}, name=self.name)
        tree.attrs["provenance"] = canonical_json(self.provenance(seed))
        return tree

    def provenance(self, seed: int) -> dict[str, Any]:
        """All that a run depends on. The study is named by its entry point, its components by their public names."""
        return {
            "study": self.name,
            "study_version": self.version,
            "parameters": {field.name: describe(getattr(self, field.name)) for field in dataclasses.fields(self)},
            "seed": seed,
            "environment": environment(),
        }
