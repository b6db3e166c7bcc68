"""Other values for parameters of a study, by dotted path: ``rule.batches.fraction``, ``compare.0``, ``model``."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from quenched.lab.conversion import converted
from quenched.numerics.checks import ParameterError
from quenched.studies.base import Study

S = TypeVar("S", bound=Study)

# a change is a nested dictionary of field names; this key holds the new value of the field itself
_VALUE = ""


def with_values(study: S, values: Mapping[str, Any]) -> S:
    """The study with the value of each path replaced.

    A value is converted as the type of its field says: a word to a number, an integer to a float, a name to a class of
    components. A class keeps the arguments of equal name that its predecessor had, as on the command line. All new values of a
    component are given to it at once, so that they are judged together. Raises ``ParameterError`` for a path that does not
    exist and for a bad value.
    """
    changes: dict[str, Any] = {}
    for path, value in values.items():
        names = path.split(".")
        if not all(names):
            raise ParameterError(f"a parameter must be named by words with dots between them, got {path!r}")
        node = changes
        for name in names:
            node = node.setdefault(name, {})
        node[_VALUE] = value
    return _built(type(study), _arguments(study), changes, "") if changes else study


def _built(cls: Any, arguments: dict[str, Any], changes: dict[str, Any], path: str) -> Any:
    """A component of a class from its arguments and changes of them."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    types = _types(cls)
    for name, change in changes.items():
        inner = _below(path, name)
        if name not in fields:
            raise _no_such(cls.__name__, inner, name, fields)
        current = arguments[name] if name in arguments else _default(fields[name])
        arguments = arguments | {name: _changed(current, types[name], change, inner)}
    try:
        return cls(**arguments)
    except ParameterError:
        raise
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{_below(path, cls.__name__)}: {' '.join(str(error).split())}") from error


def _changed(current: Any, kind: Any, change: dict[str, Any], path: str) -> Any:
    nested = {name: inner for name, inner in change.items() if name != _VALUE}
    if _VALUE in change:
        value = converted(change[_VALUE], kind, path)
        if isinstance(value, type) and dataclasses.is_dataclass(value):
            return _built(value, _kept(current, value), nested, path)
        current = value
    return _inside(current, kind, nested, path) if nested else current


def _inside(current: Any, kind: Any, changes: dict[str, Any], path: str) -> Any:
    """A value with changes of what it consists of."""
    if dataclasses.is_dataclass(current) and not isinstance(current, type):
        return _built(type(current), _arguments(current), changes, path)
    if isinstance(current, tuple):
        entries = {str(k): entry for k, entry in enumerate(current)}
        return tuple(_entries(entries, _entry_kinds(kind, len(current)), changes, path, "a tuple").values())
    if isinstance(current, Mapping):
        return _entries(dict(current), dict.fromkeys(current, Any), changes, path, "a mapping")
    raise ParameterError(f"there is no parameter {_below(path, next(iter(changes)))}: {path} is {current!r}, and has no fields")


def _entries(entries: dict[str, Any], kinds: Mapping[str, Any], changes: dict[str, Any], path: str, what: str) -> dict[str, Any]:
    for name, change in changes.items():
        if name not in entries:
            raise _no_such(what, _below(path, name), name, entries)
        entries = entries | {name: _changed(entries[name], kinds[name], change, _below(path, name))}
    return entries


def _entry_kinds(kind: Any, count: int) -> dict[str, Any]:
    """The type of each entry of a tuple."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) is tuple else ()
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * count
    return {str(k): kinds[k] if k < len(kinds) else Any for k in range(count)}


def _arguments(component: Any) -> dict[str, Any]:
    return {field.name: getattr(component, field.name) for field in dataclasses.fields(component) if field.init}


def _kept(current: Any, cls: Any) -> dict[str, Any]:
    """What a component of another class takes over: arguments of equal name, where their values have the right type."""
    if not dataclasses.is_dataclass(current) or isinstance(current, type):
        return {}
    kept, kinds = {}, _types(cls)
    for name, value in _arguments(current).items():
        if name in kinds:
            try:
                kept[name] = converted(value, kinds[name], name)
            except ParameterError:
                continue
    return kept


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


@functools.cache
def _types(cls: Any) -> dict[str, Any]:
    """The types of the arguments of a component."""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    try:
        hints = typing.get_type_hints(cls)
    except NameError:  # an annotation that exists for type checkers only
        hints = {field.name: Any if isinstance(field.type, str) else field.type for field in fields}
    return {field.name: hints[field.name] for field in fields}


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _no_such(what: str, path: str, name: str, known: Iterable[str]) -> ParameterError:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=2)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    there = f"has {', '.join(known)}" if known else "has no parameters"
    return ParameterError(f"there is no parameter {path}: {what} {there}{hint}")
