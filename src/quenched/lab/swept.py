"""What was swept: which parameters differ between points, and the grid that they span. Provenance is all it looks at."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

POINT = "point"
"""The one dimension of points that fill no grid."""


class Grid(NamedTuple):
    """Points as cells of an array.

    ``dims``: the dotted paths (or ``POINT``) along which ``cells`` extends; ``cells``: the index of the point in each cell, -1
    where there is none; ``coords``: path to (its dims, its values) for every path that differs between points; ``fixed``: path
    to value for all others.
    """

    dims: tuple[str, ...]
    cells: np.ndarray
    coords: dict[str, tuple[tuple[str, ...], np.ndarray]]
    fixed: dict[str, Any]


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path to value, of every parameter in a study's provenance and of ``seed``.

    A component gives the name of its class under its own path and its fields below, a tuple its entries below by number.
    """
    return {**dict(_below("", record["parameters"])), "seed": record["seed"]}


def grid(points: Sequence[Mapping[str, Any]]) -> Grid:
    """The grid of points that ``flatten`` flattened; at least one, no two alike.

    A path whose values are determined by the dimensions before it is no dimension but a coordinate, along the fewest dimensions
    that determine it: of ``rule.batches`` and ``rule.batches.fraction`` the class comes first. Short paths come before long ones,
    names before numbers, ``seed`` comes last. Values increase, names are in natural order; where a class lacks the field there is
    NaN or "". When more than half of the cells of several dimensions would be empty, all is along the one dimension ``POINT``.
    """
    paths = dict.fromkeys(path for point in points for path in point)
    columns = {path: _column([point.get(path) for point in points]) for path in paths}
    varying = {path: columns[path] for path in sorted(columns, key=lambda path: _order(path, columns[path]))}
    varying = {path: column for path, column in varying.items() if len(column.distinct) > 1}
    fixed = {path: column.values[0] for path, column in columns.items() if path not in varying}
    dims: dict[str, _Column] = {}
    for path, column in varying.items():
        if not _determine(dims.values(), column):
            dims[path] = column
    places = _places(dims.values(), len(points))
    shape = tuple(len(column.distinct) for column in dims.values())
    sparse = len(dims) > 1 and 2 * len(points) < math.prod(shape)
    if sparse or len(set(places)) < len(points):
        return _list(varying, len(points), fixed)
    cells = np.full(shape, -1)
    for row, place in enumerate(places):
        cells[place] = row
    return Grid(tuple(dims), cells, {path: _coordinate(path, column, dims) for path, column in varying.items()}, fixed)


def as_array(values: Sequence[Any]) -> np.ndarray:
    """Booleans, integers, floats (NaN for None), or strings ("" for None) if anything else occurs."""
    kinds = {type(value) for value in values}
    with contextlib.suppress(OverflowError):
        if kinds == {bool} or kinds == {int}:
            return np.array(values, kinds.pop())
        if kinds <= {bool, int, float, type(None)}:
            return np.array([math.nan if value is None else value for value in values], float)
    return np.array(["" if value is None else str(value) for value in values])


def _leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    entries: dict[str, Any]
    match value:
        case {"class": str(name), **fields}:
            return [(path, name), *_below(path, fields)]
        case {"function": str(name)}:
            return [(path, name)]
        case {"array": {"sha256": str(digest)}}:
            return [(path, digest)]
        case {"mapping": dict(entries)} | dict(entries):
            return _below(path, entries)
        case list():
            return _below(path, {str(number): entry for number, entry in enumerate(value)})
        case _:
            return [(path, value)]


def _below(path: str, entries: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [leaf for name, entry in entries.items() for leaf in _leaves(f"{path}.{name}" if path else name, entry)]


class _Column(NamedTuple):
    """The values of one path: one per point; the rank of each among the distinct ones; the distinct ones in order."""

    values: list[Any]
    ranks: list[int]
    distinct: list[Any]


def _column(values: list[Any]) -> _Column:
    numbers = all(isinstance(value, (bool, int, float, type(None))) for value in values)

    def key(value: Any) -> tuple[Any, ...]:
        if numbers:
            return value is None, value or 0, isinstance(value, bool)
        return value is not None, _natural(str(value)), str(value), type(value).__name__

    keys = [key(value) for value in values]
    distinct = dict(sorted(zip(keys, values, strict=True), key=lambda pair: pair[0]))
    rank = {key: number for number, key in enumerate(distinct)}
    return _Column(values, [rank[key] for key in keys], list(distinct.values()))


def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sorts "a2" before "a10"."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", text))


def _order(path: str, column: _Column) -> tuple[Any, ...]:
    return path == "seed", path.count("."), not any(isinstance(value, str) for value in column.distinct), _natural(path), path


def _places(columns: Iterable[_Column], rows: int) -> list[tuple[int, ...]]:
    return list(zip(*(column.ranks for column in columns), strict=True)) or [()] * rows


def _determine(columns: Iterable[_Column], column: _Column) -> bool:
    """Whether points that agree in ``columns`` agree in ``column``."""
    seen: dict[tuple[int, ...], int] = {}
    pairs = zip(_places(columns, len(column.ranks)), column.ranks, strict=True)
    return all(seen.setdefault(place, rank) == rank for place, rank in pairs)


def _coordinate(path: str, column: _Column, dims: Mapping[str, _Column]) -> tuple[tuple[str, ...], np.ndarray]:
    """Values of a path along the fewest dimensions that determine it."""
    subsets = itertools.chain.from_iterable(itertools.combinations(dims, count) for count in range(1, len(dims) + 1))
    along = (path,) if path in dims else next(s for s in subsets if _determine([dims[dim] for dim in s], column))
    shape = tuple(len(dims[dim].distinct) for dim in along)
    values = np.full(shape, None, object)
    for place, value in zip(_places([dims[dim] for dim in along], len(column.values)), column.values, strict=True):
        values[place] = value
    return along, as_array(values.ravel().tolist()).reshape(shape)


def _list(varying: Mapping[str, _Column], rows: int, fixed: dict[str, Any]) -> Grid:
    """Points that fill no grid, in the order of their values."""
    places = _places(varying.values(), rows)
    order = sorted(range(rows), key=lambda row: places[row])
    along: tuple[str, ...] = (POINT,)
    coords = {path: (along, as_array([column.values[row] for row in order])) for path, column in varying.items()}
    return Grid(along, np.array(order, int), coords, fixed)
