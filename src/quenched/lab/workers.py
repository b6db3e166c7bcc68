"""What a worker of a sweep does: looks a point up once more, computes it, writes it, and reports in a few words."""

from __future__ import annotations

import importlib.metadata
import platform
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from quenched.lab import cluster
from quenched.lab.store import Failure, Store
from quenched.numerics.checks import ParameterError
from quenched.studies.base import Study
from quenched.studies.batches import run_batch
from quenched.studies.summary import ENGINES, quantities

Batch = Sequence[tuple[Study, int]]
"""Points (study, seed) that are computed together, alike as ``studies.batches`` wants them."""


class WorkerDiedError(RuntimeError):
    """The process that computed a point died every time: killed for its memory, or crashed."""


class Live(NamedTuple):
    """A number worth a look while one waits: a variable of a point's summary, and its standard error (NaN if there is none)."""

    name: str
    value: float
    error: float


class Report(NamedTuple):
    """What became of a point. Its data stay where they were written."""

    fingerprint: str
    state: Literal["computed", "found", "failed"]
    failure: Failure | None = None
    live: Live | None = None


class Answer(NamedTuple):
    """What a task gives back: the reports of its points, the seconds it took, the warnings that came up."""

    reports: tuple[Report, ...]
    seconds: float
    cautions: tuple[str, ...]


class Sight(NamedTuple):
    """What a worker answers when it is asked whether it can take part: the file that it wrote, and its versions."""

    answer: str
    versions: dict[str, str]


def work(batches: Sequence[Batch], folder: str, retry: bool) -> Answer:
    """Compute the batches one by one, and write each point into the store ``folder`` at once.

    What a point raises is written and reported as its failure. Raises ``StoreFullError`` and other errors of the file system, and
    ``ParameterError`` if the folder does not exist here: these concern every point.
    """
    start = time.perf_counter()
    if not Path(folder).is_dir():
        raise ParameterError(f"store must be on a file system that all workers share; {platform.node()} has no folder {folder}")
    store = Store(folder)
    reports = tuple(report for batch in batches for report in _work(store, batch, retry))
    found, cluster.cautions[:] = tuple(cluster.cautions), ()
    return Answer(reports, time.perf_counter() - start, found)


def settled(store: Store, study: Study, seed: int, retry: bool) -> Report | None:
    """The report of a point that needs no work: it is in the store, or it has failed for a reason that would come again."""
    name = store.path(study, seed).stem
    if store.sound(study, seed):
        return Report(name, "found")
    failure = None if retry else store.failure(study, seed)
    return Report(name, "failed", failure) if failure is not None and failure.deterministic else None


def failed(store: Store, study: Study, seed: int, error: BaseException) -> Report:
    """Write a failure, and report it; a point that somebody else has finished meanwhile is found."""
    name = store.put_failure(study, seed, error).name.partition(".")[0]
    failure = store.failure(study, seed)
    return Report(name, "found") if failure is None else Report(name, "failed", failure)


def look(path: str, study: Study) -> Sight:
    """Read a file and write another next to it: whether a worker sees the store, and knows the study. Raises ``OSError``."""
    answer = Path(f"{path}.{uuid.uuid4().hex}.tmp")
    answer.write_bytes(Path(path).read_bytes())
    return Sight(answer.name, versions())


def versions() -> dict[str, str]:
    """Versions that decide about the last bits, and about whether processes understand each other."""
    return {name: importlib.metadata.version(name) for name in ("quenched", "jax", "numpy")}


def _work(store: Store, batch: Batch, retry: bool) -> list[Report]:
    reports, todo = [], []
    for study, seed in batch:
        # another client may have finished the point since this task was submitted
        known = settled(store, study, seed, retry)
        if known is None:
            todo.append((study, seed))
        else:
            reports.append(known)
    return reports + [_written(store, point, outcome) for point, outcome in zip(todo, _outcomes(todo), strict=True)]


def _outcomes(points: Batch) -> Sequence[xr.DataTree | BaseException]:
    if not points:
        return ()
    try:
        outcomes = run_batch(points)
        if len(outcomes) == len(points):
            return outcomes
        raise RuntimeError(f"a batch of {len(points)} points gave {len(outcomes)} outcomes")
    except BaseException as error:  # a study may even call sys.exit; the others go on
        if len(points) == 1:
            return (error,)
    return [outcome for point in points for outcome in _outcomes([point])]


def _written(store: Store, point: tuple[Study, int], outcome: xr.DataTree | BaseException) -> Report:
    if isinstance(outcome, BaseException):
        return failed(store, *point, outcome)
    try:
        return Report(store.put(outcome).stem, "computed", live=live(outcome.to_dataset(inherit=False)))
    except OSError:
        raise
    except Exception as error:  # an outcome that no file can hold
        return failed(store, *point, error)


def live(summary: xr.Dataset) -> Live | None:
    """The first finite number of a summary, of the experiment if it is there."""
    for name in quantities(summary):
        error = f"{name}_error"
        for engine in reversed(ENGINES):
            value = _number(summary, name, engine)
            if np.isfinite(value):
                return Live(name, value, _number(summary, error, engine) if error in summary.data_vars else np.nan)
    return None


def _number(summary: xr.Dataset, name: str, engine: str) -> float:
    variable = summary[name]
    if "engine" in variable.dims and "engine" in variable.coords:
        if engine not in variable["engine"].values:
            return np.nan
        variable = variable.sel(engine=engine)
    return float(variable) if variable.ndim == 0 and variable.dtype.kind in "fiu" else np.nan
