"""The grid of a sweep: axes, their values put into a study, the points."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from quenched.lab.substitution import with_values
from quenched.numerics import checks
from quenched.numerics.checks import ParameterError
from quenched.studies.base import Study

MAX_POINTS = 1_000_000
"""A grid beyond this is a slip of the pen: its points alone would fill the memory."""

SYNTAX = "PATH=FIRST:LAST:COUNT, PATH=FIRST:LAST:COUNT:log or PATH=VALUE,VALUE,..."
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


class Axis(NamedTuple):
    """A parameter of a study, by its dotted path, and the values that it takes.

    Values from a list on the command line are words, which the type of the parameter reads later.
    """

    path: str
    values: tuple[Any, ...]


class Point(NamedTuple):
    """What one file of a store holds."""

    study: Study
    seed: int


Over = Mapping[str, Any] | Iterable[Axis]
"""The axes of a sweep: ``{path: values}``, where values may also be written as on the command line, or axes."""


def parse_axis(text: str) -> Axis:
    """An axis from its text: ``model.alpha=0.5:4:15`` (linear, both ends included), ``x=1:100:5:log`` (logarithmic),
    ``x=0.1,0.3``, ``flag=true,false``, ``rule.batches=Full,IID``. Raises ``ParameterError``.
    """
    path, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not path or not values:
        raise ParameterError(f"over must be {SYNTAX}, got {text!r}")
    words = [word.strip() for word in values.split(",")]
    if not all(words):
        raise ParameterError(f"over must be {SYNTAX}; a value is empty in {text!r}")
    parts = values.split(":")
    if len(words) > 1 or len(parts) == 1 or not _NUMBER.fullmatch(parts[0]):
        return Axis(path, tuple(words))
    return Axis(path, _range(path, values, parts))


def axes_of(over: Over) -> tuple[Axis, ...]:
    """Axes in their order. Raises ``ParameterError`` for an axis without values, or for two of one path."""
    pairs = over.items() if isinstance(over, Mapping) else over
    axes = tuple(_axis(path, values) for path, values in pairs)
    paths = [axis.path for axis in axes]
    for axis in axes:
        if not axis.values:
            raise ParameterError(f"{axis.path} must have at least one value, got none")
        if paths.count(axis.path) > 1:
            raise ParameterError(f"{axis.path} must be swept once, got it twice")
    return axes


def points(study: Study, axes: Sequence[Axis], seeds: Iterable[int]) -> list[Point]:
    """All combinations, the first axis slowest, the seed fastest; points that are equal only once.

    Raises ``ParameterError`` for the first bad one, naming parameter, rule and value: nothing is computed before all are good.
    """
    seeds = tuple(seeds)
    for seed in seeds:
        checks.seed(seed)
    count = math.prod([len(axis.values) for axis in axes]) * len(seeds)
    if count > MAX_POINTS:
        raise ParameterError(f"a sweep must have at most {MAX_POINTS} points, got {count}")
    found: dict[str, Point] = {}
    for values in itertools.product(*(axis.values for axis in axes)):
        changed = _changed(study, {axis.path: value for axis, value in zip(axes, values, strict=True)})
        for seed in seeds:
            found.setdefault(changed.fingerprint(seed), Point(changed, seed))
    return list(found.values())


def _changed(study: Study, values: Mapping[str, Any]) -> Study:
    try:
        return with_values(study, values)
    except ParameterError as error:
        if not values:
            raise
        where = ", ".join(f"{path}={value}" for path, value in values.items())
        raise ParameterError(f"at the point {where}: {error}") from error


def _axis(path: str, values: Any) -> Axis:
    if isinstance(values, str):
        return parse_axis(f"{path}={values}")
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, Iterable):
        raise ParameterError(f"{path} must be given as a list of values, got {values!r}")
    return Axis(path, tuple(values))


def _range(path: str, text: str, parts: list[str]) -> tuple[float, ...]:
    logarithmic = parts[3:] == ["log"]
    if not 3 <= len(parts) <= 4 or (len(parts) == 4 and not logarithmic):
        raise ParameterError(f"{path} must be a range FIRST:LAST:COUNT or FIRST:LAST:COUNT:log, got {text!r}")
    if not _NUMBER.fullmatch(parts[1]) or not parts[2].isdecimal():
        raise ParameterError(f"{path} must be a range of two numbers and a count, FIRST:LAST:COUNT, got {text!r}")
    count = int(parts[2])
    if not 2 <= count <= MAX_POINTS:
        raise ParameterError(f"{path} must have from 2 to {MAX_POINTS} values in a range, got {text!r}")
    first, last = float(parts[0]), float(parts[1])
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ParameterError(f"{path} must be a range of finite numbers, got {text!r}")
    if logarithmic:
        if not (first > 0 and last > 0):
            raise ParameterError(f"{path} must be > 0 at both ends of a logarithmic range, got {text!r}")
        return _logarithmic(first, last, count)
    return _linear(Fraction(parts[0]), Fraction(parts[1]), count)


def _linear(first: Fraction, last: Fraction, count: int) -> tuple[float, ...]:
    """Exactly rounded: 0.1:1:10 gives 0.3, not 0.30000000000000004, and so the same points as a list would."""
    return tuple(float(first + (last - first) * k / (count - 1)) for k in range(count))


def _logarithmic(first: float, last: float, count: int) -> tuple[float, ...]:
    """Rounded to 15 digits for the same reason: 1:100:3:log gives 10; the ends are exact."""
    low, high = min(first, last), max(first, last)
    inner = (float(f"{value:.15g}") for value in np.geomspace(first, last, count)[1:-1])
    return (first, *(min(max(value, low), high) for value in inner), last)
