"""What goes wrong while a sweep runs, and what the store looks like afterwards: as if nothing had.

Every accident happens twice: to a study that naps (quick), and to a map of the effective noise (slow).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import xarray as xr
from distributed import Client, Future, LocalCluster
from distributed.comm import CommClosedError

import quenched as qd
from quenched.lab.dispatch import ClusterLostError
from quenched.lab.sweep import sweep
from tests.lab.counted import Bench, Command, cluster, until
from tests.lab.ramp import Ramp
from tests.lab.same_store import points, rest, same

NAP = ("counted-nap", "--over", "x=0:1:10", "--over", "y=0:1:6")
# small, so that points are computed in batches; the axes keep every shape, so that all points share their compiled programs
SIZES = ("--satisfiable", "null", "--size", "50", "--samples", "256", "--runs", "2", "--waiting", "20", "--lags", "10")
GRID = ("--over", "rule.batches.fraction=0.3:0.9:12", "--over", "rule.ridge=0.1:1:10")
NOISE = ("counted-noise", "--scale", "map", *SIZES, *GRID)
TWO = ("--workers", "2")


class Case(NamedTuple):
    """A sweep, and the store that it fills when nothing happens."""

    words: tuple[str, ...]
    points: int
    environment: dict[str, str]
    reference: Path


CASES = [
    pytest.param((NAP, 60, "0.02"), id="nap"),
    pytest.param((NOISE, 120, "0"), id="effective noise", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    words, total, nap = request.param
    folder = tmp_path_factory.mktemp("reference")
    # one compilation serves all tests
    environment = {"COUNTED_NAP": nap, "XDG_CACHE_HOME": str(folder / "cache")}
    bench, store = Bench(folder, **environment), folder / "store"
    try:
        told = bench.sweep([*words, *TWO], store).finish()
        assert counted(told) == {"points": total, "computed": total, "found": 0, "failed": 0}
        assert set(bench.counts().values()) == {1}
        assert {f"{name}.nc" for name in bench.counts()} == set(points(store))
        yield Case(words, total, environment, store)
    finally:
        bench.end()


def counted(told: str) -> dict[str, int]:
    """What a sweep says that it did."""
    return {name: int(number) for name, number in map(str.split, told.splitlines()[:4])}


@pytest.fixture
def bench(case: Case, tmp_path: Path) -> Iterator[Bench]:
    """A bench on which nothing is left running by the end of a test."""
    bench = Bench(tmp_path, **case.environment)
    try:
        yield bench
        assert until(lambda: not bench.descendants(), 20), [process.cmdline() for process in bench.descendants()]
    finally:
        bench.end()


def middle(case: Case, command: Command, store: Path) -> None:
    """Until a sweep is in its middle: a quarter of the points is there."""
    assert until(lambda: len(points(store)) >= case.points // 4, 300), command.err.read_text()
    assert command.process.poll() is None


@pytest.mark.slow
def test_a_worker_is_killed(case: Case, bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = bench.sweep([*case.words, *TWO], store)
    middle(case, command, store)
    victim = bench.computations()[-1].pid
    os.kill(victim, 9)
    told = counted(command.finish())
    # what the dead worker had written and not reported is found
    assert told["computed"] + told["found"] == told["points"] == case.points
    same(store, case.reference)
    log = bench.computations()
    assert not any(line.stored for line in log)
    # what was begun a second time is what the dead worker was at
    assert {point for point, count in bench.counts().items() if count > 1} <= {line.point for line in log if line.pid == victim}


@pytest.mark.slow
def test_scheduler_and_client_are_killed(case: Case, bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = bench.sweep([*case.words, *TWO], store)
    middle(case, command, store)
    command.kill()
    assert until(lambda: not bench.descendants(), 20)
    safe = set(points(store))
    assert 0 < len(safe) < case.points
    before = len(bench.computations())
    # files that were being written are left alone while they may belong to somebody, and not for ever
    abandoned = store / f".{next(iter(safe))}.abandoned.tmp"
    abandoned.write_bytes(b"half a point")
    for path in store.glob(".*.tmp"):
        os.utime(path, (time.time() - 7200,) * 2)
    told = counted(bench.sweep([*case.words, *TWO], store).finish())
    assert told == {"points": case.points, "computed": case.points - len(safe), "found": len(safe), "failed": 0}
    same(store, case.reference)
    assert not list(store.glob(".*"))
    assert {path.name for path in bench.scratch.rglob("*")} <= {"dask-scratch-space", "global.lock", "purge.lock"}
    again = bench.computations()[before:]
    assert not any(line.stored for line in again)
    assert {f"{line.point}.nc" for line in again} == set(points(store)) - safe
    assert len(again) == case.points - len(safe)


@pytest.mark.slow
def test_files_are_damaged_and_strangers_are_put_in(case: Case, bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(case.reference, store)
    truncated, flipped, swapped, other = list(points(store).values())[:4]
    truncated.write_bytes(truncated.read_bytes()[:-1000])
    data = bytearray(flipped.read_bytes())
    place = len(data) // 2
    data[place : place + 8] = bytes(byte ^ 0xFF for byte in data[place : place + 8])
    flipped.write_bytes(data)
    shutil.copyfile(other, swapped)
    (store / "stranger.nc").write_text("no netCDF file")
    qd.save(naming("os.system"), store / "system.nc")
    qd.save(naming("trap_module.Model"), store / "trap.nc")
    odd = {path.name: path.read_bytes() for path in (truncated, flipped, swapped, *store.glob("s*.nc"), *store.glob("t*.nc"))}
    assert len(odd) == 6
    command = bench.sweep([*case.words, *TWO], store)
    assert counted(command.finish()) == {"points": case.points, "computed": 3, "found": case.points - 3, "failed": 0}
    same(store, case.reference)
    assert {path.name: path.read_bytes() for path in (store / "aside").iterdir()} == odd
    told = command.err.read_text()
    assert all(f"set aside as {store / 'aside' / name}" in told for name in odd), told
    assert bench.counts() == {path.stem: 1 for path in (truncated, flipped, swapped)}
    assert not bench.sprung.exists()


def naming(name: str) -> xr.Dataset:
    """A file that looks like a point and names a class."""
    record = {"study": "counted-nap", "parameters": {"x": {"class": name, "command": "touch sprung"}}}
    return xr.Dataset({"x": 1.0}, attrs={"provenance": json.dumps(record)})


@pytest.mark.slow
def test_a_cluster_started_by_hand_fills_the_same_store(case: Case, bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with cluster(bench, store) as (address, _):
        told = counted(bench.sweep([*case.words, "--scheduler", address], store).finish())
    assert told == {"points": case.points, "computed": case.points, "found": 0, "failed": 0}
    same(store, case.reference)
    assert set(bench.counts().values()) == {1}
    assert len({line.pid for line in bench.computations()}) == 2


@pytest.mark.slow
def test_the_scheduler_of_a_cluster_is_killed(case: Case, bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with cluster(bench, store) as (address, (scheduler, *_)):
        command = bench.sweep([*case.words, "--scheduler", address], store)
        middle(case, command, store)
        scheduler.kill()
        command.finish(status=1)
    last = command.err.read_text().splitlines()[-1]
    assert f"quenched: the scheduler {address} is gone" in last
    assert "the same command continues" in last
    safe = set(points(store))
    before = len(bench.computations())
    with cluster(bench, store) as (address, _):
        told = counted(bench.sweep([*case.words, "--scheduler", address], store).finish())
    assert told == {"points": case.points, "computed": case.points - len(safe), "found": len(safe), "failed": 0}
    same(store, case.reference)
    again = bench.computations()[before:]
    assert {f"{line.point}.nc" for line in again} == set(points(store)) - safe
    assert len(again) == case.points - len(safe)


@pytest.mark.slow
def test_the_scheduler_goes_while_an_answer_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def result(self: Future, timeout: float | None = None) -> None:
        raise CommClosedError("in <TCP (closed) ConnectionPool.gather>: Connection reset by peer")

    monkeypatch.setattr(Future, "result", result)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as client,
        pytest.raises(ClusterLostError, match=r"^the scheduler inproc://.* is gone; 0 of 2 points are safe"),
    ):
        sweep(Ramp(), {"x": [1.0, 2.0]}, store=tmp_path / "store", scheduler=client)


@pytest.mark.slow
def test_two_clients_fill_one_store(case: Case, bench: Bench, tmp_path: Path, record_property) -> None:
    store = tmp_path / "store"
    commands = [bench.sweep([*case.words, *TWO], store) for _ in range(2)]
    for command in commands:
        told = counted(command.finish())
        assert told["computed"] + told["found"] == told["points"] == case.points
        assert "Warning" not in command.err.read_text()
    same(store, case.reference)
    twice = sum(bench.counts().values()) - case.points
    record_property("begun twice", twice)
    print(f"{twice} of {case.points} points were begun twice")
    # what is finished is not begun again: at most the points that are in work at the same moment
    assert not any(line.stored for line in bench.computations())


class Disk(NamedTuple):
    """A folder with little room, and what it takes to make room."""

    folder: Path
    environment: dict[str, str]
    make_room: Callable[[], object]


@pytest.fixture(params=["file system", pytest.param("quota", marks=pytest.mark.slow)])
def small_disk(request: pytest.FixtureRequest, case: Case, tmp_path: Path) -> Iterator[Disk]:
    """Room for a quarter of the points: on a file system of its own, or by a quota that is simulated at the write call."""
    room = sum(path.stat().st_size for path in points(case.reference).values()) // 4
    folder, quota = tmp_path / "disk", tmp_path / "quota"
    folder.mkdir()
    if request.param == "quota":
        quota.write_text(str(room))
        yield Disk(folder, {"COUNTED_QUOTA": str(quota)}, lambda: quota.write_text(str(100 * room)))
        return
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(folder).free - room))
        yield Disk(folder, {}, ballast.unlink)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_is_full(case: Case, bench: Bench, small_disk: Disk) -> None:
    store = small_disk.folder / "store"
    command = bench.sweep([*case.words, *TWO], store, **small_disk.environment)
    command.finish(status=1)
    safe = set(points(store))
    assert 0 < len(safe) < case.points
    last = command.err.read_text().splitlines()[-1]
    line = rf"quenched: the store {store} is full: no room for \d+ bytes; the (\d+) points in it are safe; make room and run .*"
    found = re.fullmatch(line, last)
    assert found, last
    # the other worker may have finished one more
    assert len(safe) - 1 <= int(found[1]) <= len(safe)
    assert qd.open(store, consent=True).load().attrs["points"] == len(safe)
    assert not rest(store)
    small_disk.make_room()
    told = counted(bench.sweep([*case.words, *TWO], store, **small_disk.environment).finish())
    assert told == {"points": case.points, "computed": case.points - len(safe), "found": len(safe), "failed": 0}
    same(store, case.reference)
