"""Many runs of energy-conserving descent in one compiled loop, against the same algorithm as a loop in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.peers import ecd_loop
from benchmarks.timing import in_turn
from quenched.models import Ackley, Zakharov
from quenched.optimizers import bbi

RUNS, FEW = 1000, 4
"""Runs of ours, and of the loop, whose time is scaled."""
BOUNCE = 20
"""Steps before the first bounce."""


class Task(NamedTuple):
    """A landscape, the loop's version of it, starts (run, n), steps, and the parameters of arXiv:2201.11137."""

    landscape: Any
    function: Callable[[torch.Tensor], torch.Tensor]
    starts: np.ndarray
    steps: int
    rate: float
    options: dict[str, Any]


def tasks() -> dict[str, Task]:
    random = np.random.default_rng(0)
    bounces = {"fixed_interval": BOUNCE, "fixed_bounces": 4, "progress_interval": 100}
    none = {"fixed_interval": None, "fixed_bounces": 0, "progress_interval": None}
    near = 1 + 0.01 * random.normal(size=(RUNS, 10))
    return {
        "Ackley, n = 2": Task(
            Ackley(),
            ecd_loop.ackley,
            random.uniform(-4, 4, (RUNS, 2)),
            3000,
            0.00965,
            {"offset": 1e-4, "extra_energy": 2.0, **bounces},
        ),
        "Zakharov, n = 10": Task(Zakharov(), ecd_loop.zakharov, near, 2500, 0.0026037, {"offset": 1e-22, **none}),
    }


def ours(task: Task) -> Callable[[np.ndarray], Any]:
    """A compiled function: the lowest loss of every run that begins at one of the starts (run, n); float64."""
    optimiser = bbi(task.rate, **task.options)

    def one(start: jax.Array, key: jax.Array) -> jax.Array:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            params, state = carry
            value, slope = jax.value_and_grad(task.landscape.potential)(params)
            updates, state = optimiser.update(slope, state, params, value=value)
            return (params + updates, state), None

        state = optimiser.init(start)._replace(key=jax.random.key_data(key))
        return jax.lax.scan(step, (start, state), length=task.steps)[0][1].best_value

    many = jax.jit(jax.vmap(one))

    def run(starts: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(many(jnp.asarray(starts), jax.random.split(jax.random.key(0), len(starts))))

    return run


def loop(task: Task) -> list[float]:
    """Lowest losses of the few runs of the loop."""
    return [ecd_loop.run(task.function, start, task.steps, task.rate, **task.options) for start in task.starts[:FEW]]


def disagreement(task: Task) -> float:
    """Largest relative difference of the lowest losses of both before the first bounce, whose direction is random."""
    short = task._replace(steps=BOUNCE)
    return float(np.max(np.abs(ours(short)(short.starts[:FEW]) / loop(short) - 1)))


def table() -> str:
    """Markdown: seconds per run of 1000 runs at once, of one run, of the loop, and what they find."""
    torch.set_num_threads(1)
    lines = [
        f"BBI in float64 with the parameters of arXiv:2201.11137, from {RUNS} different starts, compilation not counted. "
        f"The PyTorch loop makes one run after the other: {FEW} of the {RUNS} are timed, and all times are per run. Difference: "
        f"the largest between the lowest losses of both in the first {BOUNCE} steps, before the first bounce, relative. Loss: "
        f"the lowest of a run, quantiles 10, 50, 90 % over {RUNS} runs.",
        "",
        f"| landscape | steps | ours, {RUNS} at once, ms per run | ours, one run, ms | PyTorch loop, ms per run | ratio, at once "
        "| ratio, one run | difference | loss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, task in tasks().items():
        run = ours(task)
        lowest = run(task.starts)
        jobs = {
            "many": lambda r=run, t=task: r(t.starts),
            "one": lambda r=run, t=task: r(t.starts[:1]),
            "loop": lambda t=task: loop(t),
        }
        seconds = in_turn(jobs, repeats=3)
        many, one, peer = 1e3 * seconds["many"] / RUNS, 1e3 * seconds["one"], 1e3 * seconds["loop"] / FEW
        lines.append(
            f"| {name} | {task.steps} | {many:.3f} | {one:.1f} | {peer:.0f} | **{peer / many:.0f}x** | {peer / one:.0f}x | "
            f"{disagreement(task):.0e} | {', '.join(f'{value:.1e}' for value in np.quantile(lowest, [0.1, 0.5, 0.9]))} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
