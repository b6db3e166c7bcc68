"""A run killed with SIGKILL goes on from its checkpoint and ends in the same numbers, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.numerics.checks import ParameterError
from quenched.records import DamagedFileError

ROOT = Path(__file__).resolve().parents[1]

# everything that a state can hold: random batches, thermal noise, momentum, replicas that stop, streaming averages, snapshots
RUN = """
import sys
import quenched as qd
from quenched.dynamics.stops import LossBelow

def run(**options):
    start = qd.models.GaussianStart(variance=1.0)
    model = qd.models.GaussianMixture(alpha=0.5, noise=0.5, loss=qd.losses.QuadraticHinge(), start=start)
    rule = qd.dynamics.Gradient(
        lr=0.1, batches=qd.dynamics.Persistent(0.5, 0.7), transform=qd.dynamics.Momentum(0.5), temperature=1e-9
    )
    return qd.simulate(
        model, rule, steps=6000, size=40, replicas=2, disorder=24, block=2, seed=9, share_start=True, two_time=True,
        record_weights=True, times=[0, 3, 50, 700, 1300, 2000, 6000], stop=LossBelow(1e-6), chunk=8,
        accumulators=[qd.observables.MeanSquareDisplacement((5, 900), (1, 1000)), qd.observables.WeightMoments(10)],
        final={"gap": qd.observables.gaps.sample_gaps}, on_divergence="record", **options,
    )
"""
SCRIPT = RUN + "\nqd.save(run(checkpoint=sys.argv[1]), sys.argv[2])\n"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    # one compilation serves all processes
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=ROOT,
        env={**os.environ, **cache},
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after_a_checkpoint(process: subprocess.Popen[str], checkpoint: Path, writes: int) -> None:
    """SIGKILL once the file has been replaced ``writes`` times."""
    seen: set[tuple[int, int]] = set()
    deadline = time.monotonic() + 240
    while len(seen) < writes and process.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists():
            status = checkpoint.stat()
            seen.add((status.st_ino, status.st_mtime_ns))
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def finished(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


def equal(a: xr.Dataset, b: xr.Dataset) -> None:
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        assert a[name].dtype == b[name].dtype, name
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
    assert a.attrs == b.attrs


@pytest.mark.slow
def test_kill_9_and_resume(tmp_path: Path) -> None:
    finished(start(tmp_path, str(tmp_path / "whole.npz"), str(tmp_path / "whole.nc")))
    checkpoint = tmp_path / "killed.npz"
    killed = 0
    for writes in (2, 6):
        process = start(tmp_path, str(checkpoint), str(tmp_path / "resumed.nc"))
        kill_after_a_checkpoint(process, checkpoint, writes)
        killed += process.returncode == -signal.SIGKILL and checkpoint.exists()
    assert killed == 2
    assert not (tmp_path / "resumed.nc").exists()
    finished(start(tmp_path, str(checkpoint), str(tmp_path / "resumed.nc")))
    assert not checkpoint.exists()

    resumed, reference = (qd.load(tmp_path / name) for name in ("resumed.nc", "whole.nc"))
    equal(resumed, reference)
    # the run did what it was made for: some replicas stopped, at different steps
    stopped = reference.stop_step.values
    assert np.unique(stopped).size > 2
    for name in (
        "correlation",
        "replica_correlation",
        "weights",
        "mean_square_displacement",
        "time_variance",
        "gap",
        "first_bad_step",
    ):
        assert name in reference


@pytest.mark.slow
def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    model = qd.models.GaussianMixture(loss=qd.losses.Square())
    path = tmp_path / "run.npz"
    common = {"steps": 60, "size": 10, "chunk": 1, "checkpoint": path}
    # a run that blows up leaves its last good state
    with pytest.warns(qd_warning(), match="lr is large"), pytest.raises(ArithmeticError, match="step"):
        qd.simulate(model, qd.dynamics.Gradient(lr=300.0), **common)
    assert path.exists()
    with pytest.raises(ParameterError, match=r"checkpoint.*belongs to another run: rule"):
        qd.simulate(model, qd.dynamics.Gradient(lr=0.1), **common)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedFileError, match=r"run\.npz is damaged"):
        qd.simulate(model, qd.dynamics.Gradient(lr=0.1), **common)


def qd_warning() -> type[Warning]:
    from quenched.numerics.checks import QuenchedWarning

    return QuenchedWarning


def test_the_checkpoint_goes_into_an_existing_folder(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="checkpoint must be a file in an existing folder"):
        qd.simulate(qd.models.GaussianMixture(), qd.dynamics.Gradient(), steps=2, size=10, checkpoint=tmp_path / "no" / "run.npz")
