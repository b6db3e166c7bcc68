"""A sweep: what it computes, finds, refuses and survives. Most tests run in threads of this process, some in real workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

from quenched.data import Arrays
from quenched.lab import cluster, dispatch, process
from quenched.lab.grid import Point, axes_of, points
from quenched.lab.store import Store, StoreFullError
from quenched.lab.sweep import SweepInterrupted, cut, sweep
from quenched.models import SingleLayerData
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.records.files import load
from tests.lab.sweep_toy import Batched, Process, Toy, install_toy

ROOT = Path(__file__).parents[2]
LONG = 24
"""Points of a sweep that is to be interrupted: enough that it cannot end before, on a slow machine either."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def done(log: Path) -> list[str]:
    """What was computed, in no particular order."""
    return sorted(log.read_text().splitlines()) if log.exists() else []


def names(store: Path) -> set[str]:
    return {path.name for path in store.iterdir()}


# ---- points and files


def test_every_point_is_a_file(threads: Client, tmp_path: Path) -> None:
    swept = sweep(Toy(), {"x": "1:2:3", "flag": [True, False]}, seeds=2, seed=7, store=tmp_path / "s", scheduler=threads)
    assert (swept.points, swept.computed, swept.found, swept.failed) == (12, 12, 0, [])
    expected = {f"{Toy(x=x, flag=f).fingerprint(s)}.nc" for x in (1.0, 1.5, 2.0) for f in (True, False) for s in (7, 8)}
    assert names(tmp_path / "s") == expected
    tree = swept.store.look_up(Toy(x=1.5), 8)
    assert tree is not None
    xr.testing.assert_identical(tree["experiment"].to_dataset(inherit=False), Toy(x=1.5).answer(8))


def test_what_is_in_the_store_is_found(threads: Client, tmp_path: Path, log: Path) -> None:
    first = sweep(Toy(log=str(log)), {"x": [1, 2]}, store=tmp_path / "s", scheduler=threads)
    second = sweep(Toy(log=str(log)), {"x": [1, 2, 3]}, store=tmp_path / "s", scheduler=threads)
    assert (first.computed, second.computed, second.found) == (2, 1, 2)
    assert done(log) == ["1.0 0", "2.0 0", "3.0 0"]


def test_nothing_to_do_starts_no_worker(threads: Client, tmp_path: Path) -> None:
    sweep(Toy(), {"x": [1, 2]}, store=tmp_path / "s", scheduler=threads)
    # there is no scheduler at this address, and nobody asks it
    swept = sweep(Toy(), {"x": [1, 2]}, store=tmp_path / "s", scheduler="tcp://127.0.0.1:1")
    assert (swept.computed, swept.found) == (0, 2)


