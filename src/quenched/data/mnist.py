"""The MNIST file: where it is looked for, and the check that its contents are the original ones."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pooch

from quenched.numerics.checks import QuenchedError

FILE = "mnist.npz"
UPSTREAM = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHAPES = {"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)}
# MD5 of the original (unpacked) IDX files
DIGESTS = {
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}


class MissingDataError(QuenchedError, FileNotFoundError):
    """A data file is nowhere to be found; says what to put where."""


class DamagedDataError(QuenchedError, ValueError):
    """A data file has other contents than it should have."""


def read_mnist() -> dict[str, np.ndarray]:
    """The four arrays of MNIST, uint8, checked."""
    path = find()
    arrays = _read(path)
    for name, digest in DIGESTS.items():
        array = arrays[name]
        if array.shape != SHAPES[name] or hashlib.md5(idx_bytes(array), usedforsecurity=False).hexdigest() != digest:
            raise DamagedDataError(f"{path}: {name} is not the original MNIST array (shape {array.shape}, dtype {array.dtype})")
    return arrays


def find() -> Path:
    """Path of the file: ``QUENCHED_DATA``, the cache folder, then a download into the cache folder."""
    path = local(FILE)
    if path is not None:
        return path
    try:
        # the digest is that of the contents, checked after reading: any container of the same arrays will do
        downloader = pooch.HTTPDownloader(timeout=20)
        return Path(pooch.retrieve(UPSTREAM, known_hash=None, fname=FILE, path=_cache(), downloader=downloader))
    except Exception as error:
        wanted = ", ".join(f"{name} {shape}" for name, shape in SHAPES.items())
        raise MissingDataError(
            f"MNIST is not here and could not be fetched ({type(error).__name__}). Put {FILE} into {places()}. It is a NumPy "
            f"archive with the uint8 arrays {wanted}; pixels 0 to 255, ink bright. "
            "Written as IDX files they must have the MD5 sums " + ", ".join(f"{n} {d}" for n, d in DIGESTS.items())
        ) from error


def local(file: str) -> Path | None:
    """Path of a file in the folder named by ``QUENCHED_DATA``, else in the cache folder, or None."""
    given = os.environ.get("QUENCHED_DATA")
    for folder in ([Path(given)] if given else []) + [_cache()]:
        if (folder / file).is_file():
            return folder / file
    return None


def places() -> str:
    """Where ``local`` looks, in words."""
    given = os.environ.get("QUENCHED_DATA")
    return f"the folder named by the environment variable QUENCHED_DATA (now {given!r}) or into {_cache()}"


def _cache() -> Path:
    return Path(pooch.os_cache("quenched"))


def idx_bytes(array: np.ndarray) -> bytes:
    """An array of unsigned bytes in the IDX layout: magic number, big-endian sizes, then the data."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + np.ascontiguousarray(array, np.uint8).tobytes()


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = sorted(set(SHAPES) - set(archive.files))
            if missing:
                raise DamagedDataError(f"{path} has no array {', '.join(missing)}; it has {', '.join(archive.files)}")
            return {name: archive[name] for name in SHAPES}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        if isinstance(error, DamagedDataError):
            raise
        raise DamagedDataError(f"{path} is not a NumPy archive: {error}") from error
