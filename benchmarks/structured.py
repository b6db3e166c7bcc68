"""Gradient descent on structured data against the same on a dense Gaussian matrix, per step."""

from __future__ import annotations

import quenched as qd
from benchmarks.timing import in_turn

SIZES = {2048: 1000, 8192: 150}
"""Size: steps that the dense run is measured over; the structured one makes ten times as many."""
MODEL = qd.models.GaussianMixture(alpha=2.0, noise=0.5)
RULE = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.IID(fraction=0.3))


def run(size: int, steps: int, ensemble: str | None) -> None:
    qd.simulate(MODEL, RULE, steps=steps, size=size, ensemble=ensemble, times=[0, steps], seed=0)


def table() -> str:
    """Markdown: milliseconds per step."""
    lines = ["SGD b=0.3, logistic loss, alpha=2, one replica, float32, one thread.", ""]
    lines += ["| d | dense, ms/step | structured, ms/step | ratio |", "|---|---|---|---|"]
    for size, steps in SIZES.items():
        counts = {"dense": (None, steps), "structured": ("structured", 10 * steps)}
        jobs = {
            # two lengths: the difference leaves the steps alone, without drawing the data
            f"{name} {factor}": (lambda d=size, e=ensemble, s=factor * count: run(d, s, e))
            for name, (ensemble, count) in counts.items()
            for factor in (1, 2)
        }
        seconds = in_turn(jobs, repeats=3)
        each = {name: 1e3 * (seconds[f"{name} 2"] - seconds[f"{name} 1"]) / count for name, (_, count) in counts.items()}
        ratio = each["dense"] / each["structured"]
        lines.append(f"| {size} | {each['dense']:.1f} | {each['structured']:.3f} | **{ratio:.0f}** |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
