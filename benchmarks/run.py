"""Run benchmarks, print the tables and write them into ``RESULTS.md``: ``python -m benchmarks.run [MODULE ...]``.

Without names every benchmark is run. Tables of benchmarks that are not run stay as they are, and so does one that needs an
accelerator where there is none; each says where it was measured.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import NO_ACCELERATOR, machine

SECTIONS = {
    "benchmarks.simulation": ("Direct simulation: 64 replicas, alpha = 2, logistic loss, float32", None),
    "benchmarks.solver": ("DMFT: one causal pass against a damped fixed-point iteration", 1),
    "benchmarks.long_times": ("DMFT at long times: dense and compressed memory", 1),
    "benchmarks.accelerator": ("DMFT at long times on an accelerator", 1),
    "benchmarks.control_variate": ("DMFT: the square loss with the same random numbers as a control variate", 1),
    "benchmarks.structured": ("Structured data against a dense matrix", 1),
    "benchmarks.batching": ("Points of a sweep: each by itself, or several in one compiled call", 1),
    "benchmarks.curvature": ("A user's network: curvature and displacement against PyTorch", 1),
    "benchmarks.diagnose": ("A user's network: memory of diagnose", None),
    "benchmarks.fokker_planck": ("The Fokker-Planck equation against py-pde", 1),
    "benchmarks.spins": ("Spin models: sequential sweeps and block Gibbs against loops in NumPy and Numba", 1),
    "benchmarks.energy_conserving": ("Energy-conserving descent: many runs at once against a loop in PyTorch", 1),
    "benchmarks.neis": ("Learned flows: a step of training against PyTorch, and errors at an equal budget", 1),
    "benchmarks.lab": ("Sweeps: the cost of a point beside its physics, and what a second worker brings", None),
    "benchmarks.hebbian": ("Digits: the replica hidden layer against a Boltzmann machine with logistic regression", 1),
}
"""Module: title, and the number of cores it may use (None: all)."""


RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = "# Benchmarks\n\nMade by `make bench`. Medians over rounds in which the competitors take turns.\n"


def section(module: str, cores: int | None) -> str | None:
    """The table that a module prints, measured in a process of its own on its own cores, and the machine it was measured on.

    None where the module needs an accelerator and there is none.
    """
    environment = dict(os.environ)
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    if cores is not None:
        environment |= {"OMP_NUM_THREADS": str(cores), "OPENBLAS_NUM_THREADS": str(cores)}
    where = machine(len(allowed))
    done = subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == NO_ACCELERATOR:
        return None
    done.check_returncode()
    return f"{where}\n\n{done.stdout.strip()}"


def recorded() -> dict[str, str]:
    """Tables of an earlier run, by their title."""
    parts = re.split(r"^## (.*)$", RESULTS.read_text(encoding="utf-8"), flags=re.MULTILINE) if RESULTS.exists() else []
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def main(chosen: list[str]) -> None:
    """The tables of the chosen modules, of all where none is named."""
    unknown = set(chosen) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"unknown benchmark {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    tables = recorded()
    for module in chosen or SECTIONS:
        title, cores = SECTIONS[module]
        table = section(module, cores)
        if table is None:
            print(f"\n{title}: there is no accelerator here", flush=True)
            continue
        tables[title] = table
        print(f"\n{title}\n\n{tables[title]}", flush=True)
        known = [title for title, _ in SECTIONS.values() if title in tables]
        # after every table, so that an interrupted run loses only the one it was making
        RESULTS.write_text(HEAD + "".join(f"\n## {title}\n\n{tables[title]}\n" for title in known), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
