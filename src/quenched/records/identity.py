"""Which point a record describes: what decides about its numbers, and the hash that names its file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from quenched.numerics.checks import ParameterError
from quenched.records.description import canonical_json

SCHEMA = 1
"""Layout of an outcome: which groups, dimensions and attributes a file has. Changes when readers have to."""

_IDENTITY: dict[str, type] = {"study": str, "study_version": str, "parameters": dict, "seed": int, "schema": int}
_DIGITS = 32


def identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a study's provenance that decides about its numbers: study and version, every parameter, seed, schema.

    Raises ``ParameterError`` if the provenance is not that of a study.
    """
    missing = [name for name, kind in _IDENTITY.items() if not isinstance(record.get(name), kind)]
    if missing:
        raise ParameterError(f"the provenance is not that of a study: it has no {', '.join(missing)}")
    return {name: record[name] for name in _IDENTITY}


def fingerprint(record: Mapping[str, Any]) -> str:
    """The name of a point: 32 hexadecimal digits of the SHA-256 of its identity in canonical JSON.

    The same in every process and for every order of the fields. Versions of packages, the backend, the batch in which a point was
    computed do not enter.
    """
    return hashlib.sha256(canonical_json(identity(record)).encode()).hexdigest()[:_DIGITS]
