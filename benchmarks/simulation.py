"""Direct simulation: 64 replicas of (S)GD on one data set, against bare matrix products and against loops over replicas."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import torch

import quenched as qd
from benchmarks.peers import numpy_loop, torch_loop
from benchmarks.timing import in_turn

REPLICAS, ALPHA, LR, RIDGE = 64, 2, 0.2, 0.1
STEPS = {1000: 256, 4000: 32}
LOOP_STEPS = {1000: 40, 4000: 8}


@jax.jit
def bare_products(x: jax.Array, w: jax.Array, f: jax.Array, steps: int) -> jax.Array:
    """The two matrix products of a step and nothing else, ``steps`` times."""

    def step(_, carry):
        w, f = carry
        # the tiny feedback keeps the compiler from hoisting the products out of the loop
        return (f + 1e-30 * (w @ x.T)) @ x, f + 1e-30 * (w @ x.T)

    return jax.lax.fori_loop(0, steps, step, (w, f))[0]


def measure(d: int, fraction: float) -> dict[str, float]:
    """Milliseconds per step of all 64 replicas, for each competitor (loops: scaled from two replicas)."""
    batches = qd.dynamics.Full() if fraction == 1 else qd.dynamics.IID(fraction)
    rule = qd.dynamics.Gradient(lr=LR, ridge=RIDGE, batches=batches)
    model = qd.models.GaussianMixture(alpha=ALPHA, noise=0.5)
    rng = np.random.default_rng(0)
    n, steps, loop_steps = ALPHA * d, STEPS[d], LOOP_STEPS[d]
    x = rng.standard_normal((n, d), dtype=np.float32)
    y = np.where(rng.random(n) < 0.5, -1, 1).astype(np.float32)
    starts = rng.standard_normal((2, d), dtype=np.float32)
    x_jax, w = jnp.asarray(x), jnp.asarray(rng.standard_normal((REPLICAS, d), dtype=np.float32))
    f = jnp.asarray(rng.standard_normal((REPLICAS, n), dtype=np.float32))

    def ours(count: int) -> None:
        qd.simulate(model, rule, steps=count, size=d, replicas=REPLICAS, times=[0, count], chunk=steps, seed=0)

    def bare(count: int) -> None:
        bare_products(x_jax, w, f, count).block_until_ready()

    seconds = in_turn(
        {
            # two lengths: the difference leaves the steps alone, without sampling, start-up and the two observations
            "ours, short": lambda: ours(steps),
            "ours, long": lambda: ours(2 * steps),
            "bare, short": lambda: bare(steps),
            "bare, long": lambda: bare(2 * steps),
            "numpy": lambda: numpy_loop.train(x, y, starts, LR, RIDGE, fraction, loop_steps),
            "torch": lambda: torch_loop.train(x, y, starts, LR, RIDGE, fraction, loop_steps),
        }
    )
    per_loop = 1e3 * REPLICAS / len(starts) / loop_steps
    return {
        "ours": 1e3 * (seconds["ours, long"] - seconds["ours, short"]) / steps,
        "bare": 1e3 * (seconds["bare, long"] - seconds["bare, short"]) / steps,
        "numpy": per_loop * seconds["numpy"],
        "torch": per_loop * seconds["torch"],
    }


def table() -> str:
    """Markdown table of all sizes and batch fractions."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    lines = [
        "| d | batch | ours, ms/step | bare products | share of bare rate | NumPy loop | PyTorch loop | against better loop |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for d in STEPS:
        for fraction in (1.0, 0.3):
            t = measure(d, fraction)
            best = min(t["numpy"], t["torch"])
            lines.append(
                f"| {d} | {fraction:g} | {t['ours']:.2f} | {t['bare']:.2f} | {t['bare'] / t['ours']:.0%} "
                f"| {t['numpy']:.0f} | {t['torch']:.0f} | {best / t['ours']:.1f}x |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
