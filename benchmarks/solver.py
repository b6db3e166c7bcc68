"""The sampled DMFT solver against a damped fixed-point iteration of the same equations, at equal statistical error."""

from __future__ import annotations

import numpy as np

import quenched as qd
from benchmarks.peers import fixed_point
from benchmarks.timing import in_turn

STEPS, SAMPLES, SEEDS = 60, 8192, 12
PROBLEM = fixed_point.Problem(alpha=2.0, noise=0.5, ridge=0.1, lr=0.2, fraction=0.3, variance=0.1)


def ours(seed: int, runs: int = 1) -> np.ndarray:
    """(m(T), C(T,T)) of every run of the sampled solver."""
    model = qd.models.GaussianMixture(
        alpha=PROBLEM.alpha, noise=PROBLEM.noise, start=qd.models.GaussianStart(variance=PROBLEM.variance)
    )
    rule = qd.dynamics.Gradient(lr=PROBLEM.lr, ridge=PROBLEM.ridge, batches=qd.dynamics.IID(PROBLEM.fraction))
    ds = qd.solve(
        model, rule, steps=STEPS, method="sampled", samples=SAMPLES, runs=runs, seed=seed, times=[STEPS], two_time=False
    )
    return np.stack([ds[name].isel(t=0).values for name in ("overlap", "norm")], axis=-1)


def table() -> str:
    """Markdown: seconds of one solution, spread over seeds, and the cost ratio at equal error (cost scales as 1/error^2)."""
    found = {
        "sampled solver": ours(0, runs=SEEDS),
        "damped fixed point": np.array([fixed_point.solve(PROBLEM, STEPS, SAMPLES, seed)[:2] for seed in range(SEEDS)]),
    }
    iterations = fixed_point.solve(PROBLEM, STEPS, SAMPLES, 0)[2]
    seconds = in_turn(
        {
            "sampled solver": lambda: ours(1),
            "damped fixed point": lambda: fixed_point.solve(PROBLEM, STEPS, SAMPLES, 1),
        },
        repeats=9,
    )
    lines = [
        f"| T={STEPS}, N={SAMPLES}, SGD b={PROBLEM.fraction:g}, logistic | seconds | m(T) | std of m | C(T,T) | std of C |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in found.items():
        mean, std = values.mean(0), values.std(0, ddof=1)
        lines.append(f"| {name} | {seconds[name]:.4f} | {mean[0]:.4f} | {std[0]:.5f} | {mean[1]:.4f} | {std[1]:.5f} |")
    spread = {name: values.std(0, ddof=1) for name, values in found.items()}
    slower = seconds["damped fixed point"] / seconds["sampled solver"]
    ratio = slower * (spread["damped fixed point"] / spread["sampled solver"]) ** 2
    lines.append("")
    lines.append(
        f"The peer needs {iterations} sweeps. Same N: {slower:.1f}x slower. At equal statistical error: "
        f"**{ratio[0]:.0f}x** on m, **{ratio[1]:.0f}x** on C (standard deviations over {SEEDS} seeds, "
        f"each known to about {1 / np.sqrt(2 * (SEEDS - 1)):.0%})."
    )
    return "\n".join(lines)
