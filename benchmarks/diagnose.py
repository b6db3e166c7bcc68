"""Peak memory and time of ``diagnose`` on a network of a million weights."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import quenched as qd

SIZES = {"10^5": (200, 256, 1000), "10^6": (784, 700, 10_000)}
"""Name: inputs, hidden units in each of two layers, steps."""


def loss(params: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = batch
    hidden = jax.nn.relu(jax.nn.relu(x @ params["w1"]) @ params["w2"])
    return jnp.mean((hidden @ params["w3"] - y) ** 2)


def run(inputs: int, width: int, steps: int) -> str:
    """One row of the table, from this process."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4096, inputs)).astype("float32")
    y = np.sin(x[:, :10].sum(axis=1, keepdims=True)).repeat(10, axis=1).astype("float32")
    shapes = {"w1": (inputs, width), "w2": (width, width), "w3": (width, 10)}
    params = {name: (random.normal(size=s) * np.sqrt(2 / s[0])).astype("float32") for name, s in shapes.items()}
    rule = qd.dynamics.Gradient(lr=1e-3, batches=qd.dynamics.Minibatch(size=32), transform=qd.dynamics.Momentum(decay=0.9))
    begin = time.perf_counter()
    tree = qd.diagnose(loss, params, (x, y), rule, steps=steps, chains=2, probes=4, depth=30)
    seconds = time.perf_counter() - begin
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return f"| {tree.attrs['weights']} | {steps} | {seconds:.0f} | **{int(peak.split()[1]) / 1e6:.2f}** |"


def table() -> str:
    """Markdown: each size in a process of its own, whose peak memory is its own."""
    lines = ["4096 samples, 2 chains, 4 probes of 30 products, float32; compilation included.", ""]
    lines += ["| weights | steps | seconds | peak resident memory, GB |", "|---|---|---|---|"]
    for name in SIZES:
        command = [sys.executable, "-m", "benchmarks.diagnose", name]
        lines.append(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[-1])
    return "\n".join(lines)


if __name__ == "__main__":
    print(run(*SIZES[sys.argv[1]]) if len(sys.argv) > 1 else table())
