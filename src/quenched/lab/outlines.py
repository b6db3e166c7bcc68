"""What a group of a store's files holds, file by file, and what the files have in common. Shapes and coordinates, no data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from quenched.records import files

_PHONY = b"This is a netCDF dimension but not a netCDF variable"
_INTERNAL = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_FillValue", "coordinates", "dtype")


class Shape(NamedTuple):
    """A variable in one file; ``dtype`` is object for strings."""

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: np.dtype


class Outline(NamedTuple):
    """What a group of one file holds: its variables, and the values of those that are coordinates."""

    variables: dict[str, Shape]
    coords: dict[str, np.ndarray]

    def key(self) -> tuple[Any, ...]:
        """Equal for equal outlines."""
        return (*self.variables.items(), *((name, _bytes(found)) for name, found in self.coords.items()))


class Template(NamedTuple):
    """A variable as it is at every point. ``labels``: all names along those dimensions where a file may lack some."""

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: np.dtype
    labels: dict[str, tuple[str, ...]]


class Common(NamedTuple):
    """What many files have in common.

    ``variables`` differ in value from point to point, those in ``coords`` are coordinates; ``shared``: dims and values of the
    coordinates that do not; ``left_out``: why, for variables without a common shape.
    """

    variables: dict[str, Template]
    coords: set[str]
    shared: dict[str, tuple[tuple[str, ...], np.ndarray]]
    left_out: dict[str, str]

    def names(self) -> set[str]:
        """Every name that the files take: variables, coordinates, dimensions."""
        dims = [template.dims for template in self.variables.values()] + [along for along, _ in self.shared.values()]
        return {*self.variables, *self.shared, *(dim for along in dims for dim in along)}


def outline(path: Path, group: str) -> Outline | None:
    """The outline of a file in about a millisecond; None if it lacks the group. Raises ``DamagedFileError``."""
    with files.reading(path), h5py.File(path, "r") as file:
        here = file.get(group)
        if not isinstance(here, h5py.Group):
            return None
        items = {name: item for name, item in here.items() if isinstance(item, h5py.Dataset) and not _phony(item)}
        dims = {name: _dims(item) for name, item in items.items()}
        named = {*" ".join(str(item.attrs.get("coordinates", "")) for item in (here, *items.values())).split()}
        inherited = {dim: find(here, dim) for along in dims.values() for dim in along if dim not in items}
        items |= {name: item for name, item in inherited.items() if item is not None and not _phony(item)}
        shapes = {name: Shape(dims.get(name, (name,)), item.shape, _dtype(item)) for name, item in items.items()}
        return Outline(shapes, {name: values(item) for name, item in items.items() if name in named or item.is_scale})


def attributes(path: Path, group: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the variables of a group say about themselves: long name, symbol, units."""
    with files.reading(path), h5py.File(path, "r") as file:
        items = {name: find(file[group], name) for name in names}
        return {
            name: {key: value for key, value in item.attrs.items() if key not in _INTERNAL and not key.startswith("_Netcdf4")}
            for name, item in items.items()
            if item is not None
        }


