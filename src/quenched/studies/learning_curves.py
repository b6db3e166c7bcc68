"""Retrieval at T = 0 against the number of examples, with a teacher and without: what the two studies of memories share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from quenched.models import Hopfield
from quenched.numerics import checks
from quenched.records.labels import Label, register_label
from quenched.studies.memories import Effort, labelled, retrieved
from quenched.studies.summary import ends
from quenched.theory import hopfield

register_label("critical_sample_size", Label("critical sample size", "M_c"))

NAMES = ("archetype_overlap", "example_overlap", "largest_example_overlap")


def expected(model: Hopfield, rules: Sequence[str], examples: Sequence[int]) -> xr.Dataset:
    """``states`` of the archetype, and ``critical_sample_size`` (rule)."""
    critical = [float(hopfield.critical_sample_size(model.load, model.quality, rule=rule)) for rule in rules]
    return labelled(states(model, rules, examples).assign(critical_sample_size=("rule", critical)))


def states(model: Hopfield, rules: Sequence[str], examples: Sequence[int], state: str = "archetype") -> xr.Dataset:
    """``NAMES`` (rule, examples) of a state at T = 0, NaN where it does not exist."""
    rows = {name: np.full((len(rules), len(examples)), np.nan) for name in NAMES}
    for i, rule in enumerate(rules):
        for j, count in enumerate(examples):
            one = dataclasses.replace(model, rule=rule, examples=count)
            try:
                found = hopfield.equilibrium(one, 0.0, state=state)
            except checks.NoSolutionError:
                continue
            for name in NAMES:
                rows[name][i, j] = float(found[name])
    variables = {name: (("rule", "examples"), values) for name, values in rows.items()}
    return labelled(xr.Dataset(variables, _coordinates(rules, examples)))


def between(examples: Sequence[int], count: int = 40) -> tuple[int, ...]:
    """The numbers of examples and about ``count`` more between them, equidistant in their logarithm: for a smooth line."""
    more = np.geomspace(min(examples), max(examples), count).round().astype(int)
    return tuple(int(value) for value in np.union1d(more, examples))


def measured(model: Hopfield, rules: Sequence[str], examples: Sequence[int], size: int, effort: Effort, seed: int) -> xr.Dataset:
    """Means and standard errors of ``NAMES`` (rule, examples) where sequential dynamics at T = 0 stops."""

    def found(rule: str, count: int) -> xr.Dataset:
        one = dataclasses.replace(model, rule=rule, examples=count)
        return ends(retrieved(one, 0.0, size, effort, seed)[list(NAMES)])

    rows = [xr.concat([found(rule, count) for count in examples], "examples") for rule in rules]
    return labelled(xr.concat(rows, "rule").assign_coords(_coordinates(rules, examples)))


def _coordinates(rules: Sequence[str], examples: Sequence[int]) -> dict[str, Any]:
    return {
        "rule": list(rules),
        "examples": ("examples", np.asarray(examples), {"long_name": "examples per archetype", "symbol": "M", "units": "1"}),
    }
