"""Where a sweep is computed: processes on this machine, pinned to their cores, or a cluster that runs already.

Imports dask, but not JAX: the processes of a local cluster unpickle ``Setup`` from here, and it has to act before JAX starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster, Security, Worker, WorkerPlugin
from distributed.core import rpc

from quenched.lab import process
from quenched.numerics.checks import ParameterError

_SILENCE = logging.CRITICAL
_CONNECT_SECONDS = 10

# arrays that a study holds travel with its points
_CLIENT_SETTINGS = {"distributed.admin.large-graph-warning-threshold": "1 PB"}

_SETTINGS = {
    **_CLIENT_SETTINGS,
    # what is kept for a dashboard grows with every task and would not stay flat over a long sweep
    "distributed.worker.profile.enabled": False,
    "distributed.admin.log-length": 100,
    "distributed.admin.low-level-log-length": 100,
    "distributed.scheduler.active-memory-manager.start": False,
    # a worker that happens to be starting again some time after it died would be taken for lost, and closed for good
    "distributed.deploy.lost-worker-timeout": "10000 days",
    # a task is tried twice; then the sweep itself tries it alone, to tell who killed the worker
    "distributed.scheduler.allowed-failures": 1,
}

_turn = threading.Lock()

cautions: list[str] = []
"""Warnings of a worker process of a local cluster since they were last collected; elsewhere warnings go where they always go."""


@dataclasses.dataclass(frozen=True)
class Setup(WorkerPlugin):
    """Prepares each worker process of a local cluster, also one that replaces a dead one: its cores, its warnings."""

    shares: tuple[tuple[int, ...], ...]
    name: str = "quenched"

    def setup(self, worker: Worker) -> None:
        process.pin(self.shares[int(worker.name)])
        warnings.showwarning = _collect


@contextlib.contextmanager
def local(count: int) -> Iterator[Client]:
    """A client of ``count`` single-threaded worker processes, each pinned to its share of the allowed cores.

    They are gone when the block ends, however it ends; they also end when this process is killed. A script needs no
    ``if __name__ == "__main__"``: its workers do not run it again.
    """
    started = {"distributed.nanny.pre-spawn-environ": _spawn_environment(), **_SETTINGS}
    with contextlib.ExitStack() as stack:
        # what is changed below belongs to the whole process: sweeps in several threads take turns
        stack.enter_context(_turn)
        stack.enter_context(_environment_kept())
        stack.enter_context(_script_hidden())
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(started))
        # threads and processes started now inherit that they do not hear Ctrl-C: this process alone decides how a sweep ends
        with _interrupts_held():
            processes = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=0,  # the machine's own limit is enough; dask's would stop a large point in the middle
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=_SILENCE,
                plugins=[Setup(process.shares(process.allowed_cores(), count))],
            )
            stack.callback(_close, processes)
            client = stack.enter_context(Client(processes, set_as_default=False))
        yield client


@contextlib.contextmanager
def connected(scheduler: str | Client) -> Iterator[Client]:
    """A client of a cluster that runs already. Raises ``ParameterError`` if there is none at the address."""
    if isinstance(scheduler, Client):
        with dask.config.set(_CLIENT_SETTINGS):
            yield scheduler
        return
    # asked before there is a client, because one that fails to connect tries to close for a long time
    try:
        with ThreadPoolExecutor(1) as thread:
            kind = thread.submit(asyncio.run, _kind(scheduler)).result()
    except (OSError, ValueError, TypeError) as error:
        raise ParameterError(
            f"scheduler must be the address of a running dask scheduler, got {scheduler}: {_line(error)}"
        ) from error
    if kind != "Scheduler":
        raise ParameterError(f"scheduler must be the address of a running dask scheduler, got {scheduler}: it is a {kind}")
    with dask.config.set(_CLIENT_SETTINGS), _quiet(), Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False) as client:
        yield client


async def _kind(address: str) -> str:
    connection = {"connection_args": Security().get_connection_args("client")}
    async with rpc(address, timeout=_CONNECT_SECONDS, **connection) as server:
        return (await server.identity())["type"]


def _spawn_environment() -> dict[str, Any]:
    return {**dask.config.get("distributed.nanny.pre-spawn-environ"), **process.environment()}


def _close(cluster: LocalCluster) -> None:
    """Workers that are still computing are killed: what they had finished is on disk, and the rest would be lost anyway."""
    with contextlib.suppress(Exception):
        cluster.sync(_stop_workers, cluster)
    cluster.close()


async def _stop_workers(cluster: LocalCluster) -> None:
    await asyncio.gather(*(nanny.close(timeout=1) for nanny in list(cluster.workers.values())))


def _collect(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    cautions.append(_line(message) if category.__module__.startswith("quenched.") else f"{category.__name__}: {_line(message)}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's log says at length what a sweep says in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _line(value: Any) -> str:
    return " ".join(str(value).split())


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """SIGINT waits until the block ends, and is blocked for good in threads and processes that are started inside."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # started from inside it would unblock the signal again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Dask sets variables for its children in its own process, and leaves them there."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _script_hidden() -> Iterator[None]:
    """Children that are spawned inside do not run the caller's script again.

    ``multiprocessing`` would import it in every worker: one without a guard would sweep again in there, and one with a guard
    might start JAX before the worker is pinned. Nothing is lost: what a script defines travels by value.
    """
    main = sys.modules["__main__"]
    spec, file = main.__spec__, main.__dict__.pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file
