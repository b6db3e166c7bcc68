"""Cost of long runs of the sampled solver: against the number of steps and of trajectories, dense and compressed memory."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time

import jax

import quenched as qd
from benchmarks.timing import in_turn
from quenched.numerics.checks import DivergenceError

SAMPLES, REPEATS = 8192, 3
LENGTHS = {"compressed": (500, 1000, 2000), "dense": (500, 1000, 2000)}
SIZES = (2048, 8192, 32768)
LONG = 20_000
GPU = (100_000, 131_072)
"""Steps and trajectories of the run on an accelerator: 10^5 paths, rounded up to a power of two."""

MODEL = qd.models.GaussianMixture(alpha=2.0, noise=0.5)
RULE = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))


def run(steps: int, samples: int = SAMPLES, memory: str = "compressed", seed: int = 0) -> tuple[float, float]:
    """(m, C) at the end of one run, order parameters observed 100 times on the way."""
    times = range(0, steps + 1, max(steps // 100, 1))
    options = {"samples": samples, "runs": 1, "memory": memory, "seed": seed, "memory_budget": 6e10}
    ds = qd.solve(MODEL, RULE, steps=steps, method="sampled", two_time=False, times=times, **options)
    return float(ds.overlap[0, -1]), float(ds.norm[0, -1])


def peak(steps: int, samples: int, memory: str) -> float:
    """Peak resident memory of a process that makes one run, in megabytes above that of one that makes a run of 16 steps."""

    def resident(steps: int) -> float:
        code = (
            f"from benchmarks.long_times import run; run({steps}, {samples}, {memory!r}); print(open('/proc/self/status').read())"
        )
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
        found = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
        assert found is not None
        return int(found.group(1)) / 1024

    return resident(steps) - resident(16)


def once(steps: int, samples: int) -> tuple[float, tuple[float, float]]:
    """Seconds of one run, its compilation not counted, and (m, C) at its end."""
    run_compiled(steps, samples)
    begin = time.perf_counter()
    found = run(steps, samples)
    return time.perf_counter() - begin, found


def run_compiled(steps: int, samples: int) -> None:
    """Compile for ``steps`` steps without making them: a diverging run of the same shapes ends at once."""
    wild = qd.dynamics.Gradient(lr=1e30, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1e31))
    times = range(0, steps + 1, max(steps // 100, 1))
    options = {"samples": samples, "runs": 1, "memory": "compressed", "memory_budget": 6e10}
    with contextlib.suppress(DivergenceError):
        qd.solve(MODEL, wild, steps=steps, method="sampled", two_time=False, times=times, **options)


def table() -> str:
    """Markdown: seconds of one run."""
    jobs = {
        f"{memory} {steps}": (lambda s=steps, m=memory: run(s, memory=m)) for memory, all_ in LENGTHS.items() for steps in all_
    }
    jobs |= {f"N {samples}": (lambda n=samples: run(1000, n)) for samples in SIZES if samples != SAMPLES}
    seconds = in_turn(jobs, repeats=REPEATS)
    seconds[f"N {SAMPLES}"] = seconds["compressed 1000"]
    on_host = jax.default_backend() == "cpu"
    lines = [
        f"Persistent SGD b=0.3, tau=1, logistic loss, N={SAMPLES} trajectories, order parameters at 100 times; float32; "
        f"{'one thread' if on_host else jax.devices()[0].device_kind}; medians of {REPEATS}, compilation not counted.",
        "",
        "| memory | " + " | ".join(f"T={steps}" for steps in LENGTHS["dense"]) + " | T=2000 / T=1000 |",
        "|---|" + "---|" * (len(LENGTHS["dense"]) + 1),
    ]
    for memory, all_ in LENGTHS.items():
        ratio = seconds[f"{memory} 2000"] / seconds[f"{memory} 1000"]
        lines.append(f"| {memory} | " + " | ".join(f"{seconds[f'{memory} {s}']:.2f} s" for s in all_) + f" | **{ratio:.2f}** |")
    lines += ["", "T=1000, compressed, against N: " + ", ".join(f"{n}: {seconds[f'N {n}']:.2f} s" for n in SIZES) + "."]
    long, (m, c) = once(LONG, SAMPLES)
    lines += ["", f"T={LONG}, N={SAMPLES}: **{long:.0f} s**; m={m:.4f}, C={c:.4f} at the end."]
    if on_host:
        compressed, dense = peak(LONG, SAMPLES, "compressed"), peak(1000, SAMPLES, "dense")
        lines += [
            "",
            f"Peak memory above that of a run of 16 steps: {compressed:.0f} MB (T={LONG}, compressed), "
            f"{dense:.0f} MB (T=1000, dense).",
        ]
    else:
        far, (m, c) = once(*GPU)
        lines += ["", f"T={GPU[0]}, N={GPU[1]}: **{far:.0f} s**; m={m:.5f}, C={c:.5f} at the end."]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
