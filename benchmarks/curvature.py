"""Top eigenvalues, spectral density and displacement statistics of a small network against plain PyTorch code."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import quenched as qd
from benchmarks.peers import torch_curvature
from benchmarks.timing import in_turn
from quenched.observables.curvature import spectral_density, top_eigenpairs
from quenched.observables.displacement import StepLength, log_spaced
from quenched.observables.loss_on_data import LossOnData

NETWORKS = ((4096, 32, 64), (512, 16, 16))
"""Samples, inputs, hidden units in each of two layers: one that keeps a core busy with matrix products, and a small one."""
TOP, DEPTH, PROBES = 5, 60, 4
CHAINS, STEPS = 64, 1000


def network(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    hidden = jnp.tanh(x @ params["w1"] + params["b1"])
    return (jnp.tanh(hidden @ params["w2"] + params["b2"]) @ params["w3"])[:, 0]


def loss(params: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    return 0.5 * jnp.mean((network(params, batch[0]) - batch[1]) ** 2)


def problem(samples: int, inputs: int, width: int) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Weights and data, float32."""
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, inputs)).astype("float32")
    y = np.sin(x @ random.normal(size=inputs) / 4).astype("float32")
    shapes = {"w1": (inputs, width), "b1": (width,), "w2": (width, width), "b2": (width,), "w3": (width, 1)}
    params = {name: (random.normal(size=s) / np.sqrt(s[0])).astype("float32") for name, s in shapes.items()}
    return params, (x, y)


def table() -> str:
    """Markdown: seconds of both, the ratio, and that both find the same."""
    torch.set_num_threads(1)
    return "\n\n".join(one(*sizes) for sizes in NETWORKS)


def one(samples: int, inputs: int, width: int) -> str:
    """The table of one network."""
    params, data = problem(samples, inputs, width)
    mine = LossOnData(loss, params, data)
    theirs = torch_curvature.problem(params, data)
    rule = qd.dynamics.Gradient(lr=0.05, batches=qd.dynamics.Minibatch(size=32), transform=qd.dynamics.Momentum(decay=0.9))
    model = qd.models.FromLoss(loss, params, qd.data.Arrays(*data))
    lags = log_spaced(STEPS)
    found: dict[str, Any] = {}

    def keep(name: str, job: Any) -> Any:
        def run() -> None:
            found[name] = job()

        return run

    instruments = (qd.observables.MeanSquareDisplacement(starts=(0,), lags=lags), StepLength(steps=STEPS))
    arguments = {"steps": STEPS, "replicas": CHAINS, "times": [0, STEPS], "accumulators": instruments}
    few = 2
    jobs = {
        # the residuals that certify our pairs are part of our time
        "top": keep("top", lambda: top_eigenpairs(mine, TOP, depth=DEPTH)["eigenvalue"].values),
        "top, torch": keep("top, torch", lambda: torch_curvature.top(theirs, TOP)),
        "density": keep("density", lambda: float(spectral_density(mine, probes=PROBES, depth=DEPTH)["trace"])),
        "density, torch": keep("density, torch", lambda: torch_curvature.density(theirs, PROBES, DEPTH)),
        "chains": keep("chains", lambda: qd.simulate(model, rule, **arguments)),
        "chains, torch": keep("chains, torch", lambda: torch_curvature.chains(theirs, few, STEPS, lags)),
    }
    seconds = in_turn(jobs, repeats=3)
    seconds["chains, torch"] *= CHAINS / few
    ours, peer = found["top"], found["top, torch"]
    moved = float(found["chains"]["mean_square_displacement"].values[..., -1].mean()) * mine.size
    lines = [
        f"A network of {mine.size} weights, {samples} samples, float32, one thread. PyTorch: double backward, as PyHessian does; "
        f"its chains one after the other, {few} measured and scaled to {CHAINS}.",
        "",
        "| task | quenched, s | PyTorch, s | ratio | both find |",
        "|---|---|---|---|---|",
        f"| {TOP} largest eigenvalues | {seconds['top']:.2f} | {seconds['top, torch']:.2f} | "
        f"**{seconds['top, torch'] / seconds['top']:.1f}** | {', '.join(f'{v:.4f}' for v in ours)}; "
        f"{', '.join(f'{v:.4f}' for v in peer)} |",
        f"| spectral density, {PROBES} probes of {DEPTH} products | {seconds['density']:.2f} | {seconds['density, torch']:.2f} | "
        f"**{seconds['density, torch'] / seconds['density']:.1f}** | "
        f"tr H {found['density']:.2f}, {found['density, torch']:.2f} |",
        f"| displacement of {CHAINS} chains, {STEPS} steps | {seconds['chains']:.2f} | {seconds['chains, torch']:.2f} | "
        f"**{seconds['chains, torch'] / seconds['chains']:.1f}** | {moved:.3f}, {found['chains, torch']:.3f} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
