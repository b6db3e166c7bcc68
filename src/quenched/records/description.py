"""Components as JSON, and back: how a run is described in a file and rebuilt from it.

A description is ``{"class": name, field: value, ...}`` with *all* fields. Classes of the library are stored by their public short
name, foreign ones by import path. Reading resolves names in a table; it imports nothing unless the caller consents.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from quenched.numerics.checks import ParameterError, QuenchedError

_PUBLIC: dict[str, Any] = {}


class UnknownClassError(QuenchedError, LookupError):
    """A file names a class that is not registered; nothing was imported."""


def public(cls: Any = None, *, aliases: tuple[str, ...] = ()) -> Any:
    """Decorator: enter a class or a function in the table of names that files may refer to; old names stay as aliases."""

    def register(c: Any) -> Any:
        for name in (c.__name__, *aliases):
            other = _PUBLIC.get(name)
            if other is not None and (other.__module__, other.__qualname__) != (c.__module__, c.__qualname__):
                raise ParameterError(f"the public name {name} is taken by {other.__module__}.{other.__qualname__}")
            _PUBLIC[name] = c
        return c

    return register if cls is None else register(cls)


def public_name(cls: type) -> str:
    """The name under which files store a class: short for registered classes, the import path otherwise."""
    if _PUBLIC.get(cls.__name__) is cls:
        return cls.__name__
    return f"{cls.__module__}.{cls.__qualname__}"


def is_public(name: str) -> bool:
    """Whether a name found in a file is in the table."""
    return name in _PUBLIC


def describe(value: Any) -> Any:
    """JSON-ready description of a component or a plain value. NaN and infinity are refused."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise ParameterError(f"a described number must be finite, got {value!r}")
        # -0.0 equals 0.0 and has to be spelled alike
        return float(value) + 0.0
    if isinstance(value, np.ndarray) or hasattr(value, "__jax_array__") or type(value).__name__ == "ArrayImpl":
        array = np.ascontiguousarray(np.asarray(value))
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return {"array": {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": digest}}
    if isinstance(value, (tuple, list)):
        return [describe(v) for v in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(k): describe(v) for k, v in value.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "described"):
            # a component that holds what no file can bring back says itself what of it is worth recording
            return {"class": public_name(type(value)), **describe_fields(value.described())}
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return {"class": public_name(type(value)), **describe_fields(fields)}
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", "")
        if "<" in name or not name:
            raise ParameterError(f"a function in a component must be importable (not a lambda or a closure), got {value!r}")
        return {"function": name if _PUBLIC.get(name) is value else f"{value.__module__}.{name}"}
    raise ParameterError(f"cannot describe a value of type {type(value).__name__}: {value!r}")


def describe_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Descriptions of values, by name."""
    return {name: describe(entry) for name, entry in fields.items()}


def build(description: Any, *, consent: bool = False, base: type | None = None) -> Any:
    """Rebuild what ``describe`` wrote.

    Only registered names are resolved. With ``consent=True`` import paths are imported too, and the class must be a dataclass
    (and a subclass of ``base`` where given) before it is called. Missing fields take their defaults; unknown fields are an error.
    Arrays cannot be rebuilt from their checksum: pass the data again.
    """
    if isinstance(description, list):
        return tuple(build(v, consent=consent) for v in description)
    if not isinstance(description, dict):
        return description
    if "mapping" in description:
        return {k: build(v, consent=consent) for k, v in description["mapping"].items()}
    if "array" in description:
        raise ParameterError(f"an array is stored by its checksum only; pass the data again ({description['array']})")
    if "function" in description:
        return _resolve(description["function"], consent)
    if "class" not in description:
        raise ParameterError(f"not a description of a component: {description!r}")
    cls = _resolve(description["class"], consent)
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise UnknownClassError(f"{description['class']} is not a component")
    if base is not None and not issubclass(cls, base):
        raise UnknownClassError(f"{description['class']} is not a {base.__name__}")
    known = {f.name for f in dataclasses.fields(cls) if f.init}
    arguments = {k: v for k, v in description.items() if k != "class"}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ParameterError(f"{description['class']} has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return cls(**{k: build(v, consent=consent) for k, v in arguments.items()})


def canonical_json(value: Any) -> str:
    """The one spelling of a description: sorted keys, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _resolve(name: str, consent: bool) -> Any:
    if name in _PUBLIC:
        return _PUBLIC[name]
    if not consent:
        raise UnknownClassError(
            f"{name!r} is not a public name of the library; nothing was imported. "
            "Pass consent=True to import it, if you trust the file."
        )
    module, _, attribute = name.rpartition(".")
    if not module:
        raise UnknownClassError(f"{name!r} is neither a public name nor an import path")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownClassError(f"{name!r} cannot be imported: {error}") from error
