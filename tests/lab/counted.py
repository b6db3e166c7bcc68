"""Studies that count how often they are computed, and the commands that compute them and are killed.

Every computation appends a line to the file that ``COUNTED_LOG`` names: the point, the process, the time, and whether a file of
the point stood in the store ``COUNTED_STORE`` when the computation began.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.lab.toy import install

COUNT = '''
import json
import os
import time
from pathlib import Path


def count(points):
    """One line per point, in one write: lines of several processes do not mix."""
    lines = []
    for study, seed in dict.fromkeys(points):
        name = study.fingerprint(seed)
        stored = (Path(os.environ["COUNTED_STORE"]) / f"{name}.nc").exists()
        lines.append(json.dumps({"point": name, "pid": os.getpid(), "time": time.time(), "stored": stored}))
    handle = os.open(os.environ["COUNTED_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, ("\\n".join(lines) + "\\n").encode())
    os.close(handle)
'''

QUOTA = '''
"""Where COUNTED_QUOTA names a file with a number of bytes, the store has no room for more."""

import errno
import os
from pathlib import Path

write_bytes = Path.write_bytes


def size(entry):
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # a temporary file that has just got its name
        return 0


def within_quota(path, data):
    quota = int(Path(os.environ["COUNTED_QUOTA"]).read_text())
    used = sum(size(entry) for entry in os.scandir(os.environ["COUNTED_STORE"]))
    write_bytes(path, data[: max(0, quota - used)])
    if used + len(data) > quota:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))
    return len(data)


if "COUNTED_QUOTA" in os.environ:
    Path.write_bytes = within_quota
'''

NAP = '''
from __future__ import annotations

import dataclasses
import os
import time
from typing import ClassVar

import numpy as np
import xarray as xr

from counted.count import count
from quenched.studies import Study


@dataclasses.dataclass(frozen=True)
class Nap(Study):
    """Sleeps as long as COUNTED_NAP says, and answers with a few numbers of every kind."""

    name: ClassVar[str] = "counted-nap"
    title: ClassVar[str] = "A nap"
    paper: ClassVar[str] = "none"

    x: float = 0.0
    y: float = 0.0

    def run(self, seed=0, progress=False):
        count([(self, seed)])
        time.sleep(float(os.environ.get("COUNTED_NAP", "0")))
        return super().run(seed, progress)

    def experiment(self, seed, progress):
        noise = np.random.default_rng(seed).normal(size=(4, 20)).astype(np.float32)
        noise[0, 0] = np.nan
        height = (("replica", "t"), self.x * noise + self.y, {"units": "m"})
        return xr.Dataset({"height": height, "mode": "up"}, {"t": 0.1 * np.arange(20)}, {"steps": 20})

    def summary(self, tree):
        return xr.Dataset({"height": self.x + self.y, "count": 3})
'''

NOISE = '''
from __future__ import annotations

import dataclasses
from typing import ClassVar

from counted.count import count
from quenched.studies.effective_noise.study import EffectiveNoise


@dataclasses.dataclass(frozen=True)
class Noise(EffectiveNoise):
    """The effective noise, counted, whether points are computed alone or together."""

    name: ClassVar[str] = "counted-noise"
    title: ClassVar[str] = "Effective noise, counted"

    def run(self, seed=0, progress=False):
        count([(self, seed)])
        return super().run(seed, progress)

    def together(self):
        alike = super().together()
        if alike is None:
            return None

        def compute(studies, seeds):
            count(zip(studies, seeds, strict=True))
            return alike.compute(studies, seeds)

        return dataclasses.replace(alike, compute=compute)
'''

FILES = {"__init__.py": QUOTA, "count.py": COUNT, "nap.py": NAP, "noise.py": NOISE}
ENTRY_POINTS = "[quenched.studies]\ncounted-nap = counted.nap:Nap\ncounted-noise = counted.noise:Noise\n"

# a module whose import leaves a trace on the disk
TRAP = "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\nclass Model: pass\n"


class Computation(NamedTuple):
    """A line of the log: the point, the process that began to compute it, when, and whether the point had a file already."""

    point: str
    pid: int
    time: float
    stored: bool


class Command(NamedTuple):
    """A command that was started, and the files that take its output and its errors."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def finish(self, status: int = 0, seconds: float = 600.0) -> str:
        """Wait for its end, which has to be with this status; what it printed."""
        code = self.process.wait(seconds)
        assert code == status, (code, self.out.read_text(), self.err.read_text())
        return self.out.read_text()

    def kill(self) -> None:
        """SIGKILL to this process alone: nothing is told to its children."""
        self.process.kill()
        self.process.wait()


class Bench:
    """A folder with the counted studies installed, where commands run and are killed.

    Every process that descends from a command carries the variable ``COUNTED_LOG``, by which it is found again.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.log = folder, folder / "log"
        site = install(folder / "site", "counted", FILES, ENTRY_POINTS)
        (site / "trap_module.py").write_text(TRAP, encoding="utf-8")
        self.sprung = site / "sprung"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
            "PYTHONWARNINGS": "default",
            "TMPDIR": str(self.scratch),
            "COUNTED_LOG": str(self.log),
            "COUNTED_STORE": str(folder),
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(folder / "cache"),
            **environment,
        }

    def start(self, *words: str, store: Path | None = None, **environment: str) -> Command:
        """``python -m WORDS`` in a process of its own."""
        counted = {} if store is None else {"COUNTED_STORE": str(store)}
        number = len(list(self.folder.glob("*.out")))
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        # files, not pipes: orphans would keep a pipe open
        with out.open("w") as output, err.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env={**self.environment, **counted, **environment},
                cwd=self.folder,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        return Command(process, out, err)

    def sweep(self, words: Sequence[str], store: Path, **environment: str) -> Command:
        """``quenched sweep WORDS --store STORE``."""
        return self.start("quenched", "sweep", *words, "--store", str(store), store=store, **environment)

    def computations(self) -> list[Computation]:
        """The log; a line that is just being written is left out."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [Computation(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]

    def counts(self) -> Counter[str]:
        """How often every point was begun."""
        return Counter(line.point for line in self.computations())

    def descendants(self) -> list[psutil.Process]:
        """Every running process that descends from a command of this bench."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("COUNTED_LOG") == str(self.log) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self) -> None:
        """Kill whatever is left."""
        for process in self.descendants():
            with contextlib.suppress(psutil.Error):
                process.kill()


def until(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait until a condition holds; whether it ever did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def cluster(bench: Bench, store: Path) -> Iterator[tuple[str, list[Command]]]:
    """A cluster started by hand: ``dask scheduler`` and ``dask worker``, which has two processes. Its address, its commands."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    commands = [bench.start("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    two = ["dask", "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    # as docs/sweep.md advises: what is compiled is kept
    cache = {
        "JAX_COMPILATION_CACHE_DIR": f"{bench.environment['XDG_CACHE_HOME']}/quenched/compiled",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    commands.append(bench.start(*two, "--local-directory", str(bench.scratch), store=store, **cache))
    try:
        yield address, commands
    finally:
        for command in reversed(commands):
            command.process.terminate()
        for command in commands:
            command.process.wait(60)
