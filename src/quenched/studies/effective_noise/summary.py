"""The numbers of an outcome for a phase diagram: how noisy the study's own rule is, not those it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched.losses import QuadraticHinge
from quenched.numerics.checks import ParameterError
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature
from quenched.records.labels import Label, register_label
from quenched.studies.rules import batch_name
from quenched.studies.summary import by_engine, number, with_error

if TYPE_CHECKING:
    from quenched.studies.effective_noise.study import EffectiveNoise

_SATISFIABLE, _DATA = "over-parametrised", "given data"
NUMBERS = {
    "effective_temperature": Label("effective temperature at the largest lag", r"T_{\mathrm{eff}}"),
    "replica_distance": Label("replica distance", r"|w^1-w^2|^2/N"),
    "satisfiable_loss": Label(f"training loss, {_SATISFIABLE}", r"\langle\ell\rangle"),
    "satisfiable_test_error": Label(f"test error, {_SATISFIABLE}", r"\epsilon"),
    "at_margin": Label(f"fraction of samples at the margin, {_SATISFIABLE}", r"P(h<1.02\,\kappa)"),
    "data_effective_temperature": Label(f"effective temperature at the largest lag, {_DATA}", r"T_{\mathrm{eff}}"),
    "data_replica_distance": Label(f"replica distance, {_DATA}", r"|w^1-w^2|^2/N"),
    "data_test_error": Label(f"test error, {_DATA}", r"\epsilon"),
}
"""Every number that an outcome may have; those of a part that was left out are missing."""

for _name, _label in NUMBERS.items():
    register_label(_name, _label)


def summarise(study: EffectiveNoise, tree: xr.DataTree) -> xr.Dataset:
    """``NUMBERS`` of the study's own rule, each with its standard error ``*_error``, by engine."""
    return by_engine({engine: xr.Dataset(_numbers(study, _own(study, part))) for engine, part in tree.children.items()})


def _own(study: EffectiveNoise, engine: xr.DataTree) -> dict[str, xr.Dataset]:
    """The Datasets of an engine, of the study's own rule."""
    rule = batch_name(study.rule.batches)
    return {name: part.to_dataset().sel(rule=rule, drop=True) for name, part in engine.children.items()}


def _numbers(study: EffectiveNoise, parts: dict[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    found: dict[str, xr.DataArray] = {}
    for prefix in ("", "data_"):
        if f"{prefix}fluctuations" in parts:
            found |= _temperature(f"{prefix}effective_temperature", parts[f"{prefix}fluctuations"])
    if "training" in parts:
        names = {"replica_distance": "replica_distance", "loss": "satisfiable_loss", "test_error": "satisfiable_test_error"}
        found |= _last(parts["training"], names) | _margin(study, parts["training"])
    if "data_training" in parts:
        names = {"replica_distance": "data_replica_distance", "test_error": "data_test_error"}
        found |= _last(parts["data_training"], names)
    return found


def _temperature(name: str, fluctuations: xr.Dataset) -> dict[str, xr.DataArray]:
    """T_eff at the largest lag with its jackknife error; NaN where it is not defined, as in a system that comes to rest."""
    try:
        late = effective_temperature(fluctuations).isel(lag=-1, drop=True)
        value, error = (late[found].reset_coords(drop=True) for found in ("temperature", "temperature_error"))
    except ParameterError:
        value = error = xr.DataArray(np.nan)
    return number(name, value, error, NUMBERS[name].attributes())


def _last(ds: xr.Dataset, names: dict[str, str]) -> dict[str, xr.DataArray]:
    """Values at the last time, under new names."""
    found: dict[str, xr.DataArray] = {}
    for name, new in names.items():
        if name in ds:
            last = ds[name].isel(t=-1, drop=True).reset_coords(drop=True)
            found |= with_error(new, last.assign_attrs(NUMBERS[new].attributes()))
    return found


def _margin(study: EffectiveNoise, ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """The fraction of samples at the margin, for a loss that has one."""
    loss = None if study.satisfiable is None else study.satisfiable.loss
    if not isinstance(loss, QuadraticHinge) or "gap" not in ds:
        return {}
    numbers = gaps.statistics(ds["gap"], margin=loss.margin)
    return number("at_margin", numbers["at_margin"], numbers["at_margin_error"], NUMBERS["at_margin"].attributes())