def find(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """A variable of a group, or the coordinate of that name that it inherits."""
    while name not in group and group.name != "/":
        group = group.parent
    item = group.get(name)
    return item if isinstance(item, h5py.Dataset) else None


def values(item: h5py.Dataset) -> np.ndarray:
    """The values of a variable; booleans are stored as bytes."""
    dtype = _dtype(item)
    return np.asarray(item.asstr()[()] if dtype.kind == "O" else item[()]).astype(dtype)


def merge(outlines: Iterable[Outline], gaps: bool) -> Common:
    """What outlines have in common. ``gaps``: somewhere there is no file, so that integers and booleans become float.

    Along a dimension whose coordinate is names (engine) there is place for all names that occur; any other needs one length.
    """
    distinct = list({one.key(): one for one in outlines}.values())
    lengths, labels = _lengths(distinct), _labels(distinct)
    common = Common({}, set(), {}, {})
    for name in dict.fromkeys(name for one in distinct for name in one.variables):
        shapes = [one.variables[name] for one in distinct if name in one.variables]
        coords = [one.coords[name] for one in distinct if name in one.coords]
        why = _uneven(shapes, lengths, labels)
        if why and not coords:
            common.left_out[name] = why
        if why:
            continue
        template = _template(shapes, lengths, labels, gaps or len(shapes) < len(distinct))
        if name in labels:
            common.shared[name] = (name,), np.array(labels[name].all)
        elif coords and not template.labels and all(_alike(found, coords[0]) for found in coords):
            common.shared[name] = template.dims, coords[0]
        else:
            common.variables[name] = template
            common.coords.update([name] if coords else [])
    return common


class _Labels(NamedTuple):
    all: tuple[str, ...]
    everywhere: bool


def _lengths(outlines: Sequence[Outline]) -> dict[str, set[int]]:
    lengths: dict[str, set[int]] = {}
    for shape in (shape for one in outlines for shape in one.variables.values()):
        for dim, size in zip(shape.dims, shape.sizes, strict=True):
            lengths.setdefault(dim, set()).add(size)
    return lengths


def _labels(outlines: Sequence[Outline]) -> dict[str, _Labels]:
    """The names along every dimension that has distinct names as coordinate in all files; those of the longest come first."""
    found: dict[str, _Labels] = {}
    for dim in _lengths(outlines):
        having = [one for one in outlines if any(dim in shape.dims for shape in one.variables.values())]
        if all(dim in one.coords and one.variables[dim].dtype.kind == "O" for one in having):
            lists = {tuple(map(str, one.coords[dim])) for one in having}
            longest_first = sorted(lists, key=lambda names: (-len(names), names))
            if all(len(set(names)) == len(names) for names in lists):
                found[dim] = _Labels(tuple(dict.fromkeys(itertools.chain(*longest_first))), len(lists) == 1)
    return found


def _uneven(shapes: Sequence[Shape], lengths: Mapping[str, set[int]], labels: Mapping[str, _Labels]) -> str:
    """Why a variable has no common shape; "" if it has one."""
    if len(all_dims := {shape.dims for shape in shapes}) > 1:
        return "its dimensions are " + " or ".join(f"({', '.join(dims)})" for dims in sorted(all_dims))
    if len({shape.dtype.kind == "O" for shape in shapes}) > 1:
        return "it is text at some points and numbers at others"
    uneven = [dim for dim in shapes[0].dims if dim not in labels and len(lengths[dim]) > 1]
    return "; ".join(f"{dim} has {min(lengths[dim])} to {max(lengths[dim])} entries" for dim in uneven)


def _template(shapes: Sequence[Shape], lengths: Mapping[str, set[int]], labels: Mapping[str, _Labels], gaps: bool) -> Template:
    dims = shapes[0].dims
    sizes = tuple(len(labels[dim].all) if dim in labels else min(lengths[dim]) for dim in dims)
    lacking = {dim: labels[dim].all for dim in dims if dim in labels and not labels[dim].everywhere}
    dtype = np.result_type(*{shape.dtype for shape in shapes})
    return Template(dims, sizes, np.dtype(float) if (gaps or lacking) and dtype.kind in "biu" else dtype, lacking)


def _bytes(found: np.ndarray) -> bytes:
    return repr(found.tolist()).encode() if found.dtype.kind == "O" else found.tobytes()


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _dims(item: h5py.Dataset) -> tuple[str, ...]:
    return (_last(item),) if item.is_scale and item.ndim == 1 else tuple(_last(axis[0]) for axis in item.dims)


def _last(item: h5py.Dataset) -> str:
    return str(item.name).rpartition("/")[2]


def _dtype(item: h5py.Dataset) -> np.dtype:
    if item.dtype == np.int8 and item.attrs.get("dtype") == "bool":
        return np.dtype(bool)
    return item.dtype


def _phony(item: h5py.Dataset) -> bool:
    """A dimension without coordinate."""
    return item.is_scale and bytes(item.attrs.get("NAME", b"")).startswith(_PHONY)
