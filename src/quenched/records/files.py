"""Files: one Dataset, or a tree of them, in one netCDF4 file. Written atomically, read without importing anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from quenched.numerics.checks import QuenchedError
from quenched.records.description import UnknownClassError, is_public

_DIGEST = "content_sha256"


class DamagedFileError(QuenchedError, OSError):
    """A file is truncated, altered, or not of the kind that was expected; names the file."""


def save(tree: xr.Dataset | xr.DataTree, path: str | Path) -> Path:
    """Write a Dataset or a DataTree to a netCDF4 file, and return its path.

    The file appears complete or not at all (temporary file in the same folder, fsync, rename) and equal content gives equal
    bytes. A checksum of the content is stored as the attribute ``content_sha256``; ``load`` verifies it and takes it off again.
    """
    path = Path(path)
    content = tree.copy(deep=False)
    # encodings remember the file that data came from, and would make a copy differ from its original
    if isinstance(content, xr.Dataset):
        content = content.drop_encoding()
    else:
        content = xr.DataTree.from_dict({node.path: node.to_dataset(inherit=False).drop_encoding() for node in content.subtree})
    content.attrs = {**tree.attrs, _DIGEST: digest(tree)}
    with replacing(path) as temporary:
        content.to_netcdf(temporary, engine="h5netcdf", format="NETCDF4")
    return path


def load(path: str | Path, consent: bool = False) -> xr.Dataset | xr.DataTree:
    """Read a file of ``save``: a Dataset, or a DataTree if it has groups. Nothing is imported.

    The descriptions inside must name public classes of the library only; a file with foreign names (a user's model or observable)
    is refused with ``UnknownClassError`` unless ``consent=True``. Raises ``FileNotFoundError``, or ``DamagedFileError``
    naming the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
        content = tree if tree.children else tree.to_dataset()
        stored = content.attrs.pop(_DIGEST, None)
        sound = stored is None or stored == digest(content)
    except Exception as error:  # HDF5 libraries raise anything from KeyError to RuntimeError on damaged bytes
        raise DamagedFileError(f"{path} is damaged or not a netCDF4 file: {type(error).__name__}: {error}") from error
    if not sound:
        raise DamagedFileError(f"{path} is damaged: its content does not have the checksum that was stored with it")
    if not consent:
        refuse_foreign(content, path)
    return content


def refuse_foreign(tree: xr.Dataset | xr.DataTree, path: str | Path) -> None:
    """Raise ``UnknownClassError`` if a description in a Dataset names something that is not in the library's table."""
    for _, node in _nodes(tree):
        text = node.attrs.get("provenance")
        if text is None:
            continue
        try:
            record = json.loads(text)
        except (TypeError, ValueError) as error:
            raise DamagedFileError(f"{path} is damaged: its provenance is not JSON: {error}") from None
        for name in _names(record):
            if not is_public(name):
                raise UnknownClassError(
                    f"{path} names {name!r}, which is not a public name of the library; nothing was imported. "
                    "Pass consent=True, if you trust the file."
                )


def digest(tree: xr.Dataset | xr.DataTree) -> str:
    """SHA-256 of names, dimensions, types, values and attributes, independent of how a file stores them."""
    total = hashlib.sha256()
    for path, node in _nodes(tree):
        total.update(f"group {path} {_text(node.attrs)}".encode())
        for name in sorted(map(str, node.variables)):
            variable = node.variables[name]
            values = np.asarray(variable.values)
            if values.dtype.kind in "OUT":
                values = np.frombuffer(json.dumps(values.astype(str).tolist()).encode(), np.uint8)
            total.update(f"variable {name} {variable.dims} {values.dtype} {values.shape} {_text(variable.attrs)}".encode())
            total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


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


def _nodes(tree: xr.Dataset | xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    if isinstance(tree, xr.Dataset):
        yield "/", tree
    else:
        for node in sorted(tree.subtree, key=lambda n: n.path):
            yield node.path, node.to_dataset(inherit=False)


def _text(attributes: Mapping[Any, Any]) -> str:
    return json.dumps({str(k): np.asarray(v).tolist() for k, v in attributes.items()}, sort_keys=True)


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
