"""Square loss with the same random numbers as a control variate of the sampled solver: how much variance does it take away?

The deterministic solver knows the answer X0 for the square loss; a sampled run of it with the random numbers of the run of
interest is off by X - X0, and Y - c (X - X0) is the corrected answer. The best c leaves the fraction 1 - rho^2 of the variance,
rho the correlation of X and Y over runs.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np

import quenched as qd

RUNS, SAMPLES, STEPS = 64, 2048, 40
MODEL = qd.models.GaussianMixture(alpha=2.0, noise=0.5)
GD = qd.dynamics.Gradient(lr=0.2, ridge=0.1)
RULES = {"GD": GD, "SGD b=0.3": dataclasses.replace(GD, batches=qd.dynamics.IID(fraction=0.3))}
NAMES = {"overlap": "m", "norm": "C", "loss": "loss"}


def runs(model: qd.models.GaussianMixture, rule: qd.dynamics.Gradient) -> tuple[dict[str, np.ndarray], float]:
    """Values at the last step of every run, and seconds of all."""
    options = {"steps": STEPS, "times": [STEPS], "samples": SAMPLES, "two_time": False, "method": "sampled", "seed": 1}
    qd.solve(model, rule, **options, runs=1)
    begin = time.perf_counter()
    ds = qd.solve(model, rule, **options, runs=RUNS)
    return {name: ds[name].values[:, -1] for name in NAMES}, time.perf_counter() - begin


def left_over(y: np.ndarray, x: np.ndarray) -> float:
    """Fraction of the variance of y that the best linear correction by x leaves; c is fitted to the same runs."""
    return float(1 - np.corrcoef(x, y)[0, 1] ** 2)


def table() -> str:
    square = dataclasses.replace(MODEL, loss=qd.losses.Square())
    lines = [
        f"Logistic loss, T={STEPS}, N={SAMPLES}, {RUNS} runs. Variance left by the control variate (1: no use), and the "
        "cost of a run with it.",
        "",
        "| rule | " + " | ".join(NAMES.values()) + " | bias of the control | cost |",
        "|---|" + "---|" * (len(NAMES) + 2),
    ]
    for name, rule in RULES.items():
        own, seconds = runs(MODEL, rule)
        control, more = runs(square, rule)
        exact = qd.solve(square, rule, steps=STEPS, times=[STEPS], two_time=False, method="oracle")
        off = {
            key: float(np.mean(x) - exact[key][..., -1].squeeze()) / (np.std(x, ddof=1) / RUNS**0.5) for key, x in control.items()
        }
        left = " | ".join(f"{left_over(own[key], control[key]):.2f}" for key in NAMES)
        bias = ", ".join(f"{value:+.1f}" for value in off.values())
        lines.append(f"| {name} | {left} | {bias} standard errors | {1 + more / seconds:.1f}x |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
