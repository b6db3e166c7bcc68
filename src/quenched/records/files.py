"""Files: one Dataset, or a tree of them, in one netCDF4 file. Written atomically, read without importing anything.

A file ends with a seal: one line with the SHA-256 of all bytes before it. HDF5 ignores what follows its own end, so that every
netCDF4 reader opens a sealed file; and whether it is whole is known without decoding it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import h5py
import xarray as xr
from xarray.backends import H5NetCDFStore

from quenched.numerics.checks import QuenchedError
from quenched.records.description import UnknownClassError, is_public

_SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
_SEAL_LENGTH = 73
_BLOCK = 2**20
# dask's configuration belongs to the whole process
_ENCODING = threading.Lock()


class DamagedFileError(QuenchedError, OSError):
    """A file is truncated, altered, or not of the kind that was expected; names the file."""


def save(tree: xr.Dataset | xr.DataTree, path: str | Path) -> Path:
    """Write a Dataset or a DataTree to a netCDF4 file, and return its path.

    The file appears complete or not at all (temporary file in the same folder, fsync, rename), equal content gives equal bytes,
    and the seal at its end lets ``load`` notice any change. A full disk is an ``OSError``.
    """
    path = Path(path)
    write(encoded(tree), path)
    return path


def encoded(tree: xr.Dataset | xr.DataTree) -> bytes:
    """The bytes of a sealed netCDF4 file. Made in memory, because HDF5 does not survive a disk that is full while it writes."""
    nodes = [tree] if isinstance(tree, xr.Dataset) else [node.to_dataset(inherit=False) for node in tree.subtree]
    paths = ["/"] if isinstance(tree, xr.Dataset) else [node.path for node in tree.subtree]
    buffer = io.BytesIO()
    # where dask has a cluster xarray would ask it for a lock, which bytes in memory do not need and cannot name
    with _ENCODING, dask.config.set(scheduler="synchronous"):
        # h5netcdf deletes a placeholder for each coordinate. When HDF5 learns that its place is free depends on when Python frees
        # an object, and what came next fell into the gap or not: "none" is to reuse no gap, so that equal content is equal bytes.
        root = H5NetCDFStore.open(buffer, mode="w", driver_kwds={"fs_strategy": "none"})
        try:
            for path, node in zip(paths, nodes, strict=True):
                # encodings remember the file that data came from, and would make a copy differ from its original
                node.drop_encoding().dump_to_store(root if path == "/" else root.get_child_store(path))
        finally:
            root.close()
    data = buffer.getbuffer()
    return b"".join((data, b"\nsha256 ", hashlib.sha256(data).hexdigest().encode(), b"\n"))


def write(data: bytes, path: Path) -> None:
    """Put bytes into a file that appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load(path: str | Path, consent: bool = False) -> xr.Dataset | xr.DataTree:
    """Read a file of ``save``: a Dataset, or a DataTree if it has groups. Nothing is imported.

    The descriptions inside must name public classes of the library only; a file with foreign names (a user's model or observable)
    is refused with ``UnknownClassError`` unless ``consent=True``. Raises ``FileNotFoundError``, or ``DamagedFileError``
    naming the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if sealed(path) is False:
        raise DamagedFileError(f"{path} is damaged: its content does not have the checksum that was stored with it")
    with reading(path), xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    content = tree if tree.children else tree.to_dataset()
    if not consent:
        refuse_foreign(content, path)
    return content


def sealed(path: str | Path) -> bool | None:
    """Whether the seal of a file holds; None for a file without one, by another program. Memory is flat for any size."""
    path = Path(path)
    with path.open("rb") as file:
        left = max(0, os.fstat(file.fileno()).st_size - _SEAL_LENGTH)
        total = hashlib.sha256()
        while left and (block := file.read(min(left, _BLOCK))):
            total.update(block)
            left -= len(block)
        seal = _SEAL.fullmatch(file.read())
    return None if seal is None else seal[1] == total.hexdigest().encode()


def attributes(path: str | Path, consent: bool = False, group: str = "/") -> dict[str, Any]:
    """The attributes of a group of a file, read alone (a hundred times faster than ``load``), with ``provenance`` decoded.

    The seal is not looked at. Raises as ``load`` does; a group that the file lacks is a ``KeyError``.
    """
    with reading(path), h5py.File(path, "r") as file:
        found = dict(file[group].attrs) if group in file else None
    if found is None:
        raise KeyError(f"{path} has no group {group}")
    if "provenance" in found:
        found["provenance"] = _decoded(found["provenance"], path)
        if not consent:
            refuse_names(found["provenance"], path)
    return found


def refuse_foreign(tree: xr.Dataset | xr.DataTree, path: str | Path) -> None:
    """Raise ``UnknownClassError`` if a description in a Dataset names something that is not in the library's table."""
    for node in [tree] if isinstance(tree, xr.Dataset) else tree.subtree:
        if "provenance" in node.attrs:
            refuse_names(_decoded(node.attrs["provenance"], path), path)


def refuse_names(record: Any, path: str | Path) -> None:
    """The same for a description by itself."""
    for name in _names(record):
        if not is_public(name):
            raise UnknownClassError(
                f"{path} names {name!r}, which is not a public name of the library; nothing was imported. "
                "Pass consent=True, if you trust the file."
            )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` when the block ends well, and disappears when it does not."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of {path.name} does not exist")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        _sync(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync(path.parent)


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """HDF5 libraries raise anything from KeyError to RuntimeError on damaged bytes: make it one error that names the file."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # no permission, too many open files: the system's, no damage
            raise
        raise DamagedFileError(f"{path} is damaged or not a netCDF4 file: {type(error).__name__}: {error}") from error


def _decoded(text: Any, path: str | Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: its provenance is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path} is damaged: its provenance is not a JSON object")
    return found


def _names(record: Any) -> Iterator[str]:
    """Every class and function that a description names."""
    if isinstance(record, dict):
        for key, value in record.items():
            if key in ("class", "function") and isinstance(value, str):
                yield value
            else:
                yield from _names(value)
    elif isinstance(record, list):
        for value in record:
            yield from _names(value)
