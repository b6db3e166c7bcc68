"""Variables of many files as lazy arrays: tasks that read when somebody asks for numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from quenched.lab.outlines import Template, find, values
from quenched.records import files


def read(path: Path, group: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those variables of a group that the file has, decoded. The task that opens a file. Raises ``DamagedFileError``."""
    with files.reading(path), h5py.File(path, "r") as file:
        items = {name: find(file[group], name) for name in names} if group in file else {}
        return {name: values(item) for name, item in items.items() if item is not None}


def cell(data: Mapping[str, np.ndarray], *, name: str, template: Template, before: int) -> np.ndarray:
    """A variable at one point, with ``before`` axes of length one before its own; where the file has no value NaN, or ""."""
    out = np.full(template.sizes, {"f": math.nan, "O": ""}.get(template.dtype.kind, 0), template.dtype)
    if name in data:
        places = [
            [template.labels[dim].index(label) for label in data[dim]] if dim in template.labels else range(size)
            for dim, size in zip(template.dims, template.sizes, strict=True)
        ]
        out[np.ix_(*places)] = data[name]
    return out.reshape((1,) * before + template.sizes)


def arrays(paths: Sequence[Path | None], cells: np.ndarray, group: str, templates: Mapping[str, Template]) -> dict[str, da.Array]:
    """One dask array per variable; a point is a chunk. A task per file is shared by its variables, so that a file is opened once.

    ``cells``: the index of the point's path for every cell of the grid, -1 or the index of None where nothing is stored.
    """
    names = tuple(dict.fromkeys([*templates, *(dim for template in templates.values() for dim in template.labels)]))
    stored = {row: path for row, path in enumerate(paths) if path is not None}
    marks = [(str(path), path.stat().st_mtime_ns) for path in stored.values()]
    token = tokenize(marks, group, names, cells)
    task = functools.partial(read, group=group, names=names)
    reads = {(f"read-{token}", row): (task, path) for row, path in stored.items()}

    def array(name: str, template: Template) -> da.Array:
        key = f"{name}-{token}"
        make: Callable[..., np.ndarray] = functools.partial(cell, name=name, template=template, before=cells.ndim)
        inner = (0,) * len(template.dims)
        tasks = {
            (key, *place, *inner): (make, (f"read-{token}", int(row))) if row in stored else (functools.partial(make, {}),)
            for place, row in np.ndenumerate(cells)
        }
        layers: dict[str, Any] = {f"read-{token}": reads, key: tasks}
        graph = HighLevelGraph(layers, {f"read-{token}": set(), key: {f"read-{token}"}})
        chunks = (*((1,) * size for size in cells.shape), *((size,) for size in template.sizes))
        return da.Array(graph, key, chunks, dtype=template.dtype)

    return {name: array(name, template) for name, template in templates.items()}
