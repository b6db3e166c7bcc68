"""Values as the type of a parameter wants them: words to numbers, integers to floats, names to classes of components."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import math
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from quenched.numerics.checks import ParameterError
from quenched.records.description import is_public, public_name

_WORDS = {"true": True, "false": False}
_NOTHING = ("none", "null")
_NAMES = {float: "a finite number", int: "an integer", bool: "true or false", str: "a word", type(None): "none"}


class _Unfit(Exception):
    """A value does not have this type; another member of the union may take it."""


def converted(value: Any, kind: Any, path: str) -> Any:
    """``value`` as the type ``kind`` of the parameter ``path`` wants it.

    For a component a name gives the *class*; its arguments are not known here. Raises ``ParameterError`` naming path, type and
    value.
    """
    kinds = _members(kind)
    for one in kinds:
        try:
            return _as(value, one, path)
        except _Unfit:
            continue
    wanted = " or ".join(dict.fromkeys(_name(one) for one in kinds))
    names = [name for one in kinds if _is_component(one) for name in classes(one)]
    near = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ParameterError(f"{path} must be {wanted}, got {value!r}{hint}")


def classes(base: type) -> dict[str, type]:
    """The concrete classes of a kind of component that are known, by name; of two with one name the library's public one."""
    found: dict[str, type] = {}
    for cls in sorted({base, *subclasses(base)}, key=lambda cls: (cls.__name__, not _listed(cls))):
        if _concrete(cls):
            found.setdefault(cls.__name__, cls)
    return found


def _members(kind: Any) -> list[Any]:
    """The types of a union, ``str`` last: it takes any word."""
    if typing.get_origin(kind) is typing.Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return sorted((one for member in typing.get_args(kind) for one in _members(member)), key=lambda one: one is str)
    return [kind]


def _as(value: Any, kind: Any, path: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if kind in _READERS:
        return _READERS[kind](value)
    if typing.get_origin(kind) is typing.Literal:
        return _choice(value, typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return _tuple(value, typing.get_args(kind), path)
    if _is_component(kind):
        return _component(value, kind, path)
    if isinstance(value, str):
        return _guess(value)
    return value


def _bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if isinstance(value, bool):
        return value
    raise _Unfit


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _Unfit
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _Unfit from None
    if not math.isfinite(number):
        raise _Unfit
    return number


def _int(value: Any) -> int:
    if isinstance(value, str) and value.lstrip("+-").isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _float(value)
    if not number.is_integer():
        raise _Unfit
    return int(number)


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _none(value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value.lower() in _NOTHING):
        raise _Unfit


_READERS: dict[Any, Any] = {bool: _bool, float: _float, int: _int, str: _str, type(None): _none}


def _choice(value: Any, members: tuple[Any, ...]) -> Any:
    for member in members:
        if value == member or (isinstance(value, str) and value == str(member)):
            return member
    raise _Unfit


def _tuple(value: Any, kinds: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise _Unfit
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _Unfit
    return tuple(converted(entry, kind, f"{path}.{k}") for k, (entry, kind) in enumerate(zip(value, kinds, strict=True)))


def _component(value: Any, base: type, path: str) -> Any:
    if isinstance(value, base):
        return value
    if isinstance(value, type) and issubclass(value, base) and _concrete(value):
        return value
    if not isinstance(value, str):
        raise _Unfit
    known = classes(base)
    if value in known:
        return known[value]
    module, _, name = value.rpartition(".")
    if not module or not all(part.isidentifier() for part in value.split(".")):
        raise _Unfit
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ParameterError(f"{path}: {value} cannot be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, base) and _concrete(cls)):
        raise ParameterError(f"{path} must be {_name(base)}; {value} is not")
    return cls


def _guess(word: str) -> Any:
    """A word for a parameter whose type says nothing."""
    for read in (_bool, _int, _float, _none):
        try:
            return read(word)
        except _Unfit:
            continue
    return word


def _is_component(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _concrete(cls: type) -> bool:
    named = not cls.__name__.startswith(("_", "Abstract"))
    return named and dataclasses.is_dataclass(cls) and not inspect.isabstract(cls)


def _listed(cls: type) -> bool:
    return is_public(cls.__name__) and public_name(cls) == cls.__name__


def subclasses(cls: type) -> Iterator[type]:
    """Every class below one that is known by now."""
    child: type
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def _name(kind: Any) -> str:
    if kind in _NAMES:
        return _NAMES[kind]
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "a tuple (its entries are swept by number, as in PATH.0)"
    if _is_component(kind):
        return f"one of {', '.join(classes(kind)) or 'the subclasses'} or the import path of another {kind.__name__}"
    return getattr(kind, "__name__", str(kind))
