"""Sweeps: the points of a grid, computed by a cluster, in a store."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

from distributed import Client, KilledWorker

from quenched.lab import cluster
from quenched.lab.dispatch import ClusterLostError, Job, answers, check_workers
from quenched.lab.grid import Over, Point, axes_of, points
from quenched.lab.meter import Meter
from quenched.lab.process import allowed_cores
from quenched.lab.store import Failure, Store
from quenched.lab.workers import Answer, Batch, Report, WorkerDiedError, failed, settled
from quenched.numerics import checks
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.studies.base import Study

_CAUTIONS = 5


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep; says what is safe."""


@dataclasses.dataclass(frozen=True)
class Swept:
    """What a sweep did: ``points`` of the grid, how many were ``computed`` and ``found`` in the store, and which ``failed``, in
    the order of the grid.
    """

    store: Store
    points: int
    computed: int
    found: int
    failed: list[Failure]


def sweep(
    study: Study,
    over: Over,
    *,
    seeds: int = 1,
    seed: int = 0,
    store: str | Path | Store,
    scheduler: str | Client | None = None,
    workers: int | None = None,
    retry: bool = False,
    progress: bool = False,
) -> Swept:
    """Compute a study at all combinations of the values ``over``, and keep every point in a store.

    Parameters
    ----------
    study
        Gives the parameters that are not swept.
    over
        ``{"model.alpha": np.linspace(0.5, 4, 15), "rule.batches": ["Full", "IID"]}``: values by dotted path, as a list, or as
        text in the syntax of the command line (``"0.5:4:15"``). Values are converted as the parameter's type says.
    seeds, seed
        Every combination is computed with the seeds seed, seed + 1, ..., seed + seeds - 1.
    store
        A folder. Points that are in it are not computed again, so that the same call continues what was interrupted. Several
        calls, on several machines, may work on one store at once.
    scheduler
        Address (or ``distributed.Client``) of a dask cluster that runs already and sees the same folder. Default: worker
        processes on this machine.
    workers
        Number of those processes, each pinned to its share of the cores; default: one per core.
    retry
        Compute also points that failed for a reason that would come again, such as a divergence. Other failures are always
        tried again.
    progress
        Show the progress on standard error.

    A point that fails does not stop the others: its error is kept in the store, and listed in the answer. All points are
    checked before any work begins. A script needs no ``if __name__ == "__main__"`` around the call: workers do not run it again.
    A study that is defined in the script itself travels by value; better put it in a module. Arrays that a study holds travel
    with its points, a few times per second and worker: tens of megabytes are no trouble.

    Raises ``ParameterError`` for a bad point, path, folder or scheduler, ``StoreFullError``, ``ClusterLostError``, and
    ``SweepInterrupted`` (a ``KeyboardInterrupt``); what was finished before is safe.
    """
    checks.integer_at_least("seeds", seeds, 1)
    if workers is not None:
        checks.integer_at_least("workers", workers, 1)
        if scheduler is not None:
            raise ParameterError(f"workers must not be given with a scheduler, whose cluster has its own, got {workers}")
    store = store if isinstance(store, Store) else Store(store)
    grid = points(study, axes_of(over), range(seed, seed + seeds))
    _check_folder(store.folder)
    tally = _Tally(store, len(grid))
    batches = _open(cut(grid), store, retry, tally)
    if batches:
        _make_folder(store.folder)
        with tally.told(), Meter(len(grid), tally.done, len(tally.failed), progress) as meter:
            for answer in _answers(batches, store, retry, scheduler, workers, meter):
                tally.take(answer)
                meter.take(answer)
    names = [store.path(*point).stem for point in grid] if tally.failed else []
    failures = [tally.failed[name] for name in names if name in tally.failed]
    return Swept(store, len(grid), tally.computed, tally.found, failures)


