"""A store after accidents: damaged and hostile files, a full disk, two processes at once."""

from __future__ import annotations

import errno
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from quenched.lab.store import Store, StoreFullError
from quenched.numerics.checks import QuenchedWarning
from quenched.records import canonical_json, files, save
from tests.lab.ramp import Ramp, contents, put

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "points")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-10],
        lambda data: b"",
        lambda data: b"not a netCDF file",
        lambda data: data.replace(np.float64(2.0).tobytes(), np.float64(2.5).tobytes(), 1),
    ],
    ids=["half", "end", "empty", "text", "one value"],
)
def test_a_damaged_file_is_set_aside_and_made_again(store: Store, damage) -> None:
    path = put(store, Ramp())
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.warns(QuenchedWarning, match=rf"set aside as .*aside/{path.name}: .*{path.name} is damaged"):
        assert store.look_up(Ramp(), 0) is None
    assert (store.folder / "aside" / path.name).read_bytes() == damaged
    put(store, Ramp())
    assert store.sound(Ramp(), 0)


def test_what_was_set_aside_before_stays(store: Store) -> None:
    for text in ("first", "second", "third"):
        path = put(store, Ramp())
        path.write_text(text)
        with pytest.warns(QuenchedWarning, match="set aside"):
            assert not store.sound(Ramp(), 0)
    stem = Ramp().fingerprint(0)
    kept = {name: data.decode() for name, data in contents(store.folder / "aside").items()}
    assert kept == {f"{stem}.nc": "first", f"{stem}.1.nc": "second", f"{stem}.2.nc": "third"}


def test_another_points_file_under_the_name_is_set_aside(store: Store) -> None:
    other = put(store, Ramp(x=2.0))
    other.rename(store.path(Ramp(), 0))
    with pytest.warns(QuenchedWarning, match="not the point that its name says"):
        assert store.look_up(Ramp(), 0) is None
    assert list((store.folder / "aside").iterdir()) == [store.folder / "aside" / store.path(Ramp(), 0).name]


def hostile(store: Store, name: str) -> Path:
    """A sealed file that names what must never be imported or called."""
    record = Ramp().provenance(0)
    record["parameters"]["model"] = {"class": "os.system", "command": "true"}
    record["parameters"]["rule"] = {"class": "antigravity.Rule"}
    store.folder.mkdir(exist_ok=True)
    return save(xr.Dataset(attrs={"provenance": canonical_json(record)}), store.folder / name)


def test_a_hostile_file_is_set_aside_and_nothing_is_imported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr(os, "system", lambda *_: ran.append(1))
    hostile(store, store.path(Ramp(), 0).name)
    with pytest.warns(QuenchedWarning, match="not the point that its name says"):
        assert store.look_up(Ramp(), 0) is None
    hostile(store, "any.nc")
    with pytest.warns(QuenchedWarning, match="not the point that its name says"):
        assert [path.name for path in store.tidy()] == ["any.nc"]
    assert ran == []
    assert "antigravity" not in sys.modules


def test_a_sound_file_that_arrives_meanwhile_is_not_set_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the damaged point again between our reading it and our moving it."""
    path = put(store, Ramp())
    good = path.read_bytes()
    path.write_text("damaged")
    seal = files.sealed

    def slow(path: Path) -> bool | None:
        answer = seal(path)
        if not answer:
            (path.parent / "new").write_bytes(good)
            os.replace(path.parent / "new", path)
        return answer

    monkeypatch.setattr(files, "sealed", slow)
    assert store.sound(Ramp(), 0)
    assert set(store.folder.iterdir()) == {path}


def full_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write_bytes(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("failed", [False, True])
def test_a_full_disk_says_what_to_do_and_leaves_the_store_readable(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, failed: bool
) -> None:
    put(store, Ramp(x=1.0))
    store.put_failure(Ramp(x=9.0), 0, ValueError("no"))
    before = contents(store.folder)
    with monkeypatch.context() as patch:
        full_disk(patch, number)
        line = r"^the store .*points is full: no room for \d+ bytes; the 1 points in it are safe; make room and run .* again$"
        with pytest.raises(StoreFullError, match=line) as caught:
            store.put_failure(Ramp(x=2.0), 0, ValueError("no")) if failed else put(store, Ramp(x=2.0))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert contents(store.folder) == before
    assert store.sound(Ramp(x=1.0), 0)
    put(store, Ramp(x=2.0))
    assert store.sound(Ramp(x=2.0), 0)


def test_other_errors_of_the_system_stay_what_they_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output") as caught:
        put(store, Ramp())
    assert not isinstance(caught.value, StoreFullError)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small filesystem cannot be mounted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = Store(small_disk / "points")
    written: list[int] = []

    def fill_up() -> None:
        for seed in range(100):
            put(store, Ramp(steps=100), seed)
            written.append(seed)

    with pytest.raises(StoreFullError, match=r"no room for \d+ bytes") as caught:
        fill_up()
    assert written
    assert f"the {len(written)} points in it are safe" in str(caught.value)
    assert all(store.sound(Ramp(steps=100), seed) for seed in written)
    assert all(re.fullmatch(r"[0-9a-f]{32}\.nc", path.name) for path in store.folder.iterdir())
    store.path(Ramp(steps=100), 0).unlink()
    put(store, Ramp(steps=100), len(written))
    assert store.sound(Ramp(steps=100), len(written))


WRITER = """\
import sys
from quenched.lab.store import Store
from tests.lab.ramp import Ramp, contents, put

store, first = Store(sys.argv[1]), int(sys.argv[2])
trees = [Ramp(x=float(x)).run(0) for x in range(first, first + 10)]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    for tree in trees:
        store.put(tree)
"""


def test_two_processes_write_the_same_and_different_points(store: Store) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.folder), first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for first in ("0", "5")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        for x in range(15):
            store.sound(Ramp(x=float(x)), 0)  # would warn if it saw half a file
    for writer in writers:
        assert writer.communicate()[1] == ""
        assert writer.returncode == 0
    assert {path.name for path in store.folder.iterdir()} == {f"{Ramp(x=float(x)).fingerprint(0)}.nc" for x in range(15)}
    for x in range(15):
        found = store.look_up(Ramp(x=float(x)), 0)
        assert found is not None
        assert found.identical(Ramp(x=float(x)).run(0))
