"""Points computed together: a loop of ``simulate`` against ``simulate_many``, and why points are not mapped by ``vmap``."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

import quenched as qd
from benchmarks.timing import in_turn
from quenched.dynamics.engine import trajectory
from quenched.dynamics.many import batch_width, simulate_many
from quenched.numerics.precision import traced

POINTS, STEPS, ALPHA = 8, 100, 2
SYSTEMS = ((50, 4, 1), (100, 1, 1), (100, 8, 2), (200, 8, 1), (300, 4, 1), (500, 4, 1))
"""d, disorder samples, replicas."""

Point = tuple[qd.models.GaussianMixture, qd.dynamics.Gradient]


def points() -> list[Point]:
    """Points of a sweep: other noise, rate, batch fraction each."""
    batches = [qd.dynamics.Persistent(0.3 + 0.05 * k, 2.0) for k in range(POINTS)]
    rules = [qd.dynamics.Gradient(lr=0.1 + 0.01 * k, ridge=0.1, batches=b) for k, b in enumerate(batches)]
    return [(qd.models.GaussianMixture(alpha=ALPHA, noise=0.4 + 0.05 * k), rule) for k, rule in enumerate(rules)]


def compiled(d: int, samples: int, replicas: int, *, mapped: bool) -> Callable[[], object]:
    """The bare computation of all points in one program, without the host: mapped, or one after the other."""
    systems = [traced(point, "float32") for point in points()]
    numbers = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(eqx.filter(system, eqx.is_array) for system in systems))
    shared = eqx.filter(systems[0], eqx.is_array, inverse=True)
    keys = jax.random.split(jax.random.key(0), POINTS)

    def one(point):
        model, rule = eqx.combine(point[0], shared)
        sizes = (ALPHA * d, d)

        def sample(index):
            run = trajectory(model, rule, point[1], steps=STEPS, sizes=sizes, replicas=replicas, times=[STEPS], sample=index)
            return run.records["loss"]

        return jax.vmap(sample)(jnp.arange(samples))

    program = jax.jit(lambda *given: jax.vmap(one)(given) if mapped else jax.lax.map(one, given))
    return lambda: jax.block_until_ready(program(numbers, keys))


def measure(d: int, samples: int, replicas: int) -> dict[str, float]:
    """Milliseconds per point."""
    arguments = {"steps": STEPS, "size": d, "disorder": samples, "replicas": replicas}

    def alone() -> None:
        for seed, (model, rule) in enumerate(points()):
            qd.simulate(model, rule, seed=seed, **arguments)

    seconds = in_turn(
        {
            "alone": alone,
            "together": lambda: simulate_many(points(), seeds=range(POINTS), **arguments),
            "in turn": compiled(d, samples, replicas, mapped=False),
            "mapped": compiled(d, samples, replicas, mapped=True),
        }
    )
    return {name: 1e3 * value / POINTS for name, value in seconds.items()}


def table() -> str:
    """Markdown table of all sizes."""
    lines = [
        f"{POINTS} points that differ in noise, learning rate, batch fraction and seed; alpha = {ALPHA}, {STEPS} steps, "
        "persistent SGD; one core. Right: the same steps as one program without host, points in turn (`lax.map`, what "
        "`simulate_many` does) or mapped (`vmap`). All times in ms per point.",
        "",
        "| d | samples | replicas | MB per sample | `simulate` | `simulate_many` | gain | width chosen | in turn | mapped |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for d, samples, replicas in SYSTEMS:
        t = measure(d, samples, replicas)
        numbers = ALPHA * d * d
        lines.append(
            f"| {d} | {samples} | {replicas} | {4e-6 * numbers:.2f} | {t['alone']:.1f} | {t['together']:.1f} "
            f"| {t['alone'] / t['together']:.2f}x | {batch_width(numbers)} | {t['in turn']:.1f} | {t['mapped']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
