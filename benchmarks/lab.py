"""Sweeps: what a point costs beside its physics, how flat the memory stays, and what a second worker brings."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import psutil
import xarray as xr

from quenched.lab.sweep import sweep
from quenched.studies import Study
from quenched.studies.effective_noise.study import EffectiveNoise

TRIVIAL = {"x": np.linspace(0, 1, 50), "y": np.linspace(0, 1, 40)}
# neither axis changes a shape: all points cost the same, and share their compiled programs
EQUAL = {"rule.batches.fraction": np.linspace(0.3, 0.8, 6), "rule.ridge": np.linspace(0.1, 1.0, 10)}
SIZES = {"samples": 4096, "disorder": 16}
ROUNDS = 3
_MEGABYTE = 1e6


@dataclasses.dataclass(frozen=True)
class Trivial(Study):
    """A study that returns at once."""

    name: ClassVar[str] = "trivial"
    title: ClassVar[str] = "Nothing to compute"
    paper: ClassVar[str] = "none"

    x: float = 0.0
    y: float = 0.0

    def theory(self, seed: int, progress: bool) -> xr.Dataset:
        return xr.Dataset({"value": self.x + self.y})


class Timed(NamedTuple):
    """Seconds of a whole sweep, start of the workers included, and how many cores other processes kept busy meanwhile."""

    seconds: float
    others: float


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """This process, and what it starts, on ``count`` cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def timed(study: Study, over: dict[str, np.ndarray], workers: int, store: str) -> Timed:
    """A sweep into an empty store, with one pinned worker per core of ``workers`` cores."""
    with cores(workers):
        busy, own, begin = _busy(), _own(), time.perf_counter()
        swept = sweep(study, over, store=store, workers=workers)
        seconds = time.perf_counter() - begin
    assert swept.computed == swept.points
    return Timed(seconds, (_busy() - busy - _own() + own) / seconds)


def _busy() -> float:
    """CPU seconds that this machine has spent."""
    spent = psutil.cpu_times()
    return spent.user + spent.nice + spent.system


def _own() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(psutil.Process().cpu_times()[:4])


class Watch:
    """The resident memory of this process and of the workers while a store fills up, in bytes.

    ``early``: at a tenth of the points, when everything is imported and warm; ``peak``: the most after that; both by process.
    """

    def __init__(self, store: Path, points: int) -> None:
        self._store, self._points = store, points
        self.early: dict[str, int] = {}
        self.peak: dict[str, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.5):
            if len(os.listdir(self._store)) < self._points // 10:
                continue
            now = _memory()
            for name, size in now.items():
                self.early.setdefault(name, size)
                self.peak[name] = max(self.peak.get(name, 0), size)


def _memory() -> dict[str, int]:
    """Resident bytes of the client and of each worker."""
    here = psutil.Process()
    found = {"client": here.memory_info().rss}
    for child in here.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found[f"worker {child.pid}"] = child.memory_info().rss
    return found


def overhead() -> list[str]:
    """The table of the trivial points."""
    points = len(TRIVIAL["x"]) * len(TRIVIAL["y"])
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder), points) as watch:
        seconds, others = timed(Trivial(), TRIVIAL, 2, folder)
    lines = [
        f"{points} points of a study that returns at once, two workers: **{seconds:.1f} s**, "
        f"{1e3 * seconds / points:.1f} ms per point, start, files and their checksums included; "
        f"{others:.2f} cores were busy with other processes.",
        "",
        "| process | memory at a tenth of the points | at most later | growth |",
        "|---|---|---|---|",
    ]
    for name, early in sorted(watch.early.items()):
        peak = watch.peak[name]
        shown = " | ".join(f"{size / _MEGABYTE:.0f} MB" for size in (early, peak, peak - early))
        lines.append(f"| {name.partition(' ')[0]} | {shown} |")
    return lines


def scaling() -> list[str]:
    """The table of one worker against two."""
    # about a second per point: the start of the workers, which nothing can divide, then weighs little
    study = dataclasses.replace(EffectiveNoise.presets()["map"], **SIZES)
    points = len(EQUAL["rule.ridge"]) * len(EQUAL["rule.batches.fraction"])
    load = os.getloadavg()[0]
    # fills the cache of compiled programs
    _in_fresh_store(study, {name: values[:2] for name, values in EQUAL.items()}, 2)
    rounds = [{workers: _in_fresh_store(study, EQUAL, workers) for workers in (1, 2)} for _ in range(ROUNDS)]
    ratio = statistics.median(found[1].seconds / found[2].seconds for found in rounds)
    options = " ".join(f"--{name} {value}" for name, value in SIZES.items())
    lines = [
        f"{points} points of `effective-noise --scale map {options}`, of equal cost; load {load:.2f} before; "
        f"{ROUNDS} rounds in turn; start of the workers included.",
        "",
        "| pinned workers | seconds, each round | cores busy with other processes |",
        "|---|---|---|",
    ]
    for workers in (1, 2):
        seconds = ", ".join(f"{found[workers].seconds:.1f}" for found in rounds)
        others = ", ".join(f"{found[workers].others:.2f}" for found in rounds)
        lines.append(f"| {workers} | {seconds} | {others} |")
    return [*lines, "", f"Two workers are **{ratio:.2f}x** as fast as one (median of the rounds)."]


def _in_fresh_store(study: Study, over: dict[str, np.ndarray], workers: int) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        return timed(study, over, workers, folder)


def table() -> str:
    """Both tables as Markdown."""
    return "\n".join([*overhead(), "", *scaling()])


if __name__ == "__main__":
    # by its name, so that workers can import the study
    from benchmarks import lab

    print(lab.table())
