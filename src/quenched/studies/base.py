"""What a study is: one paper as parameters, theory, experiment, figures and claims."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from quenched.numerics import checks
from quenched.records.datasets import environment
from quenched.records.description import canonical_json, describe
from quenched.records.identity import SCHEMA, fingerprint
from quenched.studies.claims import Claim
from quenched.studies.summary import final_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from quenched.studies.batches import Together


@dataclasses.dataclass(frozen=True)
class Study:
    """One paper. A subclass is a frozen dataclass too; its fields are the parameters, and the options of the command line.

    Field types say what an option accepts (a number, a tuple, an abstract component such as ``AbstractModel``); a string
    below a field is its help text. A subclass sets the class attributes and any of ``theory``, ``experiment``, ``figures``,
    ``claims``, ``presets``, ``summary``, ``transitions``. Numbers are converted to the type of their field, so that 2 and 2.0
    are one point.
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
            object.__setattr__(self, field.name, of_type(getattr(self, field.name), types[field.name]))
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

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """The numbers of an outcome that a phase diagram shows; they become the root of the outcome's tree.

        Variables may have the dimension ``engine`` (coordinate "theory", "experiment"), and the standard error of ``x`` is the
        variable ``x_error``. Names must mean the same at every point of a sweep. Default: ``studies.summary.final_values``, the
        last value of every order parameter that is one number.
        """
        return final_values(tree)

    def together(self) -> Together | None:
        """Whether this point may be computed in one compiled batch with others that are alike. Default: no, None.

        See ``studies.batches``.
        """
        return None

    def transitions(self, x: str, y: str) -> Mapping[str, tuple[Any, Any]]:
        """Lines between phases in the plane of two swept parameters, which the maps of a sweep's report show.

        ``x`` and ``y`` are named by their dotted paths, as on the command line; label -> (values of x, values of y), with all
        other parameters as they are. Default: none.
        """
        return {}

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        """Draw the outcome of ``run``, also one read from a file; keys are file names without ending. Default: none."""
        return {}

    def run(self, seed: int = 0, progress: bool = False) -> xr.DataTree:
        """Theory and experiment as the groups ``/theory`` and ``/experiment`` of one tree, with provenance.

        ``seed`` is an integer in [0, 2**32). The tree's root is the ``summary``, its attribute ``provenance`` (JSON) holds
        every parameter and the versions.
        """
        checks.seed(seed)
        parts = {name: getattr(self, name)(seed, progress) for name in ("theory", "experiment")}
        return self.outcome(seed, parts)

    def outcome(self, seed: int, parts: Mapping[str, xr.Dataset | xr.DataTree | None], batch: int | None = None) -> xr.DataTree:
        """The tree of a run: the parts as groups, the summary as the root, provenance as an attribute of the root.

        ``batch`` is the width of the compiled batch in which the point was computed, where it was: it decides about last bits.
        """
        tree = xr.DataTree.from_dict({name: part for name, part in parts.items() if part is not None}, name=self.name)
        tree.dataset = self.summary(tree)
        record = self.provenance(seed) | ({} if batch is None else {"batch": batch})
        tree.attrs = {"provenance": canonical_json(record)}
        return tree

    def provenance(self, seed: int) -> dict[str, Any]:
        """All that a run depends on. The study is named by its entry point, its components by their public names."""
        return {**self._identity(seed), "environment": environment()}

    def _identity(self, seed: int) -> dict[str, Any]:
        return {
            "study": self.name,
            "study_version": self.version,
            "parameters": {field.name: describe(getattr(self, field.name)) for field in dataclasses.fields(self)},
            "seed": seed,
            "schema": SCHEMA,
        }

    def fingerprint(self, seed: int = 0) -> str:
        """The name of the point (parameters, seed): ``records.fingerprint`` of its provenance."""
        return fingerprint(self._identity(seed))


def of_type(value: Any, kind: Any) -> Any:
    """A number as its field's type says: an integer for ``float``, an integral float for ``int``; tuples entry by entry, lists to
    tuples. Everything else is left as it is.
    """
    if typing.get_origin(kind) is tuple and isinstance(value, (tuple, list)):
        kinds = typing.get_args(kind)
        variadic = len(kinds) == 2 and kinds[1] is Ellipsis
        each = itertools.repeat(kinds[0]) if variadic else kinds
        return tuple(of_type(entry, one) for entry, one in zip(value, each, strict=not variadic))
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        if kind is float:
            return float(value)
        if kind is int and float(value).is_integer():
            return int(value)
    return value
