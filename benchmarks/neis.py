"""Learned flows: the time of a training step against PyTorch, and the error at an equal number of evaluations of the target."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from blackjax.smc import resampling

from benchmarks.peers import neis_torch
from benchmarks.timing import in_turn
from quenched.numerics.annealed_importance import log_mean
from quenched.sampling import FiniteTime, FlowTraining, GradientField, annealed_weights, estimate, train, two_modes
from quenched.sampling.estimators import problem
from quenched.sampling.targets import base_log_constant, base_log_density

TARGET, FIELD, ESTIMATOR = two_modes(), GradientField(width=20), FiniteTime(steps=50)
PLAIN, ASSISTED = FlowTraining(), FlowTraining(assisted=0.1)
"""The first example of arXiv:2206.09908: 50 steps of 200 samples; what is compared in time has no assistance."""
EXACT = TARGET.log_constant() - base_log_constant(TARGET.dimension)
FEW = 10
"""Steps of PyTorch that are timed."""
REPEATS, SHARE = 10, 3
"""Repeats of an estimate; the budget of evaluations in units of what training takes."""
RUNGS, TAU = (10, 100), 0.1


def initial(seed: int) -> dict[str, np.ndarray]:
    with jax.enable_x64(True):
        return {name: np.asarray(value) for name, value in FIELD.initial(jax.random.key(seed), TARGET.dimension).items()}


def same_weights() -> float:
    """The largest difference of the log weights of both programs at common points and parameters."""
    parameters = initial(3)
    points = np.random.default_rng(0).normal(size=(100, 2))
    with jax.enable_x64(True):
        given = problem(FIELD, {name: jnp.asarray(value) for name, value in parameters.items()}, TARGET)
        ours = jax.jit(jax.vmap(lambda x: ESTIMATOR.weigh(given, x).log_weight))(jnp.asarray(points))
    theirs = neis_torch.log_weights(neis_torch.field(parameters), torch.tensor(points), ESTIMATOR.steps)
    return float(np.max(np.abs(np.asarray(ours) - theirs.detach().numpy())))


def speed() -> list[str]:
    """Milliseconds of a step of training."""
    torch.set_num_threads(1)
    start, short = initial(0), PLAIN.steps // FEW
    jobs: dict[str, Callable[[], Any]] = {
        "ours": lambda: train(TARGET, FIELD, ESTIMATOR, PLAIN, parameters=start),
        "torch": lambda: neis_torch.train(start, FEW, PLAIN.samples, PLAIN.lr, PLAIN.lr_ratio, ESTIMATOR.steps),
    }
    seconds = in_turn(jobs, repeats=3)
    ours, theirs = 1e3 * seconds["ours"] / PLAIN.steps, 1e3 * seconds["torch"] * short / PLAIN.steps
    return [
        f"Two modes in two dimensions, gradient field of {FIELD.width} units, {ESTIMATOR.steps} Runge-Kutta steps each way, "
        f"{PLAIN.samples} samples per step, float64; `train` as a user calls it, compilation not counted, against batches, loops "
        f"over Runge-Kutta steps and autograd ({FEW} of {PLAIN.steps} steps timed). Log weights of both agree to "
        f"{same_weights():.0e}.",
        "",
        "| | ms per step of training |",
        "|---|---|",
        f"| quenched | {ours:.1f} |",
        f"| PyTorch | {theirs:.1f} |",
        "",
        f"Ratio: **{theirs / ours:.1f}**.",
    ]


def learned(seed: int, budget: int) -> tuple[float, int]:
    """ln of the estimated Z_1/Z_0 by a flow trained from scratch; evaluations, training included."""
    trained = train(TARGET, FIELD, ESTIMATOR, ASSISTED, seed=seed)
    spent = trained.density_queries + trained.gradient_queries
    found = estimate(
        TARGET, FIELD, trained.parameters, ESTIMATOR, samples=(budget - spent) // ESTIMATOR.queries, seed=1000 + seed
    )
    return found.statistics.value, spent + found.density_queries


def annealed(rungs: int) -> Callable[[int, int], tuple[float, int]]:
    """The same by annealed importance sampling."""
    each = 2 * (rungs + 1)

    def job(seed: int, budget: int) -> tuple[float, int]:
        found = annealed_weights(TARGET, rungs=rungs, particles=budget // each, step_size=TAU, seed=seed)
        return log_mean(found.log_weights).value, budget // each * each

    return job


def tempered(rungs: int) -> Callable[[int, int], tuple[float, int]]:
    """The same by the tempered sequential Monte Carlo of BlackJAX: as many rungs, one move of the same length at each.

    At each rung a particle costs one density for its weight, and density and gradient at both ends of its move.
    """
    each = 5 * rungs
    sampler = blackjax.tempered_smc(
        base_log_density,
        lambda x: TARGET.log_density(x) - base_log_density(x),
        blackjax.mala.build_kernel(),
        blackjax.mala.init,
        {"step_size": jnp.full(1, TAU)},
        resampling.systematic,
        num_mcmc_steps=1,
    )

    def run(key: jax.Array, points: jax.Array) -> jax.Array:
        def rung(state: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            state, info = sampler.step(given[0], state, given[1])
            return state, info.log_likelihood_increment

        ladder = jnp.linspace(0.0, 1.0, rungs + 1)[1:]
        return jnp.sum(jax.lax.scan(rung, sampler.init(points), (jax.random.split(key, rungs), ladder))[1])

    compiled = jax.jit(run)

    def job(seed: int, budget: int) -> tuple[float, int]:
        with jax.enable_x64(True):
            key_points, key = jax.random.split(jax.random.key(seed))
            points = jax.random.normal(key_points, (budget // each, TARGET.dimension))
            return float(compiled(key, points)), budget // each * each

    return job


def errors() -> list[str]:
    """Estimates of every method at the same budget."""
    first = train(TARGET, FIELD, ESTIMATOR, ASSISTED)
    budget = SHARE * (first.density_queries + first.gradient_queries)
    methods: dict[str, Callable[[int, int], tuple[float, int]]] = {"NEIS, training included": learned}
    methods |= {f"AIS, K = {rungs}": annealed(rungs) for rungs in RUNGS}
    methods |= {f"BlackJAX tempered SMC, {rungs} rungs": tempered(rungs) for rungs in RUNGS}
    lines = [
        f"Z_1/Z_0 of the same target at {budget:,} evaluations of the density or its gradient per estimate, of which training "
        f"(assisted, c = {ASSISTED.assisted}) takes 1/{SHARE}; {REPEATS} repeats, moves of length {TAU}, nothing tuned. "
        "Estimates over the exact value; error: |estimate/exact - 1|. Seconds are per estimate: this density costs next to "
        "nothing, and a flow costs more than its evaluations.",
        "",
        "| method | evaluations | lowest | median | highest | median error | root-mean-square error | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, method in methods.items():
        method(0, budget)
        begin = time.perf_counter()
        found = [method(seed, budget) for seed in range(1, REPEATS + 1)]
        seconds = (time.perf_counter() - begin) / REPEATS
        values = np.exp(np.array([value for value, _ in found]) - EXACT)
        off = np.abs(values - 1)
        lines.append(
            f"| {name} | {found[0][1]:,} | {values.min():.3f} | {np.median(values):.3f} | {values.max():.3f} | "
            f"**{np.median(off):.4f}** | {np.sqrt(np.mean(off**2)):.4f} | {seconds:.1f} |"
        )
    return lines


def table() -> str:
    """Markdown: speed of training, then errors."""
    return "\n".join([*speed(), "", *errors()])


if __name__ == "__main__":
    print(table())
