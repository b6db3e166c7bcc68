"""Claims about how the noise depends on its control parameters, and about long runs."""

from __future__ import annotations

import functools

import numpy as np
from scipy.stats import spearmanr

from quenched.dynamics import IID, AbstractBatches, Gradient, Persistent
from quenched.losses import Door, QuadraticHinge
from quenched.models import GaussianMixture, GaussianStart
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature, fluctuation_response
from quenched.observables.statistics import mean_error
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.effective_noise.measure import WAITING_STEPS
from quenched.theory import solve

OWN = "this project, docs/measured.md"
SOURCE = "arXiv:2112.10852"
STATIONARY = GaussianMixture(alpha=4.0, noise=1.0)
RESTING = GaussianMixture(alpha=0.5, noise=0.5, loss=QuadraticHinge(margin=1.0), start=GaussianStart(variance=1.0))
THREE = GaussianMixture(
    alpha=0.5,
    noise=0.1,
    clusters=3,
    loss=QuadraticHinge(margin=0.2, output=Door(width=0.7)),
    start=GaussianStart(overlap=0.3, variance=1.0),
)
BATCHES = (
    IID(fraction=0.3),
    IID(fraction=0.6),
    IID(fraction=0.9),
    Persistent(fraction=0.3, time=1.0),
    Persistent(fraction=0.3, time=4.0),
    Persistent(fraction=0.6, time=2.0),
)
SEED = 21


@functools.cache
def both_measures(batches: AbstractBatches, lr: float) -> tuple[float, float, float, float]:
    """T_eff at the physical lag 6 and the replica distance of the stationary logistic mixture, each with its error."""
    wait, lag = round(20 / lr), round(6 / lr)
    rule = Gradient(lr=lr, ridge=0.2, batches=batches)
    waiting = range(wait, wait + WAITING_STEPS)
    two_time = solve(
        STATIONARY,
        rule,
        steps=waiting[-1] + lag,
        times=sorted({*waiting, *(w + lag for w in waiting)}),
        replicas=2,
        samples=8192,
        runs=8,
        method="sampled",
        seed=SEED,
    )
    hot = effective_temperature(fluctuation_response(two_time, waiting, [lag]))
    distance, error = mean_error(two_time["replica_distance"].mean("t"))
    return float(hot["temperature"][0]), float(hot["temperature_error"][0]), float(distance), float(error)


def _columns(found: list[tuple[float, float, float, float]]) -> Measured:
    """Temperatures, then distances."""
    temperature, temperature_error, distance, distance_error = np.transpose(found)
    return Measured(np.append(temperature, distance), np.append(temperature_error, distance_error))


def against_rate() -> Measured:
    """T_eff(6) at three learning rates, then the replica distances."""
    return _columns([both_measures(IID(fraction=0.3), lr) for lr in (0.1, 0.2, 0.4)])


def against_batches() -> Measured:
    """T_eff(6) of six batch processes, then the replica distances."""
    return _columns([both_measures(batches, 0.2) for batches in BATCHES])


def rank_correlation() -> Measured:
    """Spearman's coefficient between T_eff(6) and the replica distance over six batch processes."""
    found = np.array([both_measures(batches, 0.2) for batches in BATCHES])
    return Measured(spearmanr(found[:, 0], found[:, 2]).statistic)


def three_clusters() -> Measured:
    """m, C, loss and replica distance of persistent SGD on three clusters, hinge loss, at steps 75 and 149."""
    rule = Gradient(lr=0.1, batches=Persistent(fraction=0.3, time=1.0))
    theory = solve(
        THREE, rule, steps=149, times=[75, 149], two_time=False, replicas=2, samples=16384, probes=4, runs=8, seed=SEED
    )
    names = ("overlap", "norm", "loss", "replica_distance")
    value, error = mean_error(theory[list(names)])
    return Measured([value[n].values for n in names], [error[n].values for n in names])


def boundary_of_the_theory() -> Measured:
    """P(h < 1.02), P(h < 1), P(h < 0.98) and <h>/sqrt(C) of persistent SGD at step 200, by the trajectories of the theory."""
    rule = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=4.0))
    end = solve(RESTING, rule, steps=200, times=[200], two_time=False, samples=8192, probes=4, runs=8, final_gaps=True, seed=SEED)
    below = [mean_error((end["gap"] < limit).mean("sample")) for limit in (1.02, 1.0, 0.98)]
    mean = gaps.statistics(end["gap"], margin=1.0, norm=end["norm"].isel(t=-1))
    values = [float(value) for value, _ in below] + [float(mean["mean_gap"])]
    return Measured(values, [float(error) for _, error in below] + [float(mean["mean_gap_error"])])


CLAIMS = (
    Claim(
        "logistic loss, SGD b=0.3: T_eff at lag 6, then the replica distance, at learning rates 0.1, 0.2, 0.4",
        against_rate,
        Reference([0.0041, 0.0083, 0.0178, 0.020, 0.042, 0.088], "measured", OWN, relative=0.05),
        cost="slow",
    ),
    Claim(
        "logistic loss: T_eff at lag 6, then the replica distance, SGD b=0.3, 0.6, 0.9, persistent (0.3, 1), (0.3, 4), (0.6, 2)",
        against_batches,
        Reference(
            [0.0083, 0.0076, 0.0026, 0.0151, 0.0516, 0.0509, 0.042, 0.031, 0.0084, 0.078, 0.291, 0.217],
            "measured",
            OWN,
            relative=0.06,
        ),
        cost="slow",
    ),
    Claim(
        "the two measures of the noise order six batch processes alike: rank correlation of at least 0.9",
        rank_correlation,
        Reference(0.9, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "three clusters, hinge loss, persistent SGD: m, C, loss, replica distance at steps 75 and 149",
        three_clusters,
        Reference(
            [[0.418, 0.51], [1.21, 1.315], [0.053, 0.036], [0.0038, 0.0061]],
            "measured",
            OWN,
            relative=0.06,
            sigmas=4.0,
        ),
        cost="slow",
    ),
    Claim(
        "persistent SGD at rest: P(h<1.02), P(h<1), P(h<0.98), <h>/sqrt(C) by the trajectories of the theory",
        boundary_of_the_theory,
        Reference([0.411, 0.363, 0.292, 1.01], "measured", OWN, absolute=0.015),
        cost="slow",
    ),
)
