"""The numbers of an outcome for a phase diagram: how noisy the study's own rule is, not those it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched.losses import QuadraticHinge
from quenched.numerics.checks import ParameterError
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature
from quenched.records.labels import Label, register_label
from quenched.studies.effective_noise.measure import white_noise_temperature
from quenched.studies.rules import batch_name
from quenched.studies.summary import by_engine, number, with_error

if TYPE_CHECKING:
    from quenched.studies.effective_noise.study import EffectiveNoise

_SATISFIABLE, _DATA = "over-parametrised", "given data"
NUMBERS = {
    "effective_temperature": Label("effective temperature at the largest lag", r"T_{\mathrm{eff}}"),
    "short_temperature": Label("effective temperature at the shortest lag", r"T_{\mathrm{eff}}"),
    "white_noise_temperature": Label("temperature of white noise of the same variance", r"T_{\mathrm{white}}"),
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
    return by_engine(
        {
            engine: numbers(study, {name: leaf.to_dataset() for name, leaf in part.children.items()})
            for engine, part in tree.children.items()
        }
    )


def numbers(study: EffectiveNoise, parts: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """``NUMBERS`` of the study's own rule by one engine, from its parts along ``rule``."""
    rule = batch_name(study.rule.batches)
    own = {name: part.sel(rule=rule, drop=True) for name, part in parts.items() if name in _PARTS}
    return xr.Dataset(_numbers(study, own))


_PARTS = ("fluctuations", "training", "data_fluctuations", "data_training")


def _numbers(study: EffectiveNoise, parts: dict[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    found: dict[str, xr.DataArray] = {}
    if "fluctuations" in parts:
        found |= _temperature("short_temperature", parts["fluctuations"], 0)
        found |= _white_noise(study, parts["fluctuations"])
    for prefix in ("", "data_"):
        if f"{prefix}fluctuations" in parts:
            found |= _temperature(f"{prefix}effective_temperature", parts[f"{prefix}fluctuations"], -1)
    if "training" in parts:
        names = {"replica_distance": "replica_distance", "loss": "satisfiable_loss", "test_error": "satisfiable_test_error"}
        found |= _last(parts["training"], names) | _margin(study, parts["training"])
    if "data_training" in parts:
        names = {"replica_distance": "data_replica_distance", "test_error": "data_test_error"}
        found |= _last(parts["data_training"], names)
    return found


def _white_noise(study: EffectiveNoise, fluctuations: xr.Dataset) -> dict[str, xr.DataArray]:
    """Of the theory, which knows the variance of the force; a learning rate that changes has no such number."""
    if "force_variance" not in fluctuations or callable(study.rule.lr):
        return {}
    values = white_noise_temperature(study.rule, float(study.model.delta), fluctuations["force_variance"])
    return with_error("white_noise_temperature", values.assign_attrs(NUMBERS["white_noise_temperature"].attributes()))


def _temperature(name: str, fluctuations: xr.Dataset, lag: int) -> dict[str, xr.DataArray]:
    """T_eff at a lag, by its place, with its jackknife error; NaN where it is not defined, as in a system that comes to rest."""
    try:
        at = effective_temperature(fluctuations).isel(lag=lag, drop=True)
        value, error = (at[found].reset_coords(drop=True) for found in ("temperature", "temperature_error"))
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
