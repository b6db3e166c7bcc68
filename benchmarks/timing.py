"""Timing in turn: competitors run A B A B ..., so that a drift of the machine's speed hits all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

NO_ACCELERATOR = 3
"""Exit status of a benchmark that needs an accelerator where there is none."""


def in_turn(
    jobs: Mapping[str, Callable[[], object]], repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each job over ``repeats`` rounds, after one uncounted round.

    For jobs that only compute, on one core, ``time.process_time`` leaves out what other processes take of that core.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(repeats + 1):
        for name, job in jobs.items():
            begin = clock()
            job()
            if round_:
                seconds[name].append(clock() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine(cores: int) -> str:
    """One line: processor, cores in use, load, versions."""
    import jax
    import numpy
    import torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    load = os.getloadavg()[0]
    return (
        f"{processor}, {cores} core{'s' * (cores > 1)} in use, load {load:.2f} at the start, "
        f"Python {platform.python_version()}, "
        f"jax {jax.__version__}, numpy {numpy.__version__}, torch {torch.__version__}"
    )
