"""A store: a folder of files, one per point of a sweep, and nothing else.

A point (study, seed) is the file ``<fingerprint>.nc``; one that failed is ``<fingerprint>.failed.nc``. Files appear complete or
not at all, so that any number of processes may write one store; stores are merged by copying their files together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from quenched.numerics.checks import ParameterError, QuenchedError, QuenchedWarning
from quenched.records import files
from quenched.records.datasets import provenance
from quenched.records.description import canonical_json
from quenched.records.identity import fingerprint
from quenched.studies.base import Study

_FAILED = ".failed.nc"
_STALE = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreFullError(OSError):
    """The disk of a store has no room for one more file; what is stored is safe and readable."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A point that failed: its study, ``parameters`` as described in JSON, ``seed``, and the error.

    ``kind`` is the name of the error's class; ``deterministic`` says that it would come again (a ``QuenchedError``).
    """

    study: str
    parameters: dict[str, Any]
    seed: int
    kind: str
    message: str
    deterministic: bool


class Store:
    """The files of the folder ``folder``, which is made by the first write. Raises ``ParameterError`` if it is a file."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        if self.folder.exists() and not self.folder.is_dir():
            raise ParameterError(f"store must be a folder, but {self.folder} is a file")

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def path(self, study: Study, seed: int) -> Path:
        """Where the point is, or would be."""
        return self.folder / f"{study.fingerprint(seed)}.nc"

    def look_up(self, study: Study, seed: int) -> xr.DataTree | None:
        """The outcome of a point as ``study.run`` gave it, or None.

        What stands under its name and is damaged or another point's is set aside, with a ``QuenchedWarning``.
        That a file names foreign classes is no obstacle where it is the very point that was asked for; nothing is imported.
        """
        if not self.sound(study, seed):
            return None
        content = files.load(self.path(study, seed), consent=True)
        tree = xr.DataTree(content) if isinstance(content, xr.Dataset) else content
        tree.name = study.name
        return tree

    def sound(self, study: Study, seed: int) -> bool:
        """Whether ``look_up`` would find the point. Reads the bytes once and decodes no data: a fraction of a millisecond."""
        return self._sound(self.path(study, seed)) is not None

    def put(self, tree: xr.DataTree) -> Path:
        """Write the outcome of ``study.run(seed)`` under the name that its provenance gives; a failure of the point is forgotten.

        Raises ``ParameterError`` if the tree does not come from a study, ``StoreFullError`` if there is no room.
        """
        path = self.folder / f"{fingerprint(provenance(tree))}.nc"
        self._write(tree, path)
        path.with_suffix(_FAILED).unlink(missing_ok=True)
        return path

    def put_failure(self, study: Study, seed: int, error: BaseException) -> Path:
        """Write that a point failed: its provenance and the error. Raises ``StoreFullError`` if there is no room."""
        path = self.path(study, seed).with_suffix(_FAILED)
        deterministic = isinstance(error, QuenchedError)
        failure = {"kind": type(error).__name__, "message": str(error), "deterministic": deterministic}
        texts = {"provenance": canonical_json(study.provenance(seed)), "failure": canonical_json(failure)}
        self._write(xr.Dataset(attrs=texts), path)
        return path

    def failure(self, study: Study, seed: int) -> Failure | None:
        """How a point failed, or None; a point that is finished has not failed."""
        path = self.path(study, seed)
        if path.exists():
            return None
        found = self._sound(path.with_suffix(_FAILED))
        return None if found is None else found["failure"]

    def failures(self) -> list[Failure]:
        """Every point that failed and is not finished."""
        return [found["failure"] for _, found in self._scan(failed=True)]

    def records(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Path and provenance of every finished point, by name. A file that is no point is left out with a ``QuenchedWarning``.

        Attributes alone are read, no seal is checked: under a millisecond each.
        """
        return ((path, found["provenance"]) for path, found in self._scan(failed=False))

    def failed_records(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The same of every point that failed and is not finished."""
        return ((path, found["provenance"]) for path, found in self._scan(failed=True))

    def set_aside(self, path: Path, why: str) -> Path:
        """Move a file to the folder ``aside`` of the store, under its name or, where that is taken, with a number; say so.

        Raises ``FileNotFoundError`` if the file is gone.
        """
        aside = self.folder / "aside"
        with self._room(f"a file in {aside.name}"):
            aside.mkdir(exist_ok=True)
            target = _reserved(aside, path)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            target.unlink()
            raise
        warnings.warn(f"set aside as {target}: {why}", QuenchedWarning, stacklevel=2)
        return target

    def tidy(self) -> list[Path]:
        """Set aside every netCDF file of the folder that is not what its name says; returns where they are now.

        Only attributes are read: altered data are found by ``look_up`` and ``sound``. Temporary files that a process left when it
        was killed are removed after an hour.
        """
        aside = [target for path in self._paths() if isinstance(target := self._judge(path, _attributes), Path)]
        for path in self.folder.glob(".*.nc.*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()
        return aside

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.nc") if path.is_file())

    def _scan(self, failed: bool) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in self._paths():
            if path.name.endswith(_FAILED) is not failed or (failed and _finished(path).exists()):
                continue
            try:
                yield path, _attributes(path)
            except FileNotFoundError:  # another process has just finished this point, or set the file aside
                continue
            except files.DamagedFileError as error:
                warnings.warn(f"left out: {error}", QuenchedWarning, stacklevel=2)

    def _sound(self, path: Path) -> dict[str, Any] | None:
        """The attributes of a file that is whole and what its name says; any other file is set aside: None."""
        found = self._judge(path, _whole)
        return found if isinstance(found, dict) else None

    def _judge(self, path: Path, check: Callable[[Path], dict[str, Any]]) -> dict[str, Any] | Path | None:
        """What ``check`` returns; where the file is now if ``check`` found it damaged; None if there is none."""
        while (mark := _mark(path)) is not None:
            with contextlib.suppress(FileNotFoundError):
                try:
                    return check(path)
                except files.DamagedFileError as error:
                    # another process may have put a sound file here meanwhile: then look again
                    if _mark(path) == mark:
                        return self.set_aside(path, str(error))
        return None

    def _write(self, tree: xr.Dataset | xr.DataTree, path: Path) -> None:
        data = files.encoded(tree)
        with self._room(f"{len(data)} bytes"):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write(data, path)

    @contextlib.contextmanager
    def _room(self, needed: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            safe = sum(not path.name.endswith(_FAILED) for path in self._paths())
            raise StoreFullError(
                f"the store {self.folder} is full: no room for {needed}; the {safe} points in it are safe; "
                "make room and run the same command again"
            ) from error


def _finished(failed: Path) -> Path:
    return failed.with_name(failed.name.removesuffix(_FAILED) + ".nc")


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of a point's file. Raises ``DamagedFileError`` if the file is not the point that its name says.

    The name is a hash of the point's identity, so that equal names are equal points.
    """
    found = files.attributes(path, consent=True)
    try:
        name = fingerprint(found.setdefault("provenance", {})) + (_FAILED if "failure" in found else ".nc")
        if "failure" in found:
            found["failure"] = _failure(found["provenance"], json.loads(found["failure"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise files.DamagedFileError(f"{path} is not a point of a study: {' '.join(str(error).split())}") from None
    if path.name != name:
        raise files.DamagedFileError(f"{path} is not the point that its name says")
    return found


def _whole(path: Path) -> dict[str, Any]:
    if not files.sealed(path):
        raise files.DamagedFileError(f"{path} is damaged, or another program's: its checksum is missing or wrong")
    return _attributes(path)


def _failure(record: dict[str, Any], failure: dict[str, Any]) -> Failure:
    kind, message, deterministic = (failure[name] for name in ("kind", "message", "deterministic"))
    return Failure(record["study"], record["parameters"], record["seed"], kind, message, deterministic)


def _mark(path: Path) -> tuple[int, int] | None:
    """Tells one file under a name from the next."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _reserved(folder: Path, path: Path) -> Path:
    """A name in a folder that no other process has or gets."""
    for number in itertools.count():
        target = folder / (f"{path.stem}.{number}{path.suffix}" if number else path.name)
        with contextlib.suppress(FileExistsError):
            target.touch(exist_ok=False)
            return target
    raise AssertionError
