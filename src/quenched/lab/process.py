"""What a process is given before JAX starts in it: variables, and cores of its own. Imports nothing heavy."""

from __future__ import annotations

import itertools
import os
from pathlib import Path


def environment() -> dict[str, str]:
    """Variables of every process of the library: figures without a screen, a persistent cache of compiled code.

    Those that are set already should win.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": str(base / "quenched" / "compiled"),
        # JAX's own thresholds skip programs that compile in under a second, which are most of ours
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def allowed_cores() -> tuple[int, ...]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def shares(cores: tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    """The cores of each of ``count`` processes: disjoint and neighbouring where there are enough, else shared in turns."""
    if count > len(cores):
        return tuple((cores[k % len(cores)],) for k in range(count))
    ends = [k * len(cores) // count for k in range(count + 1)]
    return tuple(cores[low:high] for low, high in itertools.pairwise(ends))


def pin(cores: tuple[int, ...]) -> None:
    """Let this process run on ``cores`` only; where the system has no such call nothing happens.

    What counts the cores later, as XLA does for its threads, counts these. Threads that exist already are moved too.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    tasks = Path("/proc/self/task")
    for thread in [int(entry.name) for entry in tasks.iterdir()] if tasks.is_dir() else [0]:
        try:
            os.sched_setaffinity(thread, cores)
        except ProcessLookupError:  # the thread has just ended
            continue
