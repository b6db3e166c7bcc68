"""Run every benchmark, print the tables and write ``RESULTS.md``: ``python -m benchmarks.run``."""

from __future__ import annotations

from pathlib import Path

from benchmarks import simulation, solver
from benchmarks.timing import machine


def main() -> None:
    """All tables, in one process, on the cores it was given."""
    head = machine()
    sections = {
        f"Direct simulation: {simulation.REPLICAS} replicas, alpha={simulation.ALPHA}, logistic loss, float32": simulation.table,
        "DMFT: one causal pass against a damped fixed-point iteration": solver.table,
    }
    text = f"# Benchmarks\n\nMade by `make bench`. Medians over rounds in which the competitors take turns.\n\n{head}\n"
    for title, table in sections.items():
        body = table()
        print(f"\n{title}\n{body}", flush=True)
        text += f"\n## {title}\n\n{body}\n"
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
