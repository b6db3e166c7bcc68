"""The sampled DMFT solver against a damped fixed-point iteration of the same equations, at equal statistical error."""

from __future__ import annotations

import numpy as np

import quenched as qd
from benchmarks.peers import fixed_point
from benchmarks.timing import in_turn

STEPS, SAMPLES, SEEDS, RUNS = 60, 8192, 64, 8
PROBLEM = fixed_point.Problem(alpha=2.0, noise=0.5, ridge=0.1, lr=0.2, fraction=0.3, variance=0.1)


def ours(seed: int, runs: int) -> np.ndarray:
    """(m(T), C(T,T)) of every run of the sampled solver."""
    start = qd.models.GaussianStart(variance=PROBLEM.variance)
    model = qd.models.GaussianMixture(alpha=PROBLEM.alpha, noise=PROBLEM.noise, start=start)
    rule = qd.dynamics.Gradient(lr=PROBLEM.lr, ridge=PROBLEM.ridge, batches=qd.dynamics.IID(PROBLEM.fraction))
    ds = qd.solve(
        model, rule, steps=STEPS, method="sampled", samples=SAMPLES, runs=runs, seed=seed, times=[STEPS], two_time=False
    )
    return np.stack([ds[name].isel(t=0).values for name in ("overlap", "norm")], axis=-1)


def peer(seeds: range) -> np.ndarray:
    """(m(T), C(T,T), sweeps) of one fixed point per seed."""
    return np.array([fixed_point.solve(PROBLEM, STEPS, SAMPLES, seed) for seed in seeds])


def table() -> str:
    """Markdown: seconds of one run, spread over seeds, and the cost ratio at equal error (cost scales as 1/error^2)."""
    found = {"sampled solver": ours(0, SEEDS), "damped fixed point": peer(range(SEEDS))}
    seconds = in_turn({"sampled solver": lambda: ours(1, RUNS), "damped fixed point": lambda: peer(range(RUNS))}, repeats=5)
    sweeps = found["damped fixed point"][:, 2]
    lines = [
        f"T={STEPS}, N={SAMPLES}, SGD b={PROBLEM.fraction:g}, logistic loss; one core, one thread; {SEEDS} seeds.",
        "",
        "| | seconds per run | m(T) | std of m | C(T,T) | std of C |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in found.items():
        mean, std = values.mean(0), values.std(0, ddof=1)
        lines.append(f"| {name} | {seconds[name] / RUNS:.4f} | {mean[0]:.4f} | {std[0]:.5f} | {mean[1]:.4f} | {std[1]:.5f} |")
    spread = {name: values.std(0, ddof=1) for name, values in found.items()}
    slower = seconds["damped fixed point"] / seconds["sampled solver"]
    better = (spread["damped fixed point"][:2] / spread["sampled solver"]) ** 2
    lines += [
        "",
        f"The peer needs {sweeps.min():.0f} to {sweeps.max():.0f} sweeps. At the same N it is {slower:.1f} times slower, and its "
        f"variance is {better[0]:.1f} (m) and {better[1]:.1f} (C) times larger (known to {2 / np.sqrt(SEEDS - 1):.0%}): "
        f"at equal statistical error **{slower * better[0]:.0f}x** on m, **{slower * better[1]:.0f}x** on C.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