def cut(grid: Sequence[Point]) -> list[list[Point]]:
    """The batches of a grid: points that may be computed together, in order, at most ``width`` of them; the others alone.

    Cut from the whole grid, so that it does not depend on what is finished already.
    """
    batches: list[list[Point]] = []
    begun: dict[Hashable, list[Point]] = {}
    for point in grid:
        alike = point.study.together()
        if alike is None:
            batches.append([point])
            continue
        key = (type(point.study), alike.shape)
        if key not in begun:
            begun[key] = []
            batches.append(begun[key])
        begun[key].append(point)
        if len(begun[key]) == alike.width:
            del begun[key]
    return batches


class _Tally:
    """What became of the points so far."""

    def __init__(self, store: Store, points: int) -> None:
        self._store, self._points = store, points
        self.computed = self.found = 0
        self.failed: dict[str, Failure] = {}
        self._cautions: dict[str, int] = {}

    @property
    def done(self) -> int:
        return self.computed + self.found + len(self.failed)

    def count(self, report: Report) -> None:
        self.computed += report.state == "computed"
        self.found += report.state == "found"
        if report.failure is not None:
            self.failed[report.fingerprint] = report.failure

    def take(self, answer: Answer) -> None:
        for report in answer.reports:
            self.count(report)
        for text in answer.cautions:
            self._cautions[text] = self._cautions.get(text, 0) + 1

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Says what is safe when a sweep ends early, and repeats the warnings of the workers, the first few of them."""
        try:
            yield
        except KeyboardInterrupt:
            raise SweepInterrupted(f"interrupted; {self._safe()}") from None
        except ClusterLostError as error:
            raise ClusterLostError(f"{error}; {self._safe()}") from error
        finally:
            for text in list(self._cautions)[:_CAUTIONS]:
                warnings.warn(text, QuenchedWarning, stacklevel=2)
            if len(self._cautions) > _CAUTIONS:
                warnings.warn(f"and {len(self._cautions) - _CAUTIONS} more such warnings", QuenchedWarning, stacklevel=2)

    def _safe(self) -> str:
        done = self.computed + self.found
        return f"{done} of {self._points} points are safe in {self._store.folder}, and the same command continues"


def _open(batches: Sequence[Batch], store: Store, retry: bool, tally: _Tally) -> list[Batch]:
    """What is left to do of each batch; the rest is counted."""
    store.tidy()
    left: list[Batch] = []
    for batch in batches:
        todo = []
        for point in batch:
            known = settled(store, *point, retry)
            if known is None:
                todo.append(point)
            else:
                tally.count(known)
        if todo:
            left.append(todo)
    return left


def _answers(
    batches: list[Batch], store: Store, retry: bool, scheduler: str | Client | None, workers: int | None, meter: Meter
) -> Iterator[Answer]:
    # An order of its own for every call: two that work on one store then rarely meet at a point, while in the same order the
    # one behind would follow the other in lockstep and compute each point a second time. A point does not depend on its turn.
    # And the part that is done is a fair sample of the grid, as the estimate of the time left assumes.
    random.Random().shuffle(batches)
    folder = str(store.folder.absolute())

    def died(batch: Batch, error: KilledWorker) -> Answer:
        reason = WorkerDiedError("the worker process died each time it computed this point: killed, out of memory, or crashed")
        return Answer(tuple(failed(store, *point, reason) for point in batch), 0.0, ())

    with contextlib.ExitStack() as stack:
        if scheduler is None:
            client = stack.enter_context(cluster.local(min(workers or len(allowed_cores()), len(batches))))
        else:
            client = stack.enter_context(cluster.connected(scheduler))
            check_workers(client, Path(folder), batches[0][0][0])
        meter.begin()
        yield from answers(client, batches, Job(folder, retry, growing=scheduler is not None), died)


def _check_folder(folder: Path) -> None:
    """Without making it: a store that has all the points need not be written."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ParameterError(f"store must be a folder, but {existing} is a file")


def _make_folder(folder: Path) -> None:
    """Before the workers start. Raises ``ParameterError`` if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except PermissionError as error:
        raise ParameterError(f"store must be a folder that can be written, got {folder}: {error.strerror}") from error
