"""What the study says, as checks. The paper prints no numbers that could be met; those here are of its equations."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import xarray as xr

from quenched.models.landscape import Tilted
from quenched.observables.shift_curvature import PARTS
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.shift_curvature import anatomy, trade_off
from quenched.studies.shift_curvature.problem import SAME
from quenched.studies.shift_curvature.study import ShiftCurvature
from quenched.theory.effective_potential import basin_weights, optimal_temperature, temperature_scan

SOURCE = "arXiv:2108.09507"
OWN = "this project, docs/measured.md"
STUDY = ShiftCurvature(particles_at=(), network=None)
TRAIN, BARRIER = Tilted(), -0.186069
TEST = trade_off.Shifted(TRAIN, 0.35)


def best_temperature() -> Measured:
    """T* and the mean test loss there."""
    return Measured(optimal_temperature(TRAIN, TEST, (0.005, 0.5), -2.6, 3.2))


def colder_and_hotter() -> Measured:
    """Mean test loss at T = 0.01, 0.05, 0.2 for constant noise, and for noise that is larger at the sharp minimum."""
    box = {None: (-2.6, 3.2), trade_off.sloped(STUDY): (-4.0, 6.0)}
    scans = [temperature_scan(TRAIN, TEST, [0.01, 0.05, 0.2], BARRIER, *b, noise=noise) for noise, b in box.items()]
    return Measured([scan["mean_test_loss"].values for scan in scans])


def deep_is_not_deep() -> Measured:
    """Odds of the flat minimum, equally deep in U, at T = 0.05: noise larger at the sharp one, and constant noise."""
    odds = []
    for noise, box in ((trade_off.sloped(STUDY), (-4, 6)), (None, (-2.6, 3.2))):
        sharp, flat = basin_weights(TRAIN.well, 0.05, *box, noise=noise)["basin_mass"].values
        odds.append(flat / sharp)
    return Measured(odds)


@functools.cache
def logistic(pairs: tuple[anatomy.Pair, ...], seed: int = 5) -> xr.Dataset:
    """SGD of logistic regression, test set of the same law."""
    study = dataclasses.replace(STUDY, chains=128, time=1500.0, domain=0.0)
    problem = anatomy.own_problem(study, 0)
    dim = "sgd_temperature" if len({anatomy.temperature(p) for p in pairs}) > 1 else "learning_rate"
    return anatomy.measured(study, problem, pairs, dim, seed, False).sel(rule=SAME)


LADDER = ((0.05, 4), (0.1, 4), (0.2, 4), (0.4, 4))
EQUAL = ((0.05, 4), (0.1, 8), (0.2, 16))


def parts_make_the_excess() -> Measured:
    """Sum of the parts over the measured excess, T = 1/160 to 1/20."""
    found = logistic(LADDER)
    return Measured((found["parts"] / found["excess"]).values)


def order_of_the_parts() -> Measured:
    """At T = 1/160: shift - covariance, covariance - |cross|, |cross| - bias, each over the excess."""
    found = logistic(LADDER).isel(sgd_temperature=0)
    shift, bias, cross, covariance = (float(found[name]) for name in PARTS)
    return Measured(np.array([shift - covariance, covariance - abs(cross), abs(cross) - bias]) / float(found["excess"]))


def powers_of_temperature() -> Measured:
    """Covariance and bias when T doubles from 1/40 to 1/20, over the factors 2 and 4 of leading order."""
    cold, hot = (logistic(LADDER).isel(sgd_temperature=i) for i in (2, 3))
    return Measured([float(hot["covariance"] / cold["covariance"]) / 2, float(hot["bias"] / cold["bias"]) / 4])


def one_temperature() -> Measured:
    """Excess over that of the first of three pairs (eta, S) of one temperature."""
    excess, error = (logistic(EQUAL)[name].values for name in ("excess", "excess_error"))
    return Measured(excess[1:] / excess[0], np.hypot(error[1:], error[0]) / excess[0])


CLAIMS = (
    Claim(
        "landscape, constant noise: the mean test loss is smallest at a temperature T* inside, and how large it is there",
        best_temperature,
        Reference([0.0441, 0.15832], "measured", OWN, relative=0.02),
    ),
    Claim(
        "mean test loss at T = 0.01, 0.05, 0.2: U-shaped for constant noise, growing for noise larger at the sharp minimum",
        colder_and_hotter,
        Reference([[0.19111, 0.15862, 0.19613], [0.08412, 0.08896, 0.11366]], "measured", OWN, absolute=1e-4),
    ),
    Claim(
        "two minima of equal depth at T = 0.05: odds of the flat one with noise larger at the sharp one, and with constant noise",
        deep_is_not_deep,
        Reference([12838, 1.893], "measured", OWN, relative=1e-3),
    ),
    Claim(
        "logistic regression, T = 1/160 to 1/20: the four parts add to the measured excess test loss",
        parts_make_the_excess,
        Reference(1.0, "relation", SOURCE, relative=0.04),
        cost="slow",
    ),
    Claim(
        "at small temperature shift-curvature is the largest part, then covariance, cross term, and bias",
        order_of_the_parts,
        Reference(0.0, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "covariance grows as T and bias-curvature as T^2 from T = 1/40 to 1/20, to leading order",
        powers_of_temperature,
        Reference(1.0, "relation", SOURCE, relative=0.35),
        cost="slow",
    ),
    Claim(
        "pairs of learning rate and batch size of one temperature have one test loss",
        one_temperature,
        Reference(1.0, "relation", SOURCE, relative=0.02, sigmas=3),
        cost="slow",
    ),
)
