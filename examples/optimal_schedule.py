"""The learning-rate schedule that minimises the test error at a given time, found by gradient descent through the theory.

Online SGD (every sample is seen once) on two Gaussian clusters. The schedule is piecewise constant; Adam moves the logarithms of
its rates along the derivative of the infinite-size test error. Direct simulation, which the search never sees, judges the result.

    python examples/optimal_schedule.py [FIGURE]
"""

from __future__ import annotations

import dataclasses
import sys

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import scipy.stats
import xarray as xr
from matplotlib.figure import Figure

import quenched as qd

STEPS, BOUNDARIES, START = 128, (2, 4, 8, 16, 32, 64), 0.3
MODEL = qd.models.GaussianMixture(alpha=0.5, noise=2.0, loss=qd.losses.Logistic())
RULE = qd.dynamics.Gradient(batches=qd.dynamics.Fresh())
BAYES = float(scipy.stats.norm.sf(1 / np.sqrt(MODEL.noise)))
"""The smallest possible test error, Q(1/sqrt(Delta))."""


def with_rates(rates: np.ndarray) -> qd.dynamics.Gradient:
    """The rule with learning rate ``rates[k]`` in the k-th of equal pieces of the run."""
    return dataclasses.replace(RULE, lr=qd.dynamics.PiecewiseConstant(values=tuple(map(float, rates)), boundaries=BOUNDARIES))


def optimal(iterations: int = 60, samples: int = 4096, runs: int = 2) -> tuple[np.ndarray, list[float]]:
    """The rates found, and the test error on the way. New random numbers in every iteration, so that none is fitted."""
    logs = jnp.full(len(BOUNDARIES) + 1, np.log(START))
    adam = optax.adam(optax.cosine_decay_schedule(0.15, iterations))
    state, path = adam.init(logs), []
    for k in range(iterations):
        rates = np.exp(np.asarray(logs, float))
        found = qd.theory.differentiate(
            MODEL, with_rates(rates), "test_error", "rule.lr.values", steps=STEPS, samples=samples, runs=runs, seed=k
        )
        path.append(float(found["value"].mean()))
        slope = found["derivative"].mean("disorder").values * rates  # with respect to the logarithms
        updates, state = adam.update(jnp.asarray(slope) * 1e2, state)
        logs = optax.apply_updates(logs, updates)
    return np.exp(np.asarray(logs, float)), path


def constant(lr: float) -> qd.dynamics.Gradient:
    """The rule with one learning rate."""
    return with_rates(np.full(len(BOUNDARIES) + 1, lr))


def best_constant(samples: int = 8192) -> float:
    """The constant learning rate with the smallest test error at the end."""
    grid = np.geomspace(0.02, 0.5, 25)
    end = [qd.solve(MODEL, constant(lr), steps=STEPS, times=[STEPS], samples=samples) for lr in grid]
    return float(grid[int(np.argmin([ds["test_error"].mean() for ds in end]))])


def both(rates: np.ndarray) -> tuple[xr.Dataset, xr.Dataset]:
    """Theory and simulation with these rates, on random numbers of their own."""
    rule = with_rates(rates)
    theory = qd.solve(MODEL, rule, steps=STEPS, samples=32768, runs=8, seed=1000)
    return theory, qd.simulate(MODEL, rule, steps=STEPS, size=1000, disorder=64, times=[2, 4, 8, 16, 32, 64, 128], seed=1001)


def draw(schedules: dict[str, np.ndarray], answers: dict[str, tuple[xr.Dataset, xr.Dataset]], path: list[float]) -> Figure:
    """The schedules, the test errors that they give, and the way to the optimum."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    edges = np.array([0, *BOUNDARIES, STEPS])
    for (name, rates), colour in zip(schedules.items(), ("tab:grey", "tab:red"), strict=True):
        left.stairs(rates, np.maximum(edges, 1), baseline=None, color=colour, lw=2, label=name)
        theory, simulation = answers[name]
        mean, _ = qd.observables.mean_error(theory["test_error"])
        middle.plot(theory["step"][1:], mean[1:] - BAYES, color=colour, label=f"{name}, theory")
        mean, error = qd.observables.mean_error(simulation["test_error"])
        middle.errorbar(
            simulation["step"], mean - BAYES, error, fmt="o", color=colour, ms=4, label=f"{name}, simulation d = 1000"
        )
    left.set(xscale="log", yscale="log", xlabel="step $t$", ylabel=r"learning rate $\eta(t)$")
    middle.set(xscale="log", yscale="log", xlabel="step $t$", ylabel=r"excess test error $\epsilon(t) - \epsilon_{\rm Bayes}$")
    right.plot(np.array(path) - BAYES, color="tab:red")
    right.set(yscale="log", xlabel="iteration of Adam", ylabel=rf"excess test error at step {STEPS}")
    left.legend()
    middle.legend(fontsize="small")
    return figure


def main(figure: str | None = None) -> None:
    rates, path = optimal()
    schedules = {"best constant": np.full(len(rates), best_constant()), "optimal": rates}
    answers = {name: both(values) for name, values in schedules.items()}
    for name, (theory, simulation) in answers.items():
        (a, ea), (b, eb) = (qd.observables.mean_error(ds["test_error"].isel(t=-1)) for ds in (theory, simulation))
        print(f"{name}: rates {np.round(schedules[name], 3)}")
        print(f"  test error {a:.5f} +- {ea:.5f}, simulated {b:.5f} +- {eb:.5f}, smallest possible {BAYES:.5f}")
    if figure:
        draw(schedules, answers, path).savefig(figure, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main(*sys.argv[1:2])
