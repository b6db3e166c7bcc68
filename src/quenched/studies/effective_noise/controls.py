"""Noise against one parameter: the study itself at other values of it, each point summarised by its numbers.

Every field ``over_*`` of the study names a parameter and lists values. The numbers of the points lie beside each other along a
dimension with the name of the parameter, by theory and by simulation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

from quenched.dynamics import IID, Gradient, Persistent
from quenched.numerics.checks import ParameterError
from quenched.records.labels import Label

if TYPE_CHECKING:
    from quenched.studies.effective_noise.study import EffectiveNoise


class Control(NamedTuple):
    """A parameter that is varied: the field of its values, the dimension and label of its axis, the study at one of them."""

    field: str
    dim: str
    label: Label
    at: Callable[[EffectiveNoise, float], EffectiveNoise]


def points(study: EffectiveNoise) -> dict[str, dict[float, EffectiveNoise]]:
    """For every control that has values, by its name in the tree: the study at each of them."""
    chosen = {name: one for name, one in CONTROLS.items() if getattr(study, one.field)}
    if not chosen:
        return {}
    none: dict[str, Any] = {one.field: () for one in CONTROLS.values()}
    bare = dataclasses.replace(study, compare=(), data=None, long_lags=0, **none)
    return {name: {value: one.at(bare, value) for value in getattr(study, one.field)} for name, one in chosen.items()}


def beside(name: str, numbers: Mapping[float, xr.Dataset]) -> xr.Dataset:
    """The numbers of the points of a control along its dimension."""
    control = CONTROLS[name]
    axis = xr.IndexVariable(control.dim, list(numbers), control.label.attributes())
    return xr.concat(list(numbers.values()), axis, data_vars="all", combine_attrs="drop", join="outer")


def _rule(study: EffectiveNoise, rule: Gradient) -> EffectiveNoise:
    return dataclasses.replace(study, rule=rule)


def _at_fraction(study: EffectiveNoise, value: float) -> EffectiveNoise:
    if not isinstance(study.rule.batches, (IID, Persistent)):
        raise ParameterError(f"over_fraction needs IID or Persistent batches, got {study.rule.batches!r}")
    return _rule(study, dataclasses.replace(study.rule, batches=dataclasses.replace(study.rule.batches, fraction=value)))


def _normalised(study: EffectiveNoise, value: float) -> EffectiveNoise:
    """With s/b in place of s: the drift does not change with b, and the noise grows as b -> 0."""
    at = _at_fraction(study, value)
    return _rule(at, dataclasses.replace(at.rule, normalise_batch=True))


def _at_time(study: EffectiveNoise, value: float) -> EffectiveNoise:
    if not isinstance(study.rule.batches, Persistent):
        raise ParameterError(f"over_time needs Persistent batches, got {study.rule.batches!r}")
    return _rule(study, dataclasses.replace(study.rule, batches=dataclasses.replace(study.rule.batches, time=value)))


def _at_rate(study: EffectiveNoise, value: float) -> EffectiveNoise:
    """At the same physical times: the numbers of steps grow as the learning rate falls."""
    if not isinstance(study.rule.lr, (int, float)):
        raise ParameterError(f"over_lr needs a constant lr, got {study.rule.lr!r}")
    longer = {name: max(round(getattr(study, name) * study.rule.lr / value), 2) for name in ("waiting", "lags", "steps")}
    return dataclasses.replace(study, rule=dataclasses.replace(study.rule, lr=value), **longer)


def _stationary_only(study: EffectiveNoise, value: float, name: str) -> EffectiveNoise:
    """Load and ridge: the over-parametrised system has another load, and no ridge."""
    alone = dataclasses.replace(study, satisfiable=None)
    if name == "ridge":
        return _rule(alone, dataclasses.replace(study.rule, ridge=value))
    return dataclasses.replace(alone, model=dataclasses.replace(study.model, alpha=value))


CONTROLS: dict[str, Control] = {
    "over_fraction": Control("over_fraction", "fraction", Label("batch fraction", "b"), _at_fraction),
    "over_fraction_normalised": Control(
        "over_fraction", "fraction", Label("batch fraction, gradients divided by it", "b"), _normalised
    ),
    "over_time": Control("over_time", "time", Label("persistence time", r"\tau"), _at_time),
    "over_lr": Control("over_lr", "lr", Label("learning rate", r"\eta"), _at_rate),
    "over_alpha": Control(
        "over_alpha", "alpha", Label("samples per dimension", r"\alpha"), lambda study, x: _stationary_only(study, x, "alpha")
    ),
    "over_ridge": Control(
        "over_ridge", "ridge", Label("ridge", r"\lambda"), lambda study, x: _stationary_only(study, x, "ridge")
    ),
}
"""By the name of the group in the outcome's tree."""