def test_a_worker_looks_once_more(threads: Client, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another client has finished a point after this one looked."""
    study, store = Toy(log=str(log)), Store(tmp_path / "s")
    check = dispatch.check_workers

    def meanwhile(*arguments: Any) -> None:
        check(*arguments)
        store.put(Toy(x=2.0, log=str(log)).run(0))

    monkeypatch.setattr("quenched.lab.sweep.check_workers", meanwhile)
    swept = sweep(study, {"x": [1, 2]}, store=store, scheduler=threads)
    assert (swept.computed, swept.found) == (1, 1)
    assert done(log) == ["1.0 0", "2.0 0"]


def test_the_order_of_work_differs_and_the_files_do_not(threads: Client, tmp_path: Path, log: Path) -> None:
    for name in ("a", "b"):
        sweep(Toy(log=str(log)), {"x": "1:2:12"}, store=tmp_path / name, scheduler=threads)
    order = log.read_text().splitlines()
    # two shuffles of twelve agree once in 5e8 times
    assert order[:12] != order[12:]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_study_may_hold_arrays(threads: Client, tmp_path: Path) -> None:
    """Also large ones, about which dask would warn."""
    x = np.ones((200_000, 10))
    data = SingleLayerData(data=Arrays(x, np.where(np.arange(len(x)) % 2, 1.0, -1.0)))
    swept = sweep(Toy(model=data), {"x": [1, 2]}, store=tmp_path / "s", scheduler=threads)
    assert (swept.computed, swept.failed) == (2, [])


# ---- failures


def test_a_failed_point_is_kept_and_the_others_go_on(threads: Client, tmp_path: Path) -> None:
    swept = sweep(Toy(), {"mode": ["bug", "", "diverge", "exit"]}, store=tmp_path / "s", scheduler=threads)
    assert (swept.points, swept.computed) == (4, 1)
    told = [(failure.kind, failure.message, failure.deterministic) for failure in swept.failed]
    assert told == [
        ("RuntimeError", "a bug\nin two lines", False),
        ("DivergenceError", "norm is not finite at step 3", True),
        ("SystemExit", "3", False),
    ]
    assert [failure.parameters["mode"] for failure in Store(tmp_path / "s").failures()] != []
    assert len(Store(tmp_path / "s").failures()) == 3


def test_a_failure_that_would_come_again_is_tried_again_on_request(threads: Client, tmp_path: Path, log: Path) -> None:
    def go(retry: bool) -> list[str]:
        swept = sweep(Toy(log=str(log)), {"mode": ["bug", "diverge"]}, store=tmp_path / "s", scheduler=threads, retry=retry)
        assert sorted(failure.kind for failure in swept.failed) == ["DivergenceError", "RuntimeError"]
        found = done(log)
        log.unlink()
        return found

    assert [len(go(retry)) for retry in (False, False, True)] == [2, 1, 2]


def test_a_full_disk_ends_the_sweep(threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, tree: xr.DataTree) -> Path:
        raise StoreFullError("the store s is full")

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(StoreFullError, match="the store s is full"):
        sweep(Toy(), {"x": [1, 2]}, store=tmp_path / "s", scheduler=threads)
    assert names(tmp_path / "s") == set()


@pytest.mark.slow
def test_an_interrupt_says_what_is_safe(threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = dispatch._answer
    seen: list[Any] = []

    def interrupted(*arguments: Any) -> Any:
        seen.append(answer(*arguments))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return seen[-1]

    monkeypatch.setattr(dispatch, "_answer", interrupted)
    store = tmp_path / "s"
    with pytest.raises(SweepInterrupted, match=rf"interrupted; \d+ of 60 points are safe in {store}, and the same command"):
        sweep(Toy(), {"x": "1:2:60"}, store=store, scheduler=threads)
    monkeypatch.undo()
    safe = len(names(store))
    swept = sweep(Toy(), {"x": "1:2:60"}, store=store, scheduler=threads)
    assert swept.computed + swept.found == len(names(store)) == 60
    assert swept.found >= safe >= 3


# ---- batches


def test_batches_are_cut_from_the_whole_grid() -> None:
    grid = points(Batched(), axes_of({"x": "1:4:4", "shape": [1, 2]}), [0])
    found = [[(point.study.x, point.study.shape) for point in batch] for batch in cut(grid)]  # type: ignore[attr-defined]
    assert found == [[(1, 1), (2, 1), (3, 1)], [(1, 2), (2, 2), (3, 2)], [(4, 1)], [(4, 2)]]
    assert cut([Point(Toy(), seed) for seed in (0, 1)]) == [[Point(Toy(), 0)], [Point(Toy(), 1)]]


def test_a_batch_is_filled_up_and_finished_points_are_left_out(threads: Client, tmp_path: Path, log: Path) -> None:
    study, over = Batched(log=str(log)), {"x": "1:4:4"}
    swept = sweep(study, over, store=tmp_path / "s", scheduler=threads)
    assert swept.computed == 4
    assert done(log) == ["1 2 3", "4 4 4"]
    log.unlink()
    swept.store.path(Batched(x=2.0, log=str(log)), 0).unlink()
    assert sweep(study, over, store=tmp_path / "s", scheduler=threads).computed == 1
    assert done(log) == ["2 2 2"]


def test_a_batch_that_fails_is_computed_point_by_point(threads: Client, tmp_path: Path, log: Path) -> None:
    swept = sweep(Batched(log=str(log), bad=2.0), {"x": "1:3:3"}, store=tmp_path / "s", scheduler=threads)
    assert (swept.computed, [failure.parameters["x"] for failure in swept.failed]) == (2, [2.0])
    assert done(log) == ["1 1 1", "1 2 3", "2 2 2", "3 3 3"]


# ---- what is refused before any work


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over": {"x": [1, "y"]}}, "at the point x=y: x must be a finite number"),
        ({"over": {"model.alpha": [1, -1]}}, "at the point model.alpha=-1: alpha must be > 0"),
        ({"over": {"nope": [1]}}, "there is no parameter nope"),
        ({"over": {}, "seeds": 0}, "seeds must be an integer >= 1, got 0"),
        ({"over": {}, "seed": -1}, "seed must be an integer with 0 <= seed"),
        ({"over": {}, "seed": 2**32 - 1, "seeds": 2}, "seed must be an integer with 0 <= seed"),
        ({"over": {}, "workers": 0}, "workers must be an integer >= 1, got 0"),
        ({"over": {}, "workers": 2, "scheduler": "tcp://x:1"}, "workers must not be given with a scheduler"),
        ({"over": {}, "scheduler": "nonsense"}, "scheduler must be the address of a running dask scheduler, got nonsense"),
        ({"over": {}, "scheduler": "tcp://127.0.0.1:1"}, "scheduler must be the address of a running dask scheduler"),
    ],
)
def test_bad_input_is_refused(
    arguments: dict[str, Any], message: str, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(ParameterError, match=message):
        sweep(Toy(log=str(log)), **{"store": tmp_path / "s", **arguments})
    assert done(log) == []
    assert not (tmp_path / "s").exists() or names(tmp_path / "s") == set()


def test_a_store_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="store must be a folder"):
        sweep(Toy(), {}, store=tmp_path / "file")
    with pytest.raises(ParameterError, match=r"store must be a folder, but .*file is a file"):
        sweep(Toy(), {}, store=tmp_path / "file" / "inside")


def test_workers_that_do_not_see_the_store_are_refused(
    threads: Client, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(path: str, study: Toy) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(dispatch, "look", blind)
    with pytest.raises(ParameterError, match=r"workers must read and write the store .*does not: FileNotFoundError"):
        sweep(Toy(log=str(log)), {}, store=tmp_path / "s", scheduler=threads)
    assert done(log) == []
    assert names(tmp_path / "s") == set()


def test_other_versions_are_announced(threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = dispatch.versions()
    monkeypatch.setattr(dispatch, "versions", lambda: here | {"jax": "0.0.1"})
    with pytest.warns(QuenchedWarning, match=rf"workers differ from this process: jax {here['jax']} \(here 0.0.1\)"):
        sweep(Toy(), {}, store=tmp_path / "s", scheduler=threads)


# ---- processes

cores = st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True).map(lambda found: tuple(sorted(found)))


@given(cores=cores, count=st.integers(1, 60))
def test_shares_of_cores(cores: tuple[int, ...], count: int) -> None:
    found = process.shares(cores, count)
    assert len(found) == count
    assert all(share and set(share) <= set(cores) for share in found)
    if count <= len(cores):
        assert sorted(core for share in found for core in share) == list(cores)
        assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_workers_are_pinned_and_keep_compiled_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in process.environment():
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with pytest.warns(QuenchedWarning, match="the step is large"):
        swept = sweep(Process(), {"x": "1:6:6"}, store=tmp_path / "s", workers=2)
    assert swept.computed == 6
    assert dict(os.environ) == before
    told = [load(path, consent=True)["experiment"].attrs for path in (tmp_path / "s").iterdir()]
    pinned = {int(attributes["pid"]): frozenset(attributes["cores"].ravel().tolist()) for attributes in told}
    assert len(pinned) == 2
    assert set(pinned.values()) == set(map(frozenset, process.shares(process.allowed_cores(), 2)))
    for attributes in told:
        assert attributes["MPLBACKEND"] == "Agg"
        assert attributes["JAX_COMPILATION_CACHE_DIR"] == attributes["cache"] == str(tmp_path / "cache" / "quenched" / "compiled")
        assert attributes["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process that knows the toy study."""
    folder = tmp_path / "site"
    if not folder.exists():
        install_toy(folder)
    paths = os.pathsep.join([str(ROOT), str(folder), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def started(tmp_path: Path) -> tuple[subprocess.Popen[str], Path, dict[str, Any]]:
    """A sweep in a process group of its own that has stored its first point, its store, and how to start it again."""
    words = ["sweep", "toy-point", "--over", f"x=1:2:{LONG}", "--wait", "0.5", "--workers", "2"]
    command = {"args": [sys.executable, "-m", "quenched", *words], "cwd": tmp_path, "env": environment(tmp_path), "text": True}
    store = tmp_path / "stores" / "toy-point"
    running = subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    while not (store.is_dir() and any(path.suffix == ".nc" for path in store.iterdir())):
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    return running, store, command


def unhurried(err: str) -> list[str]:
    """Lines without those of the progress, which come on a slow machine."""
    return [line for line in err.splitlines() if not line.startswith("sweep ")]


def ends(running: subprocess.Popen[str], interrupt: Callable[[int, int], None]) -> None:
    """With one line and the status of an interrupt, and nothing that it started is left."""
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) >= 2
    interrupt(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    (line,) = unhurried(err)
    assert re.fullmatch(
        r"quenched: interrupted; \d+ of 24 points are safe in stores/toy-point, and the same command continues", line
    )
    assert psutil.wait_procs(family, timeout=10)[1] == []


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_the_same_command_continues(tmp_path: Path) -> None:
    running, store, command = started(tmp_path)
    ends(running, os.killpg)
    finished = subprocess.run(**command, capture_output=True, check=False)
    assert finished.returncode == 0
    assert unhurried(finished.stderr) == []
    told = dict(line.split() for line in finished.stdout.splitlines()[:4])
    assert int(told["computed"]) + int(told["found"]) == int(told["points"]) == LONG
    assert int(told["found"]) >= 1
    assert len(names(store)) == LONG


@pytest.mark.slow
def test_an_interrupt_of_the_client_alone_ends_its_workers_too(tmp_path: Path) -> None:
    running, _, _ = started(tmp_path)
    ends(running, os.kill)


SCRIPT = """
import json
from quenched.lab.sweep import sweep
from tests.lab.sweep_toy import Toy

print("the script runs")
swept = sweep(Toy(), {"x": [1, 2]}, store="s", workers=1)
print(json.dumps([swept.points, swept.computed]))
"""


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error::RuntimeWarning", "script.py"]
    found = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    first, second = found.stdout.splitlines()
    assert (first, json.loads(second)) == ("the script runs", [2, 2])


@pytest.mark.slow
def test_a_point_that_kills_its_workers_fails_alone(tmp_path: Path) -> None:
    swept = sweep(Toy(), {"mode": ["", "die"], "x": [1, 2]}, store=tmp_path / "s", workers=1)
    assert swept.computed + swept.found == 2
    assert [(failure.kind, failure.deterministic) for failure in swept.failed] == [("WorkerDiedError", False)] * 2
