"""Cost of long runs of the sampled solver: against the number of steps and of trajectories, dense and compressed memory."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import xarray as xr

import quenched as qd
from benchmarks.timing import in_turn
from quenched.numerics.checks import DivergenceError, QuenchedWarning

SAMPLES, REPEATS = 8192, 3
LENGTHS = {"compressed": (500, 1000, 2000), "dense": (500, 1000, 2000)}
SIZES = (2048, 8192, 32768)
LONG = 20_000
GPU = (100_000, 131_072)
"""Steps and trajectories of the run on an accelerator: 10^5 paths, rounded up to a power of two."""

MODEL = qd.models.GaussianMixture(alpha=2.0, noise=0.5)
RULE = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))


def solve(rule: qd.dynamics.Gradient, steps: int, samples: int, memory: str, seed: int = 0) -> xr.Dataset:
    """One run, order parameters observed 100 times on the way."""
    times = range(0, steps + 1, max(steps // 100, 1))
    options = {"samples": samples, "runs": 1, "memory": memory, "seed": seed, "memory_budget": 6e10}
    return qd.solve(MODEL, rule, steps=steps, method="sampled", two_time=False, times=times, **options)


def run(steps: int, samples: int = SAMPLES, memory: str = "compressed", seed: int = 0) -> tuple[float, float]:
    """(m, C) at the end of one run of the rule above."""
    ds = solve(RULE, steps, samples, memory, seed)
    return float(ds.overlap[0, -1]), float(ds.norm[0, -1])


def alone(steps: int, samples: int, memory: str) -> tuple[float, float, float, float]:
    """Seconds of one run in a process of its own, compilation not counted; (m, C) at its end; peak resident memory in MB."""
    code = f"from benchmarks.long_times import measured; print('measured', *measured({steps}, {samples}, {memory!r}))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    seconds, m, c, peak = map(float, done.stdout.split("measured", 1)[1].split())
    return seconds, m, c, peak


def measured(steps: int, samples: int, memory: str) -> tuple[float, float, float, float]:
    """What :func:`alone` answers, in this process."""
    compile_only(steps, samples, memory)
    begin = time.perf_counter()
    m, c = run(steps, samples, memory)
    seconds = time.perf_counter() - begin
    return seconds, m, c, peak_memory()


def peak_memory() -> float:
    """The largest resident memory of this process so far, in MB; NaN where the system does not tell.

    Not ``getrusage``: its maximum is handed down from the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), math.nan)


def compile_only(steps: int, samples: int, memory: str) -> None:
    """Compile for ``steps`` steps without making them: a diverging run of the same shapes ends at once."""
    wild = qd.dynamics.Gradient(lr=1e30, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1e31))
    with contextlib.suppress(DivergenceError), warnings.catch_warnings():
        warnings.simplefilter("ignore", QuenchedWarning)
        solve(wild, steps, samples, memory)


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
    # an accelerator's memory belongs to one process; a host's peak is known per process only
    far = alone if on_host else measured
    duration, m, c, peak = far(LONG, SAMPLES, "compressed")
    lines += ["", f"T={LONG}, N={SAMPLES}: **{duration:.0f} s**; m={m:.4f}, C={c:.4f} at the end."]
    if on_host:
        peaks = {"T=16": far(16, SAMPLES, "compressed")[3], f"T={LONG}": peak}
        peaks |= {"T=1000, dense": far(1000, SAMPLES, "dense")[3], "T=2000, dense": far(2000, SAMPLES, "dense")[3]}
        listed = ", ".join(f"{name}: {mb:.0f} MB" for name, mb in peaks.items())
        lines += ["", f"Peak memory of the whole process: {listed}."]
    else:
        duration, m, c, _ = far(*GPU, "compressed")
        lines += ["", f"T={GPU[0]}, N={GPU[1]}: **{duration:.0f} s**; m={m:.5f}, C={c:.5f} at the end."]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
