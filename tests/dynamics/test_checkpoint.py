"""Checkpoints: a run killed at any moment goes on bit for bit, and no file of another run is used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from quenched.dynamics.checkpoint import Checkpoint
from quenched.dynamics.simulate import simulate
from quenched.numerics.checks import DivergenceError, ParameterError
from quenched.records import DamagedFileError
from tests.dynamics.engine_models import Multiply, Pairs, Single, ZeroTemperatureFlip

ROOT = Path(__file__).resolve().parents[2]

LONG = """
import sys
from tests.dynamics.engine_models import Pairs, ZeroTemperatureFlip
from quenched.dynamics.simulate import simulate
simulate(Pairs(), ZeroTemperatureFlip(), steps=10**6, size=30, replicas=2, disorder=2, times=[0, 500, 3000, 6000], two_time=True,
         chunk=64, checkpoint=sys.argv[1])
"""


class Interrupted(Exception):
    pass


def interrupt_after(monkeypatch, writes):
    """Let the run die right after its n-th checkpoint, as a kill would; every chunk is written."""
    monkeypatch.setattr("quenched.dynamics.checkpoint._SHARE", 0.0)
    count = [0]
    original = Checkpoint.write

    def write(self, *arguments):
        original(self, *arguments)
        count[0] += 1
        if count[0] == writes:
            raise Interrupted

    monkeypatch.setattr(Checkpoint, "write", write)


# the second block begins after two of five chunks and the write between blocks: 4, 5, 6 lie around the border
@pytest.mark.parametrize("writes", [1, 4, 5, 6, 8])
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, monkeypatch, writes):
    arguments = {
        "steps": 50,
        "size": 30,
        "replicas": 2,
        "disorder": 4,
        "block": 2,
        "share_start": True,
        "two_time": True,
        "on_divergence": "record",
    }
    whole = simulate(Pairs(), ZeroTemperatureFlip(), chunk=10, **arguments)
    path = tmp_path / "run.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, writes)
        with pytest.raises(Interrupted):
            simulate(Pairs(), ZeroTemperatureFlip(), chunk=10, checkpoint=path, **arguments)
    assert path.exists()
    # another chunk length is allowed: it does not change a number
    assert simulate(Pairs(), ZeroTemperatureFlip(), chunk=7, checkpoint=path, **arguments).identical(whole)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen([sys.executable, "-c", LONG, str(path)], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (path.exists() and reached(path) > 7000):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    arguments = {"size": 30, "replicas": 2, "disorder": 2, "times": [0, 500, 3000, 6000], "two_time": True}
    with np.load(path, allow_pickle=False) as file:
        stored = {key: file[key] for key in file.files}
    text = str(stored["text"])
    step = reached(path)
    # the killed run was asked for 1e6 steps; the same file, relabelled, is the checkpoint of a run that ends soon
    ours = text.replace('"steps": 1000000', f'"steps": {step + 100}')
    assert ours != text
    with open(path, "wb") as file:
        np.savez(file, **{**stored, "text": np.array(ours)})
    resumed = simulate(Pairs(), ZeroTemperatureFlip(), steps=step + 100, checkpoint=path, **arguments)
    whole = simulate(Pairs(), ZeroTemperatureFlip(), steps=step + 100, **arguments)
    assert resumed.identical(whole)


def reached(path):
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["text"]))["position"][1]


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"seed": 2}, "seed is 1 there and 2 here"), ({"replicas": 3}, "replicas is 2 there"), ({"factor": 0.5}, "rule is")],
)
def test_the_checkpoint_of_another_run_is_refused_by_name(tmp_path, monkeypatch, change, difference):
    path = tmp_path / "run.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            simulate(Single(), Multiply(factor=0.9), steps=50, replicas=2, seed=1, chunk=10, checkpoint=path)
    before = path.read_bytes()
    arguments = {"steps": 50, "replicas": 2, "seed": 1, "factor": 0.9, **change}
    rule = Multiply(factor=arguments.pop("factor"))
    with pytest.raises(ParameterError, match=difference):
        simulate(Single(), rule, **arguments, chunk=10, checkpoint=path)
    assert path.read_bytes() == before


def test_divergence_keeps_the_last_good_state(tmp_path, monkeypatch):
    monkeypatch.setattr("quenched.dynamics.checkpoint._SHARE", 0.0)
    path = tmp_path / "run.npz"
    with pytest.raises(DivergenceError, match="step 128"):
        simulate(Single(), Multiply(), steps=200, chunk=50, checkpoint=path)
    assert reached(path) == 100


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b.replace("seed".encode("utf-32-le"), "need".encode("utf-32-le"))],
    ids=["truncated", "empty", "one letter"],
)
def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, damage):
    path = tmp_path / "run.npz"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            simulate(Single(), Multiply(factor=0.9), steps=50, chunk=10, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"run\.npz is damaged"):
        simulate(Single(), Multiply(factor=0.9), steps=50, chunk=10, checkpoint=path)


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(ParameterError):
        simulate(Single(), Multiply(), steps=10, times=[11], checkpoint=tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []
