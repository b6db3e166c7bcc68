"""Run every benchmark, print the tables and write ``RESULTS.md``: ``python -m benchmarks.run``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import machine

SECTIONS = {
    "benchmarks.simulation": ("Direct simulation: 64 replicas, alpha = 2, logistic loss, float32", None),
    "benchmarks.solver": ("DMFT: one causal pass against a damped fixed-point iteration", 1),
    "benchmarks.batching": ("Points of a sweep: each by itself, or several in one compiled call", 1),
    "benchmarks.lab": ("Sweeps: the cost of a point beside its physics, and what a second worker brings", None),
}
"""Module: title, and the number of cores it may use (None: all)."""


def section(module: str, cores: int | None) -> str:
    """The table that a module prints, measured in a process of its own on its own cores."""
    environment = dict(os.environ)
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    if cores is not None:
        environment |= {"OMP_NUM_THREADS": str(cores), "OPENBLAS_NUM_THREADS": str(cores)}
    done = subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> None:
    """All tables."""
    text = f"# Benchmarks\n\nMade by `make bench`. Medians over rounds in which the competitors take turns.\n\n{machine()}\n"
    for module, (title, cores) in SECTIONS.items():
        body = section(module, cores)
        print(f"\n{title}\n\n{body}", flush=True)
        text += f"\n## {title}\n\n{body}\n"
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
