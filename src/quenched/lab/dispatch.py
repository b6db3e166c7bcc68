"""Hands batches of points to the workers of a cluster, a few at a time, and takes their answers."""

from __future__ import annotations

import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, NamedTuple

from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm import CommClosedError

from quenched.lab.workers import Answer, Batch, look, versions, work
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.studies.base import Study

_TASK_SECONDS = 0.5
_MOST_BATCHES = 50
_WAITING = 16
_POLL_SECONDS = 0.01
_ASK_SECONDS = 10
_ASKED = 6


class ClusterLostError(ConnectionError):
    """The scheduler does not answer any more; what is stored is safe."""


class Job(NamedTuple):
    """What every task of a sweep needs besides its points: the store's folder, and whether failures are tried again.

    As many tasks as there are threads are with the cluster: only what a worker was computing is under suspicion when it dies.
    A cluster that may be ``growing`` with the work that waits gets more.
    """

    folder: str
    retry: bool
    growing: bool = False


def answers(
    client: Client, batches: Sequence[Batch], job: Job, died: Callable[[Batch, KilledWorker], Answer]
) -> Iterator[Answer]:
    """The answers of all batches, as they come.

    Where workers die under a task, dask tries it again elsewhere; then its points are tried one by one with nothing beside
    them. For a point that kills its worker even so, ``died`` gives the answer. Raises what a task raised, or
    ``ClusterLostError``.
    """
    suspects: list[Batch] = []
    for task, answer in _run(client, deque(batches), job):
        if isinstance(answer, KilledWorker):
            suspects += [[point] for batch in task for point in batch]
        else:
            yield answer
    for task, answer in _run(client, deque(suspects), job, alone=True):
        yield died(task[0], answer) if isinstance(answer, KilledWorker) else answer


def _run(
    client: Client, waiting: deque[Batch], job: Job, alone: bool = False
) -> Iterator[tuple[list[Batch], Answer | KilledWorker]]:
    """Tasks and their answers; ``alone``: one batch at a time, with nothing beside it."""
    running: dict[Any, tuple[Future, list[Batch]]] = {}
    finished = as_completed(loop=client.loop)
    size = 1
    try:
        while waiting or running:
            most = 1 if alone or not waiting else _most(client, job)
            while waiting and len(running) < most:
                # the last tasks are small, so that no worker has to wait for another
                count = 1 if alone else max(1, min(size, len(waiting) // (2 * most)))
                task = [waiting.popleft() for _ in range(count)]
                key = f"quenched-{uuid.uuid4().hex}"
                future = client.submit(work, task, job.folder, job.retry, key=key, pure=False)
                running[key] = (future, task)
                finished.add(future)
            future = _next(client, finished, job)
            answer = _answer(client, future)
            if answer is None:
                finished.add(future)
                continue
            _, task = running.pop(future.key)
            if isinstance(answer, Answer):
                size = min(_MOST_BATCHES, int(_TASK_SECONDS * len(task) / max(answer.seconds, 1e-3)))
            yield task, answer
    finally:
        # tasks that nobody waits for are dropped by the scheduler, if they have not begun
        for future, _ in running.values():
            future.release()


def _next(client: Client, finished: as_completed, job: Job) -> Future:
    """The next task that is finished. Raises ``ClusterLostError`` if the processes of a local cluster stay away."""
    asked, absent = time.monotonic(), 0
    while not finished.has_ready():
        time.sleep(_POLL_SECONDS)
        if not job.growing and time.monotonic() - asked > _ASK_SECONDS:
            asked, absent = time.monotonic(), 0 if client.nthreads() else absent + 1
            if absent == _ASKED:
                raise ClusterLostError("the worker processes died and do not come back")
    return next(finished)


def _answer(client: Client, future: Future) -> Answer | KilledWorker | None:
    """What a finished task gave; None if it went with its worker meanwhile, so that the cluster does the task again."""
    if future.status in ("lost", "pending"):
        return None
    try:
        return future.result()
    except KilledWorker as error:
        return error
    except (CancelledError, CommClosedError):  # before, or just while the answer was fetched
        raise _lost(client) from None


def check_workers(client: Client, folder: Path, study: Study) -> None:
    """Whether the workers of a foreign cluster can take part: they see the store, and can import the study.

    Raises ``ParameterError`` if one cannot; other versions than here are a ``QuenchedWarning``. Waits for a worker where there
    is none.
    """
    question = folder / f".probe.nc.{uuid.uuid4().hex}.tmp"
    question.write_text(question.name, encoding="utf-8")
    try:
        sights = client.run(look, str(question), study, on_error="return") if client.nthreads() else {}
        if not sights:
            first = client.submit(look, str(question), study, pure=False)
            sights = {"the first worker": first.exception() or first.result()}
        for worker, sight in sights.items():
            if isinstance(sight, BaseException) or not (folder / sight.answer).exists():
                reason = _line(sight) if isinstance(sight, BaseException) else "what it wrote is not there"
                raise ParameterError(
                    f"workers must read and write the store {folder} and have the study's packages; {worker} does not: {reason}"
                )
    finally:
        for path in folder.glob(f"{question.name}*"):
            path.unlink(missing_ok=True)
    here = versions()
    for text in sorted({_differences(sight.versions, here) for sight in sights.values()} - {""}):
        told = f"workers differ from this process: {text}; their points may differ in the last bits"
        warnings.warn(told, QuenchedWarning, stacklevel=2)


def _differences(there: dict[str, str], here: dict[str, str]) -> str:
    return ", ".join(f"{name} {there[name]} (here {here[name]})" for name in here if there.get(name) != here[name])


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _lost(client: Client) -> ClusterLostError:
    return ClusterLostError(f"the scheduler {client.scheduler.address if client.scheduler else ''} is gone")


def _most(client: Client, job: Job) -> int:
    try:
        threads = sum(client.nthreads().values())
    except OSError:
        raise _lost(client) from None
    return 2 * threads + _WAITING if job.growing else max(1, threads)
