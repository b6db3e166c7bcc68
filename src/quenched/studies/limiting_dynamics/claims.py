"""What the study says, as checks."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import xarray as xr

from quenched.observables.diffusion import anomalous_exponent
from quenched.observables.displacement import log_spaced
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.limiting_dynamics import network, plane, regression
from quenched.studies.limiting_dynamics.study import LimitingDynamics
from quenched.theory import ornstein_uhlenbeck as ou

SOURCE = "arXiv:2107.09133"
STUDY = LimitingDynamics()


def plane_theory() -> Measured:
    """B_11, B_12, B_22, circulation 2 Q_12, entropy production."""
    found = plane.predicted()
    return Measured(
        [*found["stationary_covariance"].values, float(found["circulation_rate"]), float(found["entropy_production"])]
    )


def plane_paths() -> Measured:
    """Circulation per unit of time of 4000 paths."""
    found = plane.measured(4000, 3)
    return Measured(float(found["circulation_rate"]), float(found["circulation_rate_error"]))


def power_laws() -> Measured:
    """Fitted exponents over 1/alpha, alpha = 2, 3; closer to 1 more modes than 50,000 are needed."""
    found = plane.power_laws(dataclasses.replace(STUDY, spectra=(2.0, 3.0)))
    return Measured((found["exponent"] / found["predicted_power"]).values)


def spurious_slope() -> Measured:
    """Growth of the published sum per step, k = 1000 to 2000, over (1-beta)/(3(1+beta)) E|delta|^2."""
    rule = ou.MomentumSGD(lr=0.01, momentum=0.9, batch_size=16)
    sums = ou.displacement(rule, [1.0], [0.5], [1, 1000, 2000], formula="paper_sum")["global_displacement"].values
    return Measured((sums[2] - sums[1]) / 1000 / (0.1 / 5.7 * sums[0]))


@functools.cache
def stationary() -> tuple[xr.Dataset, xr.Dataset]:
    """Theory and experiment of the regression at eta = 0.05, beta = 0.9, S = 8."""
    study = dataclasses.replace(STUDY, chains=256, steps=1000)
    return regression.predicted(study), regression.measured(study, 1, False)


def step_length() -> Measured:
    """Squared step length of minibatches over the exact theory with noise that depends on the weights."""
    theory, found = stationary()
    one, exact = found.sel(rule=regression.MINIBATCH), theory["local_displacement"].sel(rule=regression.EXACT)
    return Measured(float(one["local_displacement"] / exact), float(one["local_displacement_error"] / exact))


def additive_misses() -> Measured:
    """The same over the theory with additive noise, and over continuous time."""
    theory, found = stationary()
    one = float(found["local_displacement"].sel(rule=regression.MINIBATCH))
    return Measured(one / theory["local_displacement"].sel(rule=["additive noise", "continuous time"]).values)


def epochs() -> Measured:
    """Displacement after four epochs without replacement over that with it: simulation over theory."""
    study = dataclasses.replace(STUDY, chains=256, steps=1000)
    theory, found = regression.epochs(study).isel(step=-1), regression.measured_epochs(study, 2, False).isel(step=-1)
    ratio, error = (found["global_displacement"].values, found["global_displacement_error"].values)
    expected = theory["global_displacement"].values
    return Measured(ratio / expected, error / expected)


def exponents_of_a_slope() -> Measured:
    """Falling exponents over the learning rate, and rising ones over the batch size, of 50/l modes from x_0 ~ N(0, 0.002^2)."""
    rho = 50 / np.arange(1, 5001)
    times = np.array(log_spaced(10_000))

    def exponent(lr: float, size: int) -> float:
        rule = ou.MomentumSGD(lr=lr, momentum=0.9, ridge=1e-4, batch_size=size)
        # the mean over starts: their variance in place of their square
        found = ou.displacement(rule, rho, rho, times, start="fixed", position=np.full(5000, 0.002))
        return float(anomalous_exponent(times, found["global_displacement"].values, (50, 10_000))["exponent"])

    falling = [exponent(lr, 256) for lr in np.geomspace(1e-5, 1e-3, 5)]
    rising = [exponent(1e-4, size) for size in (32, 128, 256, 512, 1024)]
    return Measured([*-np.diff(falling), *np.diff(rising), falling[0] - 1, 1 - falling[-1]])


@functools.cache
def going_on(dim: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Theory and experiment of the trained network."""
    return network.predicted(STUDY, dim, 0), network.measured(STUDY, dim, 0, False)


def network_steps() -> Measured:
    """Squared step lengths of the network over the prediction, over batch size and momentum."""
    pairs = [going_on(dim) for dim in ("batch_size", "momentum")]
    return Measured(
        np.concatenate([(found["local_displacement"] / theory["local_displacement"]).values for theory, found in pairs])
    )


def network_exponents() -> Measured:
    """Exponents of the network less the prediction, over the learning rate."""
    theory, found = going_on("learning_rate")
    return Measured((found["exponent"] - theory["exponent"]).values, found["exponent_error"].values)


CLAIMS = (
    Claim(
        "a plane with a current: covariance B, circulation 2Q, and entropy production of the paper's figure 3",
        plane_theory,
        Reference([2.1625, 0.9375, 0.9625, 1.8, 1.0125], "exact", f"{SOURCE}, fig. 3 (Lyapunov equation)", absolute=1e-4),
    ),
    Claim(
        "paths of that process circulate at the rate 2Q",
        plane_paths,
        Reference(1.8, "exact", f"{SOURCE}, eq. 19", sigmas=4),
    ),
    Claim(
        "spectra l^-alpha, stationary start: the exponent of the displacement is 1/alpha",
        power_laws,
        Reference(1.0, "exact", "this project, docs/limiting-dynamics.md", relative=0.02),
    ),
    Claim(
        "the published sum for the displacement never saturates: it grows by (1-beta)/(3(1+beta)) of the squared step per step",
        spurious_slope,
        Reference(1.0, "exact", "this project, docs/limiting-dynamics.md", relative=0.01),
    ),
    Claim(
        "regression, eta = 0.05, S = 8: squared step of minibatches over the exact second moment",
        step_length,
        Reference(1.0, "theory", "this project, docs/limiting-dynamics.md", relative=0.03),
    ),
    Claim(
        "the same over additive noise and over continuous time: both miss a fifth at least, because noise grows with distance",
        additive_misses,
        Reference(1.2, "relation", SOURCE, relation=">="),
    ),
    Claim(
        "with and without replacement, four epochs from the minimum: displacement of simulations over theory",
        epochs,
        Reference(1.0, "theory", "this project, docs/limiting-dynamics.md", sigmas=4, relative=0.05),
    ),
    Claim(
        "spectrum 50/l from a displaced start: exponents fall with the learning rate through 1, and rise with the batch size",
        exponents_of_a_slope,
        Reference(0.0, "relation", f"{SOURCE}, fig. 7", relation=">="),
    ),
    Claim(
        "a trained network: squared step lengths over the prediction from its Hessian and noise, over batch size and momentum",
        network_steps,
        Reference(1.0, "theory", f"{SOURCE}, eq. 13", relative=0.2),
        cost="slow",
    ),
    Claim(
        "a trained network: exponents less the prediction, over the learning rate",
        network_exponents,
        Reference(0.0, "theory", SOURCE, absolute=0.15),
        cost="slow",
    ),
)
