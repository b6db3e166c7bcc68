"""The one kind of answer: an ``xarray.Dataset`` with labels and with the description of the run that made it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.records.description import build, canonical_json, describe
from quenched.records.labels import LABELS

# entries of a provenance that say how the run was made and are no arguments of the engine
_NOT_ARGUMENTS = ("engine", "environment", "batch")


def dataset(
    variables: Mapping[str, tuple[Any, Any]], coords: Mapping[str, Any], provenance: Mapping[str, Any], **attributes: Any
) -> xr.Dataset:
    """A NumPy-backed Dataset from ``{name: (dims, array)}``, with long name, symbol and units of every known variable.

    ``coords`` as for ``xarray.Dataset``. ``provenance`` names the ``engine`` and every argument; components may be given as
    they are or described. It is stored, with the versions of the packages (never a time of day), as the JSON attribute
    ``provenance``. Further ``attributes`` are stored as they are if they are numbers or strings, as JSON otherwise.
    """
    labelled = {name: (dims, np.asarray(values), _label(name)) for name, (dims, values) in variables.items()}
    ds = xr.Dataset(labelled, coords=dict(coords))
    for name in ds.coords:
        ds[name].attrs.update(_label(str(name)))
    record = {"environment": environment(), **{key: describe_argument(value) for key, value in provenance.items()}}
    ds.attrs["provenance"] = canonical_json(record)
    for key, value in attributes.items():
        plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        ds.attrs[key] = value if plain else canonical_json(describe_argument(value))
    return ds


def provenance(ds: xr.Dataset | xr.DataTree) -> dict[str, Any]:
    """The description of the run that made a Dataset: engine, every argument, environment. Raises ``ParameterError`` if there
    is none.
    """
    try:
        record = json.loads(ds.attrs["provenance"])
    except KeyError:
        raise ParameterError("the Dataset has no attribute `provenance`: it does not say how it was made") from None
    except (TypeError, ValueError) as error:
        raise ParameterError(f"the attribute `provenance` of the Dataset is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ParameterError("the attribute `provenance` of the Dataset must be a JSON object")
    return record


def rebuild(ds: xr.Dataset, consent: bool = False, **replace: Any) -> dict[str, Any]:
    """The arguments of the run that made a Dataset: ``simulate(**rebuild(ds))`` makes it again.

    ``replace`` gives arguments in place of the stored ones; what cannot be stored (a user's arrays, a lambda) has to be given
    that way. Names of classes and functions are resolved in the library's table; with ``consent=True`` import paths are
    imported as well. Raises ``UnknownClassError`` for a foreign name without consent, ``ParameterError`` for what cannot be
    rebuilt.
    """
    stored = {key: value for key, value in provenance(ds).items() if key not in (*_NOT_ARGUMENTS, *replace)}
    return {**{key: _build(key, value, consent) for key, value in stored.items()}, **replace}


def environment() -> dict[str, Any]:
    """Versions and backend that decide about the last bits of a result."""
    return {"versions": {name: _version(name) for name in ("quenched", "jax", "numpy")}, "backend": jax.default_backend()}


@functools.cache
def _version(package: str) -> str:
    # looked up once per process: parsing a package's metadata takes milliseconds
    return importlib.metadata.version(package)


def describe_argument(value: Any) -> Any:
    """JSON of an argument of an engine: components described, functions by import path, mappings and sequences entry by entry."""
    if isinstance(value, Mapping):
        return {str(key): describe_argument(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe_argument(entry) for entry in value]
    if callable(value) and not dataclasses.is_dataclass(value):
        return describe_function(value)
    return describe(value)


def describe_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Description of a function: its import path, or the bare name of one that cannot be imported and must be passed again."""
    try:
        return describe(function)
    except ParameterError:
        return {"unstored": getattr(function, "__name__", type(function).__name__)}


def _build(key: str, value: Any, consent: bool) -> Any:
    if isinstance(value, dict) and "unstored" in value:
        raise ParameterError(
            f"{key} is a function that cannot be imported ({value['unstored']}); pass it again: rebuild(ds, {key}=...)"
        )
    if isinstance(value, dict) and not value.keys() & {"class", "mapping", "array", "function"}:
        return {name: _build(key, entry, consent) for name, entry in value.items()}
    if isinstance(value, list):
        return tuple(_build(key, entry, consent) for entry in value)
    return build(value, consent=consent)


def _label(name: str) -> dict[str, str]:
    return LABELS[name].attributes() if name in LABELS else {}
